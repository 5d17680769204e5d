"""What rare and common classes gain or lose: accuracy on the test images of each group, arm against reference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.comparison import Predictions, differences_to_interval

COLUMNS = ["budget", "arm", "reference", "group", "accuracy_mean", "accuracy_sd", "delta", "ci_low", "ci_high"]


def rare_classes(per_class: Mapping[str, int]) -> list[str]:
    """The classes with fewer images than the commonest, by name; per_class: how many a replicate is given of each."""
    return [name for name, count in per_class.items() if count < max(per_class.values())]


def uneven_budgets(per_class: Mapping[int, Mapping[str, int]]) -> list[int]:
    """The budgets at which some classes are rare; per_class: budget -> as of `rare_classes`."""
    return [budget for budget, counts in per_class.items() if rare_classes(counts)]


def predictions_to_groups(
    study: Predictions, per_class: Mapping[int, Mapping[str, int]], confidence: float
) -> pd.DataFrame:
    """Columns `COLUMNS`, in percent and points; no row for a budget whose classes are equally large.

    per_class: as of `uneven_budgets`. group: rare (`rare_classes`), common (the rest), or balanced, the mean of all
    classes' recalls. The delta is to the reference (see `references`); its interval is that of the comparison, on the
    test images of the group. That of balanced is a t-interval over the replicates' paired differences: it holds for
    these test images, fresh subsets alone considered, as a mean of recalls has no table of single images to compare.
    Descriptive: no p-value, no verdict.
    """
    rows = []
    for budget in uneven_budgets(per_class):
        rare = [study.classes.index(name) for name in rare_classes(per_class[budget])]
        inside = {"rare": np.isin(study.labels, rare), "common": ~np.isin(study.labels, rare)}
        members = np.eye(len(study.classes))[study.labels]  # (T, K)
        members = members[:, members.any(axis=0)] / members.sum(axis=0)[members.any(axis=0)]
        for reference, arm in itertools.product(references(study, budget), study.by_budget[budget]):
            correct, before = study.correct(budget, arm), study.correct(budget, reference)
            for group, where in inside.items():
                accuracy = pd.Series(100 * correct[:, where].mean(axis=1))
                delta, low, high, _ = differences_to_interval(correct[:, where] - before[:, where], confidence)
                numbers = [accuracy.mean(), accuracy.std(), 100 * delta, 100 * low, 100 * high]
                rows.append([budget, arm, reference, group, *numbers])
            balanced, own = (pd.Series(100 * (table @ members).mean(axis=1)) for table in (correct, before))
            bounds = differences_to_bounds(balanced - own, confidence)
            numbers = [balanced.mean(), balanced.std(), (balanced - own).mean(), *bounds]
            rows.append([budget, arm, reference, "balanced", *numbers])
    return pd.DataFrame(rows, columns=COLUMNS)


def differences_to_bounds(d: pd.Series[float], confidence: float) -> tuple[float, float]:
    """Two-sided t-interval for the mean of one difference a replicate; NaN for a single one."""
    if len(d) < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + confidence) / 2, len(d) - 1) * d.std() / math.sqrt(len(d)))
    return float(d.mean()) - half, float(d.mean()) + half


def references(study: Predictions, budget: int) -> list[str]:
    """`real`, and what needs no synthetic image: classical augmentation, other ways of drawing or weighing the real."""
    fair = ("real", "real+classical")
    return [arm for arm in study.by_budget[budget] if arm in fair or study.of.get(arm) in fair]
