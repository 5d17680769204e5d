"""A page on loopback on which a person asks a trained generator for images. It imports `pipeline`; nothing imports it.

shelf: files -> trained generators, oracle, real images. studio: a request -> images. packing: images -> one file.
sheet: images -> HTML. page: the layout, in Gradio.
"""
