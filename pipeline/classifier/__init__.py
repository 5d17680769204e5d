"""The downstream classifier: its network, its training, and the arms that it is trained on."""
