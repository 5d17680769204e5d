"""Pictures of the report against the pixels that they were made from."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.report import pictures
from pipeline.report.theme import Picture


def decoded(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.src.split(",")[1])))


def to_png(pixels: np.ndarray, *more: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    first, *rest = [Image.fromarray(frame) for frame in (pixels, *more)]
    first.save(file, "PNG", save_all=bool(rest), append_images=rest, duration=[300] * len(rest) + [999])
    return file.getvalue()


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(0, 256, size=shape).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_card_shows_the_mean_above_the_first_images(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LIGHTER", np.inf)  # no loss, so that pixels can be compared
    images = LabelledImages(random_pixels(7, channels, 60, 50), np.array([0, 1, 0, 0, 1, 0, 0]), ("a", "b", "c"))
    cards = pictures.class_cards(images)  # images this large are not magnified, the mean is doubled
    own = images.pixels[images.labels == 0]
    shown = np.asarray(decoded(cards[0]).convert("RGBA")).astype(int)
    mean = own.mean(0).round().transpose(1, 2, 0)
    assert np.array_equal(shown[:120:2, :100:2, :3], np.broadcast_to(mean, (60, 50, 3)))
    below = shown[120 + 3 * pictures.GAP :]
    assert np.array_equal(below[:60, :50, :3], np.broadcast_to(own[0].transpose(1, 2, 0), (60, 50, 3)))
    last = below[60 + pictures.GAP :, 50 + pictures.GAP :, :3]
    assert np.array_equal(last, np.broadcast_to(own[3].transpose(1, 2, 0), (60, 50, 3)))
    assert {(card.width, card.height) for card in cards} == {(102, 248)}  # also with two images, and with none
    assert np.asarray(decoded(cards[1]).convert("RGBA"))[130:, :, 3].mean() < 0.6 * 255  # two places are left empty
    assert cards[0].alt == "Class a: the mean of its 5 images above 4 of them"


def test_half_a_grid() -> None:
    sheet = random_pixels(30, 100)
    picture = pictures.grid(to_png(sheet), 10, "a grid")
    assert np.array_equal(np.asarray(decoded(picture)), sheet[:, :50])
    assert pictures.grid(to_png(sheet[:, :10]), 10, "one column").width == 10
    with pytest.raises(InputError, match="a grid: the PNG is damaged"):
        pictures.grid(to_png(sheet)[:60], 10, "a grid")


def test_a_film_is_thinned_and_ends_with_its_last_frame() -> None:
    frames = [np.full((20, 30), 6 * i, np.uint8) for i in range(40)]
    shown = pictures.film(to_png(*frames), "a film")
    assert shown is not None
    moving, still = shown
    image = decoded(moving)
    assert 15 < image.n_frames <= pictures.FRAMES  # type: ignore[attr-defined]
    image.load()
    assert image.info["duration"] % 300 == 0 and image.info["loop"] == 0
    greys = []
    for i in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(i)
        greys.append(int(np.asarray(image.convert("L"))[10, 10]))
    assert greys == sorted(greys) and greys[0] < 5 and abs(greys[-1] - 6 * 39) < 5
    assert (np.asarray(decoded(still).convert("L")) == 6 * 39).all()


def test_a_heavy_film_loses_frames_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    content = to_png(*random_pixels(30, 60, 80))
    whole = pictures.film(content, "a film")
    assert whole is not None and whole[0].width == 80
    monkeypatch.setattr(pictures, "FILM", len(whole[0].src) // 8)
    light = pictures.film(content, "a film")
    assert light is not None and (light[0].width, light[0].height) == (40, 30)
    assert len(light[0].src) < len(whole[0].src) / 4 and light[1].width == 80


def test_a_picture_that_does_not_move_is_no_film() -> None:
    content = to_png(random_pixels(20, 30))
    assert pictures.film(content, "a still") is None
    with pytest.raises(InputError, match="a film: the PNG is damaged"):
        pictures.film(to_png(random_pixels(20, 30), random_pixels(20, 30, seed=1))[:-300], "a film")


def test_photographs_in_colour_stay_light() -> None:
    smooth = random_pixels(24, 24, 3).repeat(30, 0).repeat(30, 1).astype(int)
    noisy = np.clip(smooth + np.random.default_rng(1).normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    picture = pictures.grid(to_png(noisy), 72, "photographs")
    assert picture.src.startswith("data:image/webp") and len(picture.src) < len(to_png(noisy)) / 6
    assert np.abs(np.asarray(decoded(picture)).astype(int) - noisy[:, :360]).mean() < 12
