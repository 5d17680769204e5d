"""LabelledImages: what every part of the pipeline takes and gives. Real and synthetic digits are the same type."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import reading


@dataclass(frozen=True)
class LabelledImages:
    """Images with a class each.

    pixels: uint8 (N, C, H, W), 0 to 255. labels: int64 (N,), an index into `classes`. classes: the class names.
    Raises InputError if the shapes disagree or a label names no class.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise InputError(f"pixels must be uint8 (N, C, H, W), got {self.pixels.dtype} {self.pixels.shape}")
        if self.labels.shape != self.pixels.shape[:1] or self.labels.dtype != np.int64:
            raise InputError(
                f"{len(self.pixels)} images but labels of shape {self.labels.shape} and type {self.labels.dtype}"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            bad = self.labels[(self.labels < 0) | (self.labels >= len(self.classes))][0]
            raise InputError(f"label {bad} outside the {len(self.classes)} classes {', '.join(self.classes)}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def subset(self, indices: NDArray[np.integer] | NDArray[np.bool_]) -> LabelledImages:
        """The images at `indices` (whole numbers, or a mask of length N), in that order."""
        return LabelledImages(self.pixels[indices], self.labels[indices], self.classes)

    def save(self, path: Path) -> None:
        """Write one compressed `.npz`; the same images give the same bytes."""
        save_arrays(path, pixels=self.pixels, labels=self.labels, classes=np.array(self.classes))


def load(path: Path) -> LabelledImages:
    """Read what `LabelledImages.save` wrote. Raises InputError that names the file if it is missing or damaged."""
    arrays = load_arrays(path)
    try:
        return LabelledImages(arrays["pixels"], arrays["labels"], tuple(str(name) for name in arrays["classes"]))
    except (KeyError, InputError) as error:
        raise InputError(f"{path}: not a set of labelled images ({error})") from None


def join(sets: Sequence[LabelledImages]) -> LabelledImages:
    """All images of `sets`, in order. Raises InputError if their classes or image shapes differ."""
    first = sets[0]
    for other in sets[1:]:
        _check_alike(first, other)
    return LabelledImages(
        np.concatenate([s.pixels for s in sets]), np.concatenate([s.labels for s in sets]), first.classes
    )


def save_parts(path: Path, parts: Iterable[LabelledImages], count: int) -> None:
    """Write the `count` images of `parts` as `join(parts).save(path)` does, to the byte, with one part in memory.

    Raises InputError if parts differ in classes or image shape, ValueError if they hold another number of images.
    """
    labels: list[NDArray[np.int64]] = []
    with _whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("pixels.npy", "w", force_zip64=True) as pixels:
            first = None
            for part in parts:
                if first is None:
                    first = part
                    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *part.shape)}
                    np.lib.format.write_array_header_1_0(pixels, header)
                _check_alike(first, part)
                pixels.write(np.ascontiguousarray(part.pixels).data)
                labels.append(part.labels)
        if first is None or sum(map(len, labels)) != count:
            raise ValueError(f"{path}: parts hold {sum(map(len, labels))} images, {count} were announced")
        for name, array in (("labels", np.concatenate(labels)), ("classes", np.array(first.classes))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def save_arrays(path: Path, **arrays: NDArray) -> None:  # type: ignore[type-arg]
    """Write named arrays as one compressed `.npz`, whole or not at all (temporary name, then renamed)."""
    with _whole(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path) -> dict[str, NDArray]:  # type: ignore[type-arg]
    """Read a `.npz` whole; never unpickles. Raises InputError that names the file if it is missing or damaged."""
    with reading(path), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _check_alike(first: LabelledImages, other: LabelledImages) -> None:
    if other.classes != first.classes or other.shape != first.shape:
        raise InputError(f"cannot join {other.shape} {other.classes} to {first.shape} {first.classes}")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary path, in place of `path` if all goes well, and gone if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part.npz")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
