"""Spearman's rank correlation within groups, with a permutation p: does one number go with another over few runs?

Two numbers that both change from group to group are correlated for that reason alone, so values are ranked among those
of their own group, and the groups' correlations are averaged, weighted by their sizes. With one group it is Spearman's
rho, as of `scipy.stats.spearmanr`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

LARGEST = 50_000  # permutations that are all gone through; of more, as many are drawn
SMALLEST_GROUP = 3  # two runs have a rho of 1 or -1, whatever they are


@dataclass(frozen=True)
class Correlation:
    """rho: from -1 to 1. p: two-sided; both NaN if no group tells. runs: that entered, of groups that tell."""

    rho: float
    p: float
    runs: int


def rank_correlation(x: ArrayLike, y: ArrayLike, groups: ArrayLike, seed: int) -> Correlation:
    """Correlate x with y (N,) within `groups` (N,); a pair in which one is NaN does not count.

    A group of fewer than three pairs, or with all x or all y alike, tells nothing and is left out. p: the share of
    permutations of y within groups whose |rho| is as large; exact up to `LARGEST` of them, else drawn from `seed`.
    """
    x, y, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(groups)
    known = np.isfinite(x) & np.isfinite(y)
    pairs = []
    for group in np.unique(groups):
        mine = known & (groups == group)
        if mine.sum() >= SMALLEST_GROUP and np.ptp(x[mine]) > 0 and np.ptp(y[mine]) > 0:
            pairs.append((_scores(x[mine]), _scores(y[mine])))
    runs = sum(len(scores) for scores, _ in pairs)
    if not runs:
        return Correlation(float("nan"), float("nan"), 0)
    rho = sum(float(of_x @ of_y) for of_x, of_y in pairs) / runs
    return Correlation(rho, _share(_null(pairs, seed), rho), runs)


def smallest_telling(sizes: Sequence[int], seed: int, level: float = 0.05) -> float | None:
    """The smallest |rho| with p of at most `level` in groups of these sizes without ties; None if not even 1 has."""
    pairs = [(_scores(np.arange(size)), _scores(np.arange(size))) for size in sizes if size >= SMALLEST_GROUP]
    if not pairs:
        return None
    null = np.sort(np.abs(_null(pairs, seed)).round(9))
    values, places = np.unique(null, return_index=True)
    telling = values[1 - places / len(null) <= level]
    return float(telling[0]) if len(telling) else None


def _scores(values: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Ranks, ties sharing theirs, with a mean of 0 and a mean square of 1."""
    ranks: NDArray[np.float64] = rankdata(values)
    return (ranks - ranks.mean()) / ranks.std()


@functools.cache
def _orders(count: int) -> NDArray[np.int64]:
    """All orders of `count` places, (count!, count)."""
    return np.array(list(permutations(range(count))))


def _null(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], seed: int) -> NDArray[np.float64]:
    """rho of every permutation of y within groups, or of `LARGEST` of them and the given order."""
    runs = sum(len(of_x) for of_x, _ in pairs)
    if math.prod(math.factorial(len(of_x)) for of_x, _ in pairs) <= LARGEST:
        parts = [of_y[_orders(len(of_y))] @ of_x for of_x, of_y in pairs]
        return functools.reduce(np.add.outer, parts).ravel() / runs
    rng = np.random.default_rng(seed)
    drawn = [rng.permuted(np.tile(of_y, (LARGEST, 1)), axis=1) @ of_x for of_x, of_y in pairs]
    given = sum(float(of_x @ of_y) for of_x, of_y in pairs)
    return np.append(np.sum(drawn, axis=0), given) / runs


def _share(null: NDArray[np.float64], rho: float) -> float:
    return float((np.abs(null) >= abs(rho) - 1e-9).mean())
