"""The conditional GAN: its networks, losses, training and sampling. A recipe (conf/gan/*.yaml) says which and how."""
