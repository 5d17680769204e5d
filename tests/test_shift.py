"""Shifted test images: what each shift does to pixels, and that it touches the test images alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import rotate

from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import LabelledImages, load, load_arrays
from pipeline.shift import ANGLE, blurred, rotated, shifted
from pipeline.sources import DataConfig, read
from pipeline.stages.prepare import prepare
from pipeline.stages.stage import Stage, read_params

CONFIG = DataConfig("mnist", "all", "none", "datasets", 28, "auto", 0.2, 1)


def test_no_shift_is_the_same_images(digits: LabelledImages) -> None:
    assert shifted(digits, CONFIG) is digits


def tilt(image: np.ndarray, other: np.ndarray) -> float:  # type: ignore[type-arg]
    """The angle, of -45 to 45 degrees, by which SciPy must turn `image` to come nearest to `other`."""
    angles = np.arange(-45, 46)
    turned = [rotate(image.astype(float), angle, reshape=False, order=1) for angle in angles]
    return float(angles[np.argmin([np.abs(t - other).sum() for t in turned])])


def test_each_image_is_turned_by_an_angle_of_its_own(digits: LabelledImages) -> None:
    turned = shifted(digits, replace(CONFIG, shift="rotated"))
    assert turned.labels is digits.labels and turned.classes == digits.classes
    chosen = np.flatnonzero(digits.labels != 0)[:120]  # a round 0 has no tilt to read
    angles = [tilt(digits.pixels[i, 0], turned.pixels[i, 0]) for i in chosen]
    assert np.abs(angles).max() <= ANGLE + 1
    # uniform: standard deviation 30 / sqrt(3) = 17, a third of them in each third of the range
    assert np.std(angles) == pytest.approx(ANGLE / np.sqrt(3), rel=0.15)
    assert np.mean(angles) == pytest.approx(0, abs=5)
    assert np.mean(np.abs(angles) < 10) == pytest.approx(1 / 3, abs=0.13)


def test_the_draw_is_the_split_seeds_alone(digits: LabelledImages) -> None:
    first = shifted(digits, replace(CONFIG, shift="rotated"))
    assert np.array_equal(first.pixels, shifted(digits, replace(CONFIG, shift="rotated", test_fraction=0.5)).pixels)
    assert not np.array_equal(first.pixels, shifted(digits, replace(CONFIG, shift="rotated", split_seed=2)).pixels)
    assert np.array_equal(rotated(digits.subset(np.arange(50)), 3), rotated(digits.subset(np.arange(50)), 3))


def test_a_point_is_blurred_to_a_gaussian_of_one_pixel_in_28() -> None:
    for side, channels in ((28, 1), (56, 3)):
        point = np.zeros((2, channels, side, side), np.uint8)
        point[0, -1, side // 2, side // 2] = 255
        soft = blurred(point)
        assert soft.dtype == np.uint8
        assert not soft[1].any() and not soft[0, :-1].any()  # no image or channel leaks into another
        rows, columns = np.indices((side, side)) - side // 2
        sigma = side / 28
        expected = 255 * np.exp(-(rows**2 + columns**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        assert soft[0, -1] == pytest.approx(expected, abs=1 + 0.03 * expected.max())


def test_usps_takes_the_place_of_the_test_images(digits: LabelledImages, usps: Path) -> None:
    config = replace(CONFIG, shift="usps", root=str(usps))
    native = read(replace(config, source="usps", shift="none"))
    given = shifted(digits, config)
    assert given.shape == (1, 28, 28) and given.classes == digits.classes and len(given) == 20
    assert np.array_equal(given.pixels, native.test.pixels) and np.array_equal(given.labels, native.test.labels)
    # a trial never opens the test digits
    for part in ("development", "validation"):
        trial = shifted(digits, replace(config, part=part))
        assert np.array_equal(trial.pixels, native.train.pixels) and len(trial) == 30


def test_a_study_needs_the_test_digits_alone(digits: LabelledImages, usps: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    (alone / "USPS").mkdir(parents=True)
    shutil.copy(usps / "USPS" / "usps.t.bz2", alone / "USPS")
    assert len(shifted(digits, replace(CONFIG, shift="usps", root=str(alone)))) == 20


def test_usps_that_cannot_be_had_is_one_line(
    digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets.utils

    def off(*_: object) -> None:
        raise OSError("the network is off")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", off)
    with pytest.raises(InputError, match=r"usps\.t\.bz2: no such file; .*could not be fetched") as error:
        shifted(digits, replace(CONFIG, shift="usps", root=str(tmp_path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["all", "development", "validation"])
def test_prepare_shifts_the_test_images_alone(
    part: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params: dict[str, Any] = read_params(root / "params.yaml")
    params["data"] |= {"root": str(root / "datasets"), "part": part}
    monkeypatch.chdir(tmp_path)
    made = {}
    for shift in ("none", "blurred"):
        params["data"]["shift"] = shift
        prepare(Stage("prepare", None, params, Path("params.yaml")))
        folder = Path("artifacts/data")
        assert read_json(folder / "summary.json")["shift"] == shift
        tested = load_arrays(folder / "test_images.npz")["pixels"]
        made[shift] = load(folder / "train.npz"), tested, load_arrays(folder / "test_labels.npz")["labels"]
    (train, plain, labels), (same_train, soft, same_labels) = made["none"], made["blurred"]
    assert np.array_equal(train.pixels, same_train.pixels) and np.array_equal(labels, same_labels)
    assert np.array_equal(soft, blurred(plain))
