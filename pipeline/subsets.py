"""The leak-free split: per budget, disjoint real subsets, one per replicate, none touching the development part."""

from __future__ import annotations

import hashlib
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
    """

    development_per_class: int
    fewer_replicates: bool

    def __post_init__(self) -> None:
        require(self.development_per_class >= 0, "development_per_class: must not be negative")


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
    """Draw `replicates` disjoint subsets with `budget` images of each class: (R, classes * budget), each row sorted.

    No index of `excluded` is drawn. Replicate r does not depend on how many replicates are asked for, nor a budget on
    the others. With `fewer`, as many replicates as fit are drawn when not all do.

    Raises InputError naming the largest budget and number of replicates that would fit.
    """
    available = np.setdiff1d(np.arange(len(labels)), excluded)
    classes, counts = np.unique(labels[available], return_counts=True)
    smallest = int(counts.min())
    fit = min(replicates, smallest // budget)
    if fit < (1 if fewer else replicates):
        raise InputError(
            f"study.budgets: {budget} images a class x {replicates} replicates need {budget * replicates} of class "
            f"{classes[counts.argmin()]}, which has {smallest}; at {replicates} replicates the largest budget is "
            f"{smallest // replicates}, at this budget the most replicates are {smallest // budget}"
        )
    pools = []
    for c in classes:
        order = _shuffled(labels, c, derive(seed, "subset", budget, int(c)), excluded)
        pools.append(order[: fit * budget].reshape(fit, budget))
    return np.sort(np.concatenate(pools, axis=1), axis=1)


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
