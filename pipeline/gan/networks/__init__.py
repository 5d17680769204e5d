"""The pairs of networks that a recipe can name, a file each; `registry` lists them, `layers` holds what they share."""
