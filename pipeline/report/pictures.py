"""Images as strips that a page can show: pixels in, PNG out."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.report.theme import Picture, inline

SHOWN = 10  # images of a class in a strip
SIDE = 56  # pixels; smaller images are magnified to about this, in whole steps
GAP = 2


def strip(pixels: NDArray[np.uint8], alt: str, places: int = 0) -> Picture:
    """Images (N, C, H, W), grey or colour, side by side with a see-through gap; fewer than `places` leave room."""
    count, channels, height, width = pixels.shape
    zoom = max(1, round(SIDE / max(height, width)))
    shown = pixels if channels in (1, 3) else pixels[:, :1]
    shown = np.moveaxis(shown, 1, -1).repeat(zoom, axis=1).repeat(zoom, axis=2)  # (N, H, W, C)
    opaque = np.concatenate([shown, np.full_like(shown[..., :1], 255)], axis=-1)
    # Whatever is padded is 0, thus transparent.
    spaced = np.pad(opaque, ((0, max(0, places - count)), (0, 0), (0, GAP), (0, 0)))
    sheet = np.concatenate(list(spaced), axis=1)[:, :-GAP]
    file = io.BytesIO()
    Image.fromarray(sheet, "LA" if sheet.shape[-1] == 2 else "RGBA").save(file, "PNG", optimize=True)
    return inline(file.getvalue(), "image/png", alt, sheet.shape[1], sheet.shape[0])


def class_strips(images: LabelledImages, kind: str) -> list[Picture]:
    """The first images of every class, a strip a class; `kind` says in words what they are."""
    strips = []
    for label, name in enumerate(images.classes):
        shown = images.pixels[images.labels == label][:SHOWN]
        strips.append(strip(shown, f"{len(shown)} {kind} images of class {name}", SHOWN))
    return strips


def png(content: bytes, alt: str) -> Picture:
    """A PNG file as it is. Raises InputError if it cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except OSError:
        raise InputError(f"{alt}: the PNG is damaged; delete it and run `dvc repro`") from None
    return inline(content, "image/png", alt, width, height)
