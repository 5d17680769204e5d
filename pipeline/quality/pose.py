"""Images in a common pose, so that a moved, scaled, rotated or slanted copy lies on its original again.

Classical moment normalisation (Hu 1962; deskewing as in LeCun et al. 1998). The ink is what differs from the border.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

INK_RADIUS = 1 / 7  # of the shorter side: RMS distance of the ink from its centre per axis; 4 of 28 pixels


def images_to_pose(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each image with its ink centred, upright and of one size.

    pixels: uint8 (N, C, H, W). Returns float32 (N, C, H, W) in [0, 1]; an image without ink stays as it is.
    """
    posed: NDArray[np.float32] = np.divide(pixels, 255, dtype=np.float32)
    for image in posed:
        border = np.concatenate([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], axis=1)
        background = np.median(border, axis=1)[:, None, None]  # (C, 1, 1)
        image -= background
        # Squared, because a generator's faint noise far from the centre would otherwise dominate the second moments.
        ink = (image.astype(np.float64) ** 2).sum(axis=0)  # (H, W)
        if ink.any():
            matrix, offset = _ink_to_map(ink)
            image[:] = ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
        image += background
    return posed


def _ink_to_map(ink: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (3, 3) and offset (3,) that take a place (channel, row, column) in the posed image to the given one."""
    rows, columns = np.indices(ink.shape)
    weight = ink / ink.sum()
    centre = np.array([(weight * rows).sum(), (weight * columns).sum()])
    rows, columns = rows - centre[0], columns - centre[1]
    tall = max((weight * rows**2).sum(), 1.0)  # square pixels; a flat stroke has no slant to speak of
    slant = (weight * rows * columns).sum() / tall
    wide = (weight * (columns - slant * rows) ** 2).sum()
    scale = np.sqrt((tall + wide) / 2) / (INK_RADIUS * min(ink.shape))
    plane = scale * np.array([[1.0, 0.0], [slant, 1.0]])
    middle = (np.array(ink.shape) - 1) / 2
    matrix, offset = np.eye(3), np.zeros(3)
    matrix[1:, 1:], offset[1:] = plane, centre - plane @ middle
    return matrix, offset
