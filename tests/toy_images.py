"""A toy set that any network learns, for tests that need images and no digits."""

from __future__ import annotations

import numpy as np

from pipeline.images import LabelledImages


def bright_corners(per_class: int, seed: int) -> LabelledImages:
    """Three classes of 8x8 images that a single pixel tells apart: a bright corner, another for each, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(3 * per_class) % 3
    pixels = rng.integers(0, 80, (len(labels), 1, 8, 8), dtype=np.uint8)
    for label, (row, column) in enumerate([(0, 0), (0, 5), (5, 0)]):
        bright = rng.integers(180, 256, ((labels == label).sum(), 1, 3, 3), dtype=np.uint8)
        pixels[labels == label, :, row : row + 3, column : column + 3] = bright
    return LabelledImages(pixels, labels, ("a", "b", "c"))
