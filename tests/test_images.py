"""LabelledImages: what is refused, and that a saved set comes back the same, byte for byte."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.images import LabelledImages, join, load, load_arrays, save_arrays, save_parts


def made(count: int, channels: int = 1, seed: int = 0) -> LabelledImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, channels, 5, 4), dtype=np.uint8)
    return LabelledImages(pixels, np.arange(count) % 3, ("cat", "hé", "0"))


def same(a: LabelledImages, b: LabelledImages) -> bool:
    return np.array_equal(a.pixels, b.pixels) and np.array_equal(a.labels, b.labels) and a.classes == b.classes


@pytest.mark.parametrize("images", [made(7), made(7, channels=3), made(0)])
def test_a_saved_set_comes_back_the_same(images: LabelledImages, tmp_path: Path) -> None:
    images.save(tmp_path / "new" / "set.npz")
    assert same(load(tmp_path / "new" / "set.npz"), images)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set.npz"], "the temporary file stayed"


@pytest.mark.parametrize("counts", [(7,), (3, 4), (0, 5, 0, 2), (0,), (40_000, 7, 30_000)])
def test_parts_written_one_by_one_are_the_whole_to_the_byte(counts: tuple[int, ...], tmp_path: Path) -> None:
    parts = [made(count, seed=number) for number, count in enumerate(counts)]
    join(parts).save(tmp_path / "whole.npz")
    save_parts(tmp_path / "parts.npz", iter(parts), sum(counts))
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_parts_that_end_early_or_differ_leave_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[LabelledImages]:
        yield made(3)
        raise RuntimeError("no more")

    for parts, count, error in (
        (broken(), 6, RuntimeError),
        (iter([made(3)]), 6, ValueError),
        (iter([]), 0, ValueError),
        (iter([made(3), made(3, channels=3)]), 6, InputError),
    ):
        with pytest.raises(error):
            save_parts(tmp_path / "set.npz", parts, count)
        assert not [*tmp_path.iterdir()]


def test_a_set_larger_than_the_memory_it_takes_to_write(tmp_path: Path) -> None:
    part = LabelledImages(np.zeros((100, 1, 100, 100), np.uint8), np.zeros(100, np.int64), ("a",))  # a megabyte
    tracemalloc.start()
    save_parts(tmp_path / "set.npz", (part for _ in range(60)), 6000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6 and len(load(tmp_path / "set.npz")) == 6000


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    made(7).save(tmp_path / "a.npz")
    made(7).save(tmp_path / "b.npz")
    made(7, seed=1).save(tmp_path / "c.npz")
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.npz", "b.npz", "c.npz"))
    assert a == b != c


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (
            np.zeros((2, 5, 4), np.uint8),
            np.zeros(2, np.int64),
            "pixels must be uint8 (N, C, H, W), got uint8 (2, 5, 4)",
        ),
        (np.zeros((2, 1, 5, 4)), np.zeros(2, np.int64), "pixels must be uint8 (N, C, H, W), got float64 (2, 1, 5, 4)"),
        (np.zeros((2, 1, 5, 4), np.uint8), np.zeros(3, np.int64), "2 images but labels of shape (3,)"),
        (np.zeros((2, 1, 5, 4), np.uint8), np.zeros(2), "2 images but labels of shape (2,) and type float64"),
        (np.zeros((2, 1, 5, 4), np.uint8), np.array([1, 2]), "label 2 outside the 2 classes a, b"),
        (np.zeros((2, 1, 5, 4), np.uint8), np.array([-1, 0]), "label -1 outside the 2 classes a, b"),
    ],
)
def test_what_does_not_fit_is_refused(pixels: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as error:
        LabelledImages(pixels, labels, ("a", "b"))
    assert str(error.value).startswith(message)


def test_a_subset_is_taken_by_places_or_by_mask() -> None:
    images = made(7)
    by_place = images.subset(np.array([4, 0]))
    assert np.array_equal(by_place.pixels, images.pixels[[4, 0]])
    assert by_place.labels.tolist() == [1, 0]
    assert same(images.subset(images.labels == 2), images.subset(np.array([2, 5])))
    assert images.subset(np.arange(0)).shape == images.shape == (1, 5, 4)


def test_sets_are_joined_in_order() -> None:
    images = made(7)
    assert same(join([images.subset(np.arange(3)), images.subset(np.arange(3, 7))]), images)
    with pytest.raises(InputError, match="cannot join"):
        join([images, made(7, channels=3)])
    with pytest.raises(InputError, match="cannot join"):
        join([images, LabelledImages(images.pixels, images.labels, ("cat", "dog", "0"))])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npz: no such file; run `dvc repro`"):
        load(tmp_path / "absent.npz")


@pytest.mark.parametrize("kept", [0, 10, 0.5, -1])
def test_a_truncated_file_is_named(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    made(7).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if kept == 0.5 else int(kept)])
    with pytest.raises(InputError, match=r"set\.npz: damaged") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    save_arrays(path, pixels=made(3).pixels)
    with pytest.raises(InputError, match=r"set\.npz: not a set of labelled images"):
        load(path)
    save_arrays(path, pixels=made(3).pixels, labels=np.arange(2), classes=np.array(["a", "b"]))
    with pytest.raises(InputError, match=r"set\.npz: not a set of labelled images \(3 images but labels"):
        load(path)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, pixels=np.array([{"any": "object"}], dtype=object))
    with pytest.raises(InputError, match=r"set\.npz: damaged"):
        load_arrays(path)
