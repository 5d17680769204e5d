"""Images as pictures that a page can show: strips and cards from pixels, and what the GAN left while it trained."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.report.theme import Picture, inline

SHOWN = 10  # images of a class in a strip
SIDE = 56  # pixels; smaller images are magnified to about this, in whole steps
GAP = 2
PILE = 2  # rows and columns of samples below a mean image
LIGHTER = 3  # times lighter must a picture be to be compressed with loss
FRAMES = 24  # of a film at most
FILM = 600_000  # bytes of a film, if fewer frames and half the size can do it
Pixels = NDArray[np.uint8]


def strip(pixels: Pixels, alt: str, places: int = 0) -> Picture:
    """Images (N, C, H, W), grey or colour, side by side with a see-through gap; fewer than `places` leave room."""
    tiles = _tiles(pixels, _zoom(pixels))
    # Whatever is padded is 0, thus transparent.
    spaced = np.pad(tiles, ((0, max(0, places - len(tiles))), (0, 0), (0, GAP), (0, 0)))
    return _picture(_image(np.concatenate(list(spaced), axis=1)[:, :-GAP]), alt)


def class_strips(images: LabelledImages, kind: str) -> list[Picture]:
    """The first images of every class, a strip a class; `kind` says in words what they are."""
    strips = []
    for label, name in enumerate(images.classes):
        shown = images.pixels[images.labels == label][:SHOWN]
        strips.append(strip(shown, f"{len(shown)} {kind} images of class {name}", SHOWN))
    return strips


def class_cards(images: LabelledImages) -> list[Picture]:
    """A card a class: the mean of all its images, twice as large, above the first `PILE` rows of them."""
    cards = []
    for label, name in enumerate(images.classes):
        own = images.pixels[images.labels == label]
        mean = own.mean(axis=0, keepdims=True) if len(own) else np.zeros((1, *images.shape))
        zoom = _zoom(own)
        top = _tiles(mean.round().astype(np.uint8), PILE * zoom)[0]
        top = np.pad(top, ((0, 3 * GAP), (0, GAP * (PILE - 1)), (0, 0)))
        samples = _tiles(own[: PILE**2], zoom)
        samples = np.pad(samples, ((0, PILE**2 - len(samples)), (0, GAP), (0, GAP), (0, 0)))
        rows = [np.concatenate(list(row), axis=1)[:, :-GAP] for row in samples.reshape(PILE, PILE, *samples.shape[1:])]
        card = np.concatenate([top, *rows])[:-GAP]
        cards.append(_picture(_image(card), f"Class {name}: the mean of its {len(own)} images above {PILE**2} of them"))
    return cards


def grid(content: bytes, cell: int, alt: str) -> Picture:
    """The left half of a picture grid, a PNG file whose images are `cell` pixels wide. Raises InputError if damaged."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            columns = -(-(image.width // cell) // 2)
            return _picture(image.crop((0, 0, max(1, columns) * cell, image.height)), alt)
    except OSError:
        raise InputError(f"{alt}: the PNG is damaged; delete it and run `dvc repro`") from None


def film(content: bytes, alt: str) -> tuple[Picture, Picture] | None:
    """An animated PNG file, at most `FRAMES` of its frames, and its last frame for those who want no motion.

    None for a picture that does not move. Raises InputError if it cannot be read.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            pause = max(120, int(image.info.get("duration", 200)))  # milliseconds, of the first frame
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    except (OSError, SyntaxError):  # Pillow's word for a broken chunk
        raise InputError(f"{alt}: the PNG is damaged; delete it and run `dvc repro`") from None
    if len(frames) < 2:
        return None
    for count, shrink in ((FRAMES, 1), (FRAMES // 2, 1), (FRAMES // 2, 2), (FRAMES // 4, 2)):
        # More frames early, when most is learnt; the last one stays for a while.
        curve = 1.5 if count < len(frames) else 1
        kept = np.unique((np.linspace(0, 1, count) ** curve * (len(frames) - 1)).round().astype(int)).tolist()
        first, *rest = [frames[index].reduce(shrink) for index in kept]
        times = [pause] * len(rest) + [2000]
        options = {"save_all": True, "append_images": rest, "duration": times, "loop": 0}
        moving = _saved(first, "WEBP", quality=60, method=4, **options)
        if len(moving) <= FILM:
            break
    return inline(moving, "image/webp", alt, first.width, first.height), _picture(frames[-1], alt)


def _zoom(pixels: Pixels) -> int:
    return max(1, round(SIDE / max(pixels.shape[2:])))


def _tiles(pixels: Pixels, zoom: int) -> Pixels:
    """Images (N, C, H, W) magnified, with an opaque alpha channel: (N, H, W, 2 or 4)."""
    shown = pixels if pixels.shape[1] in (1, 3) else pixels[:, :1]
    shown = np.moveaxis(shown, 1, -1).repeat(zoom, axis=1).repeat(zoom, axis=2)
    return np.concatenate([shown, np.full_like(shown[..., :1], 255)], axis=-1)


def _image(sheet: Pixels) -> Image.Image:
    return Image.fromarray(sheet, "LA" if sheet.shape[-1] == 2 else "RGBA")


def _picture(image: Image.Image, alt: str) -> Picture:
    """As PNG; as WebP with little loss where that is far lighter, as photographs in colour are."""
    exact, light = _saved(image, "PNG", optimize=True), _saved(image, "WEBP", quality=80, method=4)
    content, kind = (light, "image/webp") if LIGHTER * len(light) < len(exact) else (exact, "image/png")
    return inline(content, kind, alt, image.width, image.height)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
