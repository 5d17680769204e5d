"""Class-balanced batches: which image each place of each batch holds, drawn before training begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def labels_to_batches(labels: NDArray[np.int64], steps: int, size: int, seed: int) -> NDArray[np.int64]:
    """Indices (steps, size) into `labels`, such that the counts of any two classes differ by one at most.

    Classes come in shuffled rounds; within a class, images come in shuffled rounds too, so that no image is seen twice
    more often than another of its class. Classes without an image are left out.
    """
    rng = np.random.default_rng(seed)
    classes, total = np.unique(labels), steps * size
    if total == 0:
        return np.empty((steps, size), np.int64)
    order = _rounds(classes, total, rng)
    drawn = np.empty(total, np.int64)
    for label in classes:
        places = np.flatnonzero(order == label)
        drawn[places] = _rounds(np.flatnonzero(labels == label), len(places), rng)
    return drawn.reshape(steps, size)


def class_rounds(labels: NDArray[np.int64], per_class: int, seed: int) -> NDArray[np.int64]:
    """Indices of `per_class` images of each class, ordered by class, every image used before one is used again."""
    rng = np.random.default_rng(seed)
    return np.concatenate([_rounds(np.flatnonzero(labels == label), per_class, rng) for label in np.unique(labels)])


def _rounds(items: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = -(-count // len(items))
    return rng.permuted(np.tile(items, (rounds, 1)), axis=1).ravel()[:count]
