"""A coloured 64x64 data set for the recipes that want one: MNIST's digits, each in a colour of its own on another.

    python -m benchmarks.coloured datasets/coloured

Writes DIR/CLASS/NUMBER.png from the first training images of each class; the same command gives the same pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.export import images_to_folder
from pipeline.folders import to_square
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.sources import read
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

SIDE = 64
CONTRAST = 160  # Euclidean distance of the two colours at least, of 442 between black and white
SEED = 1


def digits_to_coloured(digits: LabelledImages, per_class: int, seed: int = SEED) -> LabelledImages:
    """The first `per_class` of each class, by class: grey (N, 1, H, W) to colour (classes * per_class, 3, SIDE, SIDE).

    An image depends on its digit, `seed`, its class and its place in the class alone. Raises InputError if a class has
    fewer.
    """
    pixels = []
    for label, name in enumerate(digits.classes):
        members = np.flatnonzero(digits.labels == label)[:per_class]
        if len(members) < per_class:
            raise InputError(f"--per-class: {per_class} asked for, class {name} has {len(members)}; lower it")
        for number, member in enumerate(members):
            ink, ground = two_colours(np.random.default_rng(derive(seed, "colours", label, number)))
            share = to_square(digits.pixels[member, 0], SIDE)[None] / 255.0  # (1, SIDE, SIDE), of ink
            pixels.append(ground[:, None, None] * (1 - share) + ink[:, None, None] * share)
    labels = np.repeat(np.arange(len(digits.classes), dtype=np.int64), per_class)
    return LabelledImages(np.stack(pixels).round().astype(np.uint8), labels, digits.classes)


def two_colours(rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 3): two colours of 0 to 255, uniform among those at least CONTRAST apart."""
    while True:
        pair = rng.integers(0, 256, (2, 3)).astype(np.float64)
        if np.linalg.norm(pair[0] - pair[1]) >= CONTRAST:
            return pair


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coloured", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--per-class", type=int, default=600, help="pictures of each class; default 600")
    arguments = parser.parse_args()
    try:
        images = digits_to_coloured(read(to_params(read_params(PARAMS)).data).train, arguments.per_class)
        images_to_folder(images, arguments.directory)
    except InputError as error:
        sys.exit(str(error))
    print(f"{arguments.directory}: {len(images)} pictures of {SIDE}x{SIDE} in {len(images.classes)} classes")


if __name__ == "__main__":
    main()
