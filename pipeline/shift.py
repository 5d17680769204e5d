"""Another test distribution: the test images alone are changed, the training images stay as they are.

Does a gain survive images that the classifier was not trained for? Three shifts of growing distance: the same digits
turned, the same digits out of focus, and other people's digits, scanned by another machine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.distortion import Distortion
from pipeline.images import LabelledImages
from pipeline.pixels import to_bytes, to_tensors
from pipeline.seeds import derive
from pipeline.sources import DataConfig, read, usps_test
from pipeline.transforms import distort

# Drawn from the whole range and not from a few angles, so that the accuracy is an expectation over tilts and no angle
# was chosen. 30 degrees: well past the 12 that classical augmentation draws from, and short of 6 turning into 9.
ANGLE = 30.0
SIGMA = 1 / 28  # of the blur, share of the side: 1 pixel of MNIST's 28


def shifted(test: LabelledImages, config: DataConfig) -> LabelledImages:
    """`test` as section `data` asks for it: rotated, blurred, or USPS's digits in its place.

    A trial is tested on USPS's training digits, so that its test digits stay shut, too. Raises InputError if USPS's
    files cannot be had.
    """
    match config.shift:
        case "rotated":
            return replace(test, pixels=rotated(test, derive(config.split_seed, "shift")))
        case "blurred":
            return replace(test, pixels=blurred(test.pixels))
        case "usps":
            if config.part == "all":
                return usps_test(config)
            return read(replace(config, source="usps", shift="none")).train
    return test


def rotated(images: LabelledImages, seed: int) -> NDArray[np.uint8]:
    """The pixels of `images`, each turned by an angle of its own, uniform in +-`ANGLE` degrees; outside is black."""
    turn = Distortion(rotate=ANGLE, scale=0, shear=0, translate=0)
    pixels, _ = to_tensors(images, torch.device("cpu"))
    return to_bytes(distort(pixels, turn, torch.Generator().manual_seed(seed)))


def blurred(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, C, H, W) under a Gaussian of `SIGMA` of their height; outside is black."""
    sigma = SIGMA * pixels.shape[2]
    soft = gaussian_filter(pixels.astype(np.float32), (0, 0, sigma, sigma), mode="constant")
    return soft.round().clip(0, 255).astype(np.uint8)
