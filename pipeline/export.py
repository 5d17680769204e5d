"""Write a saved set as MNIST's own IDX files or as a folder of PNGs per class, for use outside this project.

    python -m pipeline.export SET.npz --to idx DIR
    python -m pipeline.export SET.npz --to folder DIR

DIR appears whole or not at all, and one that holds anything is refused. The same set gives the same bytes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import LabelledImages, load


def images_to_idx(images: LabelledImages, directory: Path) -> None:
    """Write grey `images` so that `torchvision.datasets.MNIST(directory, train=True)` reads them, in their order.

    The four files lie unpacked in `directory`/MNIST/raw/: torchvision looks for these, and beside packed ones with a
    checksum other than the official one it would download MNIST over them. It wants the two t10k files to be there
    even to read the training set; they hold no image, so that train=False fails instead of passing synthetic images
    off as a test set. IDX holds no names: `directory`/classes.txt has them, line k for label k.

    Raises InputError if the images are in colour, number more than 256 classes, or if `directory` is not empty.
    """
    if images.shape[0] != 1:
        raise InputError(f"{directory}: IDX files hold grey images, these have {images.shape[0]} channels; use folder")
    if len(images.classes) > 256:
        raise InputError(f"{directory}: IDX labels are bytes, too small for {len(images.classes)} classes; use folder")

    def write(part: Path) -> None:
        raw = part / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name, kept in (("train", images), ("t10k", images.subset(np.arange(0)))):
            (raw / f"{name}-images-idx3-ubyte").write_bytes(_idx(kept.pixels[:, 0]))
            (raw / f"{name}-labels-idx1-ubyte").write_bytes(_idx(kept.labels.astype(np.uint8)))
        (part / "classes.txt").write_text("".join(f"{name}\n" for name in images.classes), encoding="utf-8")

    _write_whole(directory, write)


def images_to_folder(images: LabelledImages, directory: Path) -> None:
    """Write `directory`/CLASS/NUMBER.png, NUMBER being the image's place in the set; the source `folder` reads it.

    A character that cannot be in a file name becomes a dash (T-shirt/top: T-shirt-top). Raises InputError if the images
    have neither 1 nor 3 channels, if a class's name cannot be made a folder's, or if `directory` is not empty.
    """
    if images.shape[0] not in (1, 3):
        raise InputError(f"{directory}: images with {images.shape[0]} channels are neither grey nor colour")
    folders = [re.sub(r'[\x00-\x1f\\/:*?"<>|]', "-", name) for name in images.classes]
    for name, folder in zip(images.classes, folders, strict=True):
        if not folder or folder.startswith(".") or folders.count(folder) > 1:
            raise InputError(f"{directory}: class {name!r} cannot have a folder of its own; rename the class")
    width = len(str(max(len(images) - 1, 0)))

    def write(part: Path) -> None:
        for folder in folders:
            (part / folder).mkdir(parents=True)
        for i, (image, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            plane = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
            Image.fromarray(plane).save(part / folders[label] / f"{i:0{width}}.png")

    _write_whole(directory, write)


def _idx(values: NDArray[np.uint8]) -> bytes:
    """0, 0, 8 (for uint8), how many dimensions, each of them as big-endian uint32, the values in C order."""
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def _write_whole(directory: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder beside `directory`, then give it that name."""
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory}: not empty; name a new folder")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; name a new folder")
    part = directory.absolute().with_name(f".{directory.absolute().name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a killed export
    try:
        part.mkdir(parents=True)
        write(part)
        if directory.is_dir():
            directory.rmdir()  # empty; not every system renames onto a folder
        part.rename(directory)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for the user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.export", description="Write a saved set for other tools.")
    parser.add_argument("set", type=Path, metavar="SET.npz", help="a set that a stage wrote")
    parser.add_argument("--to", choices=("idx", "folder"), required=True, help="MNIST's files, or a folder per class")
    parser.add_argument("directory", type=Path, metavar="DIR", help="a new folder")
    asked = parser.parse_args(arguments)
    try:
        images = load(asked.set)
        (images_to_idx if asked.to == "idx" else images_to_folder)(images, asked.directory)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(images)} images of {len(images.classes)} classes written to {asked.directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
