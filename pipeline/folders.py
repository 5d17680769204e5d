"""A folder of images per class, of any size, grey or colour, as square LabelledImages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.errors import InputError, one_line
from pipeline.images import LabelledImages
from pipeline.memory import is_out_of_memory

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
ROUNDING = 2  # of 255: how far the channels of a grey picture lie apart in a lossy file (WebP)
LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX")  # left by file managers; hidden files are passed over too


def folder_to_images(root: Path, size: int, channels: str) -> list[LabelledImages]:
    """(train, test) from ROOT/train/CLASS/* and ROOT/test/CLASS/*, or (all,) from ROOT/CLASS/*."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; set data.root to the folder that holds a folder per class")
    names = [path.name for path in _visible(root) if path.is_dir()]
    split = "train" in names or "test" in names
    if split and names != ["test", "train"]:
        raise InputError(f"{root}: holds {', '.join(names)}; it must hold train/ and test/, or only class folders")
    files = [_class_files(part) for part in ((root / "train", root / "test") if split else (root,))]
    classes = tuple(files[0])
    if len(classes) < 2:
        raise InputError(f"{root}: {len(classes)} class folder(s) of training images; at least 2 are needed")
    for name in sorted(set(files[0]) ^ set(files[-1])):
        raise InputError(f"{root}: class {name} is not in both train/ and test/; add or remove its folder")
    rgb = [np.stack([_file_to_rgb(path, size) for paths in part.values() for path in paths]) for part in files]
    colour = channels == "colour" or (channels == "auto" and any(np.ptp(p, axis=-1).max() > ROUNDING for p in rgb))
    labels = [np.repeat(np.arange(len(classes)), [len(paths) for paths in part.values()]) for part in files]
    return [LabelledImages(_channels_first(p, colour), k, classes) for p, k in zip(rgb, labels, strict=True)]


def _visible(folder: Path) -> list[Path]:
    """What lies in `folder`, by name, without hidden files and file managers' litter."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in LITTER)


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """Class name -> its image files, both in order of name. Beside the class folders may lie a README, but no image."""
    classes = {path.name: _visible(path) for path in _visible(folder) if path.is_dir()}
    for path in _visible(folder):
        if path.suffix.lower() in ENDINGS:
            raise InputError(f"{path}: lies outside the class folders; move it into one")
    for name, paths in classes.items():
        if not paths:
            raise InputError(f"{folder / name}: class with no image; add images or remove the folder")
        for path in paths:
            if path.suffix.lower() not in ENDINGS or path.is_dir():
                raise InputError(f"{path}: not an image file ({', '.join(ENDINGS)}); convert, move or remove it")
    return classes


def _file_to_rgb(path: Path, size: int) -> NDArray[np.uint8]:
    """Read one image, upright, over white where transparent, stretched to a square: uint8 (size, size, 3)."""
    try:
        with Image.open(path) as image:
            if image.mode in ("I", "F") or image.mode.startswith("I;"):
                raise ValueError("more than 8 bits a channel")  # Pillow would clip instead of scaling
            rgba = ImageOps.exif_transpose(image).convert("RGBA")
    except Exception as error:  # Pillow's decoders each raise their own kinds for a damaged file
        if is_out_of_memory(error):
            raise
        reason = "no known image format" if isinstance(error, Image.UnidentifiedImageError) else one_line(error)
        raise InputError(f"{path}: unreadable ({reason}); replace it by an 8-bit image or remove it") from None
    white = Image.new("RGBA", rgba.size, "white")
    return to_square(np.asarray(Image.alpha_composite(white, rgba).convert("RGB")), size)


def _channels_first(rgb: NDArray[np.uint8], colour: bool) -> NDArray[np.uint8]:
    """(N, H, W, 3) -> (N, 3, H, W), or its luma (N, 1, H, W), which is the same value where all three are equal."""
    if colour:
        return np.ascontiguousarray(np.moveaxis(rgb, -1, 1))
    return np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in rgb])[:, None]


def to_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) at side `size`, averaged where it shrinks; unchanged if it has that size."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
