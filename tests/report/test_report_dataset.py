"""The charts of the data against counts worked by hand."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_study import (
    digits,
)
from rendered import Page, section

from pipeline.images import LabelledImages
from pipeline.report import dataset
from pipeline.report.dataset import class_counts
from pipeline.report.study import load_study
from pipeline.report.theme import Picture


def svg(picture: Picture) -> str:
    return base64.b64decode(picture.src.split(",")[1]).decode()


def test_brightness_counts_every_pixel_of_every_channel() -> None:
    pixels = np.zeros((5000, 2, 2, 2), np.uint8)  # more than are counted at a time
    pixels[:1250, 0] = 255
    pixels[:, 1, 0, 0] = 8  # the second bin
    shares = dataset.brightness(LabelledImages(pixels, np.zeros(5000, np.int64), ("a",)))
    assert shares.shape == (2, dataset.BINS)
    assert shares[0, 0] == 75 and shares[0, -1] == 25 and shares[0].sum() == 100
    assert shares[1, 0] == 75 and shares[1, 1] == 25


def test_balance_in_words() -> None:
    counts = {"training images": np.array([100, 102, 101]), "one subset": np.array([5, 5, 5])}
    assert dataset.balance(counts) == (
        "All classes have about as many training images; a replicate's subset has 5 of each."
    )
    counts = {"training images": np.array([100, 350]), "one subset": np.array([5, 500])}
    assert dataset.balance(counts) == (
        "The largest class has 3.5 times as many training images as the smallest; "
        "a replicate's subset has 5 to 500 of each."
    )


def test_every_count_is_in_the_chart() -> None:
    counts = {"training images": np.array([1234, 0]), "test images": np.array([77, 12]), "one subset": np.array([9, 8])}
    chart = dataset.distribution_chart(counts, ["a$b$", "a very long name of a class"])
    drawn = svg(chart)
    for text in ("1,234", ">0<", ">77<", ">12<", ">9<", ">8<", "a$b$", "a very lo…lass", "test images"):
        assert text in drawn, text
    assert chart.alt == "Images of a class: training images 0 to 1,234; test images 12 to 77; one subset 8 to 9."


def test_colour_has_a_line_a_channel() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(30, np.int64)
    colour = LabelledImages(rng.integers(0, 256, (30, 3, 5, 4)).astype(np.uint8), labels, ("a",))
    drawn = svg(dataset.brightness_chart(colour, colour))
    assert all(f"{name}, {kind}" in drawn for name in dataset.CHANNELS for kind in ("training", "GAN"))
    grey = LabelledImages(colour.pixels[:, :1], labels, ("a",))
    assert "red" not in svg(dataset.brightness_chart(grey, grey))


def test_the_data_section(html: str) -> None:
    page, train = Page(section(html, "data")), digits(1500)
    assert "1,500 training images 800 test images 10 classes 28 × 28 grey pixels 3 duplicates dropped" in page.text
    assert "1 within the training images, 0 within the test images, 2 training images that are test images" in page.text
    counts, alts = np.bincount(train.labels), page.values("alt")
    assert f"training images {counts.min()} to {counts.max()}; test images 80 to 80; one subset 5 to 5." in alts[0]
    black = 100 * (train.pixels < 8).mean()
    assert f"the darkest of 32 bins holds {black:.0f} % in training images" in alts[1]
    assert [alt.split(":")[0] for alt in alts[2:]] == [f"Class {name}" for name in range(10)]


def test_test_images_are_counted_only_if_prepare_did(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    older = replace(loaded, data={key: value for key, value in loaded.data.items() if key != "test_per_class"})
    names = ["training images", "test images", "one subset"]
    assert list(class_counts(loaded, loaded.budgets[0])) == names
    assert list(class_counts(older, loaded.budgets[0])) == names[::2]
