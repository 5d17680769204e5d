"""The leak-free split: per budget, disjoint real subsets, one per replicate, none touching the development part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import require
from pipeline.errors import InputError
from pipeline.seeds import derive

Indices = NDArray[np.int64]

# The development part is the same in every study, whatever its seed: what was tuned on it is never drawn.
DEVELOPMENT_SEED = 20260101


@dataclass(frozen=True)
class SplitConfig:
    """development_per_class: images of each class that no study draws. fewer_replicates: where the disjoint subsets of
    a budget are fewer than the replicates asked for, take those there are instead of ending in an error.

    rare_classes: names of classes that alone are short, with `budget` images; each other class has common_per_class.
    Empty: all classes have `budget` images. label_noise: share of each class's labels that are wrong.
    unlabelled_per_class: further images of each class in each replicate, whose labels nobody knows.
    """

    development_per_class: int
    fewer_replicates: bool
    rare_classes: tuple[str, ...]
    common_per_class: int
    label_noise: float
    unlabelled_per_class: int

    def __post_init__(self) -> None:
        require(self.development_per_class >= 0, "development_per_class: must not be negative")
        require(len(set(self.rare_classes)) == len(self.rare_classes), "rare_classes: each must be named once")
        require(self.common_per_class > 0, "common_per_class: must be positive")
        require(0 <= self.label_noise < 1, f"label_noise: must lie in [0, 1), got {self.label_noise}")
        require(self.unlabelled_per_class >= 0, "unlabelled_per_class: must not be negative")

    def class_counts(self, budget: int, classes: Sequence[str]) -> Indices:
        """Real images of each of `classes`, (K,). Raises InputError if a rare class is not among them."""
        for name in self.rare_classes:
            if name not in classes:
                raise InputError(f"split.rare_classes: no class {name!r}; the classes are {', '.join(classes)}")
        common = self.common_per_class if self.rare_classes else budget
        return np.array([budget if name in self.rare_classes else common for name in classes])


def development_part(labels: Indices, per_class: int) -> Indices:
    """Sorted indices of `per_class` images of each class that no study draws; tuning happens on these alone.

    Raises InputError if a class is left without an image outside the part.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if per_class >= counts.min():
        raise InputError(
            f"split.development_per_class: {per_class} leaves nothing of class {classes[counts.argmin()]}, which has "
            f"{counts.min()} training images; lower it"
        )
    parts = [_shuffled(labels, c, derive(DEVELOPMENT_SEED, int(c)))[:per_class] for c in classes]
    return np.sort(np.concatenate(parts))


def disjoint_subsets(
    labels: Indices, excluded: Indices, budget: int, replicates: int, seed: int, fewer: bool = False
) -> Indices:
    """Draw `replicates` disjoint subsets with `budget` images of each class: (R, classes * budget), each row sorted."""
    counts = np.full(len(np.unique(labels)), budget)
    return draw_subsets(labels, excluded, budget, counts, 0, replicates, seed, fewer)[0]


def draw_subsets(
    labels: Indices,
    excluded: Indices,
    budget: int,
    counts: Indices,
    unlabelled: int,
    replicates: int,
    seed: int,
    fewer: bool = False,
) -> tuple[Indices, Indices]:
    """Draw disjoint subsets, one a replicate, each row sorted: labelled images (R, sum of `counts`), and others (R, M).

    counts: images of each class, (K,). unlabelled: of each class besides these. budget: decides the draw. No index of
    `excluded` is drawn. Replicate r does not depend on how many replicates are asked for, nor a budget on the others.
    With `fewer`, as many replicates as fit are drawn when not all do.

    Raises InputError naming the largest budget and number of replicates that would fit.
    """
    available = np.setdiff1d(np.arange(len(labels)), excluded)
    classes, there = np.unique(labels[available], return_counts=True)
    each = counts + unlabelled
    short = int((there / each).argmin())
    smallest, needed = int(there[short]), int(each[short])
    fit = min(replicates, smallest // needed)
    if fit < (1 if fewer else replicates):
        key = "study.budgets" if counts[short] == budget else "split.common_per_class"
        besides = f" and {unlabelled} unlabelled" if unlabelled else ""
        raise InputError(
            f"{key}: {counts[short]}{besides} images a class x {replicates} replicates need "
            f"{needed * replicates} of class {classes[short]}, which has {smallest}; at {replicates} replicates the "
            f"largest budget is {max(0, smallest // replicates - unlabelled)}, at this budget the most replicates are "
            f"{smallest // needed}"
        )
    drawn, others = [], []
    for c, count, size in zip(classes, counts, each, strict=True):
        order = _shuffled(labels, c, derive(seed, "subset", budget, int(c)), excluded)
        rows = order[: fit * size].reshape(fit, size)
        drawn.append(rows[:, :count])
        others.append(rows[:, count:])
    return np.sort(np.concatenate(drawn, axis=1), axis=1), np.sort(np.concatenate(others, axis=1), axis=1)


def noisy_labels(labels: Indices, classes: int, share: float, seed: int) -> Indices:
    """`labels` (N,) with `share` of each class's replaced, each by one of the other classes, all as likely."""
    rng, noisy = np.random.default_rng(seed), labels.copy()
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        wrong = members[: round(share * len(members))]
        noisy[wrong] = (label + rng.integers(1, classes, len(wrong))) % classes
    return noisy


def check_disjoint(subsets: Indices, excluded: Indices) -> None:
    """Raise InputError if two replicates share an image, or one draws an excluded image: a leak."""
    flat = subsets.ravel()
    values, counts = np.unique(flat, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"leak: training image {values[counts > 1][0]} is in two subsets; run `dvc repro -f split`")
    shared = np.intersect1d(flat, excluded)
    if len(shared):
        raise InputError(f"leak: image {shared[0]} of the development part is in a subset; run `dvc repro -f split`")


def digest(indices: Indices) -> str:
    """SHA-256 of the indices as little-endian int64, so that a report can name the exact subset."""
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()


def _shuffled(labels: Indices, label: int, seed: int, excluded: Indices | None = None) -> Indices:
    members = np.flatnonzero(labels == label)
    if excluded is not None:
        members = np.setdiff1d(members, excluded)
    return np.random.default_rng(seed).permutation(members)
