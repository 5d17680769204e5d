"""The same but for rounding: what another processor, or another version of a library, may make of the same inputs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files import reading

GREY_LEVELS = 8  # that a pixel may move, of 255; a digit that was put in moves more
SHARE = 0.01  # that a judgement may move: a probability, a distance in units of what is near, a score's spread
PRINTED = 1e-4  # share that a printed number may move, of six digits
DECIMALS = 1.5e-4  # that a number of metrics.json may move, which has four decimals: one, in its last place


def moved(stored: NDArray[np.uint8], again: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of N images (N, C, H, W) are other images."""
    return (np.abs(stored.astype(np.int16) - again) > GREY_LEVELS).any(axis=(1, 2, 3))


def judged_alike(stored: NDArray[np.floating], again: NDArray[np.floating], unit: float = 1.0) -> bool:
    """Whether two judgements of the same images are one. unit: in which `SHARE` is meant."""
    return stored.shape == again.shape and bool(np.allclose(stored, again, rtol=SHARE, atol=SHARE * unit))


def files_apart(stored: Path, again: Path) -> tuple[str, int]:
    """The first place at which a CSV or JSON file says something else than another, with what both say there, and how
    many such places there are; an empty text and 0 if there are none. Raises InputError naming `stored` if it is
    missing or damaged.
    """
    with reading(stored):
        if stored.read_bytes() == again.read_bytes():
            return "", 0
        says, gives = dict(_values(stored)), dict(_values(again))
    decimals = DECIMALS if again.suffix == ".json" else 0.0
    apart = [place for place in gives | says if not _same(says.get(place), gives.get(place), decimals)]
    if not apart:
        return "", 0
    one, other = (_shown(values.get(apart[0])) for values in (says, gives))
    return f"{apart[0]}, is {one} where the predictions give {other}", len(apart)


def _values(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of each value of a CSV or JSON file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        yield from _leaves(json.loads(text))
        return
    header, *rows = csv.reader(text.splitlines())
    yield "the header", ",".join(header)
    for line, row in enumerate(rows, 2):
        yield from ((f"line {line}, {name}", cell) for name, cell in zip(header, row, strict=True))


def _leaves(document: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(document, Mapping | list):
        yield place, str(document)
        return
    for key, value in document.items() if isinstance(document, Mapping) else enumerate(document):
        yield from _leaves(value, f"{place}, {key}" if place else str(key))


def _same(one: str | None, other: str | None, decimals: float) -> bool:
    if one == other or one is None or other is None:
        return one == other
    try:
        return math.isclose(float(one), float(other), rel_tol=PRINTED, abs_tol=decimals)
    except ValueError:
        return False


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value if len(value) <= 40 else f"{value[:40]}..."
