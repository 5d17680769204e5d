"""Worth how many real images? An arm's accuracy, read off the curve of real images alone, with its confidence set.

The curve: mean accuracy of arm `real` at every budget with two replicates or more, linear in log budget between them.
An arm is worth the budget at which that curve first reaches the arm's accuracy: the smallest crossing, so that a curve
that is not monotone never flatters an arm. Nothing is read beyond the curve's ends.

The confidence set inverts a test (as Fieller 1954 does for a ratio): a candidate b' between budgets b1 and b2 stays in
it if

    D(b') = accuracy(arm, b) - (1 - w) accuracy(real, b1) - w accuracy(real, b2),  w = log(b'/b1) / log(b2/b1)

does not differ from 0. Subsets and classifiers of different budgets are drawn independently; where b1 or b2 is b itself
the arm and `real` are paired; all tables share their test images. So, as in comparison.py, but for several tables,

    Var(D) = C / T + sum_g (MS_R,g - MS_E,g) / (R_g T)

with C the variance, over test images, of the sum of the tables' column means, and the mean squares of each budget's own
part of D. What is given is the hull of the set. Between budgets a subset may share images with another's, which makes
D vary less than this says: the interval then errs on the wide side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.comparison import Predictions

COLUMNS = ["budget", "arm", "replicates", "accuracy_mean", "worth", "worth_low", "worth_high", "curve_from", "curve_to"]
CANDIDATES = 400  # of each stretch between two budgets; a bound is then a fifth of a percent to half a percent too wide

Floats = NDArray[np.float64]


class Worth(NamedTuple):
    """Real images a class; 0 is below the curve's first budget, inf above its last, and no number can be read there."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Moments:
    """What tables of right answers (R, T) come down to, N tables of G budgets on the same T test images.

    names: budget and arm of each table. means: (N,), share of right answers. images: (N, N), covariance of the column
    means over test images. subsets, rest: budget -> (N, N), MS_R and MS_E and their cross products, divided by R T; 0
    outside the budget's tables. replicates: budget -> R.
    """

    names: list[tuple[int, str]]
    means: Floats
    images: Floats
    subsets: Mapping[int, Floats]
    rest: Mapping[int, Floats]
    replicates: Mapping[int, int]
    tested: int


def tables_to_moments(tables: Mapping[tuple[int, str], NDArray[np.integer]]) -> Moments:
    """tables: (budget, arm) -> (R, T), 1 where the arm is right; R >= 2, and the same within a budget; T >= 2."""
    names = list(tables)
    columns = np.stack([tables[name].mean(axis=0) for name in names])  # (N, T)
    N, T = columns.shape
    centred = columns - columns.mean(axis=1, keepdims=True)
    subsets, rest, replicates = {}, {}, {}
    for budget in dict.fromkeys(budget for budget, _ in names):
        own = [i for i, name in enumerate(names) if name[0] == budget]
        d = np.stack([tables[names[i]] for i in own]).astype(np.float64)  # (K, R, T)
        rows, R = d.mean(axis=2, keepdims=True) - d.mean(axis=(1, 2), keepdims=True), d.shape[1]
        left = (d - rows - columns[own][:, None]).reshape(len(own), -1)
        place = np.ix_(own, own)
        subsets[budget], rest[budget] = np.zeros((N, N)), np.zeros((N, N))
        subsets[budget][place] = rows[:, :, 0] @ rows[:, :, 0].T / ((R - 1) * R)
        rest[budget][place] = left @ left.T / ((R - 1) * (T - 1) * R * T)
        replicates[budget] = R
    return Moments(names, columns.mean(axis=1), centred @ centred.T / (T - 1), subsets, rest, replicates, T)


def contrasts_to_halves(moments: Moments, coefficients: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Of W contrasts between tables, coefficients (W, N): their estimates, and half the width of their intervals, (W,).

    A component of the variance that would be below 0 is 0, and drops out of the degrees of freedom, which are
    Satterthwaite's less two, and at least those of the budget with the fewest replicates: of one table of differences
    this is `comparison.mean_squares_to_interval`, but that what drops out is not pooled.
    """

    def quadratic(matrix: Floats) -> Floats:
        return np.maximum(np.einsum("wn,nm,wm->w", coefficients, matrix, coefficients, optimize=True), 0.0)

    freedom = np.array([R - 1 for R in moments.replicates.values()])[:, None]  # (G, 1)
    T = moments.tested
    image = quadratic(moments.images) / T  # (W,)
    subset = np.stack([quadratic(matrix) for matrix in moments.subsets.values()])  # (G, W)
    rest = np.stack([quadratic(matrix) for matrix in moments.rest.values()])
    by_image, by_subset = image > rest.sum(axis=0), subset > rest
    signs = 1.0 - by_image - by_subset  # how often, and with which sign, a budget's rest is in the variance
    variance = by_image * image + (by_subset * subset + signs * rest).sum(axis=0)
    squares = by_image * image**2 / (T - 1)
    squares += ((by_subset * subset**2 + (signs * rest) ** 2 / (T - 1)) / freedom).sum(axis=0)
    budgets = [budget for budget, _ in moments.names]
    used = np.stack([coefficients[:, np.array(budgets) == budget].any(axis=1) for budget in moments.replicates])
    fewest = np.where(used, freedom, np.iinfo(int).max).min(axis=0)
    satterthwaite = np.divide(variance**2, squares, out=np.zeros_like(variance), where=squares > 0)
    quantile = stats.t.ppf((1 + confidence) / 2, np.maximum(fewest, satterthwaite - 2))
    return coefficients @ moments.means, np.sqrt(np.maximum(variance, 0.0)) * quantile


def crossing(budgets: Floats, accuracies: Floats, level: float) -> float:
    """The smallest budget at which the curve, linear in log budget, reaches `level`; 0 if its first budget is above,
    inf if it never does.
    """
    if accuracies[0] > level:
        return 0.0
    for i in range(len(budgets)):
        if accuracies[i] >= level:
            if i == 0:
                return float(budgets[0])
            share = (level - accuracies[i - 1]) / (accuracies[i] - accuracies[i - 1])
            return float(budgets[i - 1] * (budgets[i] / budgets[i - 1]) ** share)
    return math.inf


def moments_to_worth(moments: Moments, budget: int, arm: str, confidence: float) -> Worth:
    """What `arm` at `budget` is worth, in real images a class. An end of the curve that is not rejected, or where real
    images alone are already better (its first budget) or still worse (its last), leaves that end of the interval open.
    """
    knots = sorted(moments.replicates)
    sizes = np.array(knots, dtype=np.float64)
    real = [moments.names.index((knot, "real")) for knot in knots]
    own = moments.names.index((budget, arm))
    steps = np.log(sizes)
    stretches = [np.linspace(steps[i], steps[i + 1], CANDIDATES, endpoint=False) for i in range(len(steps) - 1)]
    candidates = np.concatenate([*stretches, steps[-1:]])  # (W,), logarithms
    coefficients = np.zeros((len(candidates), len(moments.names)))
    for i, place in enumerate(real):
        coefficients[:, place] = -np.interp(candidates, steps, np.eye(len(knots))[i])
    coefficients[:, own] += 1
    d, half = contrasts_to_halves(moments, coefficients, confidence)
    inside = np.abs(d) <= half
    crosses = d[:-1] * d[1:] < 0  # between two candidates, where the interval has no width
    inside[:-1] |= crosses
    inside[1:] |= crosses

    estimate = crossing(sizes, moments.means[real], float(moments.means[own]))
    kept = np.flatnonzero(inside)
    if len(kept):
        first, last = max(0, kept[0] - 1), min(len(d) - 1, kept[-1] + 1)  # outwards to what is rejected
        low, high = float(np.exp(candidates[first])), float(np.exp(candidates[last]))
    else:
        low, high = (sizes[-1], math.inf) if d[0] > 0 else (0.0, sizes[0])
    low = 0.0 if inside[0] or d[0] < 0 else float(low)
    high = math.inf if inside[-1] or d[-1] > 0 else float(high)
    return Worth(estimate, low, high)


def predictions_to_worth(study: Predictions, confidence: float) -> pd.DataFrame:
    """Columns `COLUMNS`, one row for each arm but `real` at each budget of the curve: its accuracy (percent), what it
    is worth with the interval's bounds (real images a class; `Worth` says what 0 and inf are), and the curve's ends.

    Empty where the curve has fewer than two budgets of two replicates. The intervals are not adjusted for their number.
    """
    curve = [budget for budget in sorted(study.by_budget) if len(study.by_budget[budget]["real"]) > 1]
    rows = []
    if len(curve) > 1:
        named = [(budget, arm) for budget in curve for arm in study.by_budget[budget]]
        moments = tables_to_moments({name: study.correct(*name) for name in named})
        for (budget, arm), accuracy in zip(named, moments.means, strict=True):
            if arm != "real":
                worth = moments_to_worth(moments, budget, arm, confidence)
                row = [budget, arm, moments.replicates[budget], 100 * accuracy, *worth]
                rows.append([*row, curve[0], curve[-1]])
    return pd.DataFrame(rows, columns=COLUMNS)
