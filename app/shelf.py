"""What a study left on disk: trained generators, the oracle, the real images. Every error is one line and names a file.

Nothing is unpickled: JSON, safetensors and `.npz` without objects. What was loaded is kept until its file changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.classifier.network import Classifier
from pipeline.errors import InputError
from pipeline.files import read_json, reading
from pipeline.gan.sampling import Trained, load_generator
from pipeline.images import LabelledImages, load, load_arrays
from pipeline.quality.replicate import load_oracle

Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Entry:
    """The generators of one budget, one a replicate.

    budget: real images of each class that each learnt from. recipe: of conf/gan. steps: of its training, None if its
    config does not say. shape: (C, H, W) of its images.
    """

    budget: int
    recipe: str
    steps: int | None
    replicates: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]


class Oracle(NamedTuple):
    """The classifier that was trained on all training images, and what its outputs stand for."""

    network: Classifier
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Shelf:
    """A study's folder `artifacts`."""

    artifacts: Path

    def entries(self) -> tuple[list[Entry], list[str]]:
        """All budgets with trained generators, ascending, and a line for each whose config is damaged."""
        found, complaints = [], []
        folders = (path for path in self.artifacts.glob("gan/*") if path.name.isdecimal() and path.is_dir())
        for folder in sorted(folders, key=lambda path: int(path.name)):
            try:
                found.append(_entry(folder))
            except InputError as error:
                complaints.append(str(error))
        return found, complaints

    def entry(self, budget: int) -> Entry:
        """Raises InputError naming what is missing or damaged."""
        return _entry(self.artifacts / "gan" / str(budget))

    def generator(self, budget: int, replicate: int) -> Trained:
        """Raises InputError naming the file that is missing or damaged."""
        folder = self.artifacts / "gan" / str(budget)
        weights = folder / f"generator-{replicate}.safetensors"
        return _generator(folder, replicate, _stamp(folder / "config.json", weights))

    def oracle(self) -> Oracle:
        """Raises InputError naming the file that is missing or damaged."""
        folder = self.artifacts / "oracle"
        return _oracle(folder, _stamp(folder / "config.json", folder / "weights.safetensors"))

    def real(self, budget: int, replicate: int) -> LabelledImages:
        """The real subset that the generator learnt from. Raises InputError naming the file that is wrong."""
        train, split = self.artifacts / "data" / "train.npz", self.artifacts / "splits" / f"{budget}.npz"
        subsets = _arrays(split, _stamp(split))
        with reading(split):
            return _images(train, _stamp(train)).subset(subsets["subsets"][replicate])


def _entry(folder: Path) -> Entry:
    path = folder / "config.json"
    with reading(path):
        config = read_json(path)
        channels, height, width = (int(side) for side in config["shape"])
        steps = config.get("steps")
        return Entry(
            budget=int(folder.name),
            recipe=str(config["recipe"]),
            steps=None if steps is None else int(steps),
            replicates=int(config["replicates"]),
            shape=(channels, height, width),
            classes=tuple(str(name) for name in config["classes"]),
        )


# A recipe may have a gigabyte of weights: two generators are kept, to go back and forth between.
@lru_cache(maxsize=2)
def _generator(folder: Path, replicate: int, stamp: Stamp) -> Trained:
    with reading(folder / "config.json"):
        return load_generator(folder, replicate)


@lru_cache(maxsize=1)
def _oracle(folder: Path, stamp: Stamp) -> Oracle:
    path = folder / "config.json"
    with reading(path):
        return Oracle(load_oracle(folder), tuple(str(name) for name in read_json(path)["classes"]))


@lru_cache(maxsize=1)
def _images(path: Path, stamp: Stamp) -> LabelledImages:
    return load(path)


@lru_cache(maxsize=8)
def _arrays(path: Path, stamp: Stamp) -> dict:  # type: ignore[type-arg]
    return load_arrays(path)


def _stamp(*paths: Path) -> Stamp:
    """Of each file when it was written and how long it is, None if it is not there."""
    states = [path.stat() if path.exists() else None for path in paths]
    return tuple(None if state is None else (state.st_mtime_ns, state.st_size) for state in states)
