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
    border = np.concatenate([posed[:, :, 0], posed[:, :, -1], posed[:, :, :, 0], posed[:, :, :, -1]], axis=2)
    background = np.median(border, axis=2)[:, :, None, None]  # (N, C, 1, 1)
    posed -= background
    # Squared, because a generator's faint noise far from the centre would otherwise dominate the second moments.
    ink = (posed.astype(np.float64) ** 2).sum(axis=1)  # (N, H, W)
    inked = np.flatnonzero(ink.any(axis=(1, 2)))
    for index, matrix, offset in zip(inked, *_ink_to_maps(ink[inked]), strict=True):
        posed[index] = ndimage.affine_transform(posed[index], matrix, offset, order=1, mode="grid-constant")
    posed += background
    return posed


def _ink_to_maps(ink: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices (N, 3, 3) and offsets (N, 3): from a place (channel, row, column) in the posed image to the given one.

    ink: (N, H, W), none of it empty.
    """
    shape = ink.shape[1:]
    weight = ink / ink.sum(axis=(1, 2), keepdims=True)
    centre = np.stack([weight.sum(axis=2) @ np.arange(shape[0]), weight.sum(axis=1) @ np.arange(shape[1])], axis=1)
    rows = np.arange(shape[0])[None, :, None] - centre[:, 0, None, None]  # (N, H, 1)
    columns = np.arange(shape[1])[None, None, :] - centre[:, 1, None, None]  # (N, 1, W)
    tall = np.maximum((weight * rows**2).sum(axis=(1, 2)), 1.0)  # square pixels; a flat stroke has no slant to speak of
    slant = (weight * rows * columns).sum(axis=(1, 2)) / tall
    wide = (weight * (columns - slant[:, None, None] * rows) ** 2).sum(axis=(1, 2))
    scale = np.sqrt((tall + wide) / 2) / (INK_RADIUS * min(shape))
    matrices, offsets = np.tile(np.eye(3), (len(ink), 1, 1)), np.zeros((len(ink), 3))
    matrices[:, 1, 1] = matrices[:, 2, 2] = scale
    matrices[:, 2, 1] = scale * slant
    middle = (np.array(shape) - 1) / 2
    offsets[:, 1:] = centre - matrices[:, 1:, 1:] @ middle
    return matrices, offsets
