"""Interactions: does what some images add depend on how the real ones beside them are distorted?

The difference of two contrasts, paired as each of them is: a variant over the real images as it has them, less the arm
that it varies over the real images as that one has them. Two intervals side by side do not answer it: both share
subsets, GANs and test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.comparison import Predictions, differences_to_interval


class Interaction(NamedTuple):
    """(arm - reference) - (base - base_reference)."""

    arm: str
    reference: str
    base: str
    base_reference: str


COLUMNS = ("budget", *Interaction._fields, "delta", "base_delta", "change", "ci_low", "ci_high")


def interactions(of: Mapping[str, str], reals: Mapping[str, str]) -> list[Interaction]:
    """One for each variant that is not real images alone, and whose real images are distorted otherwise than those of
    the arm that it varies. of, reals: as of `contrasts`.
    """
    four = [
        Interaction(arm, reals[arm], base, reals[base]) for arm, base in of.items() if arm in reals and base in reals
    ]
    return [one for one in four if one.reference != one.base_reference and one.arm != one.reference]


def predictions_to_interactions(study: Predictions, confidence: float) -> pd.DataFrame:
    """Columns `COLUMNS`, in points: both contrasts, the change from base_delta to delta, and its interval, which is
    that of the comparison. Descriptive: no p-value, no verdict.
    """
    rows = []
    for budget in sorted(study.by_budget):
        for one in interactions(study.of, study.reals):
            if not {*one} <= set(study.by_budget[budget]):
                continue
            arm, reference, base, base_reference = (study.correct(budget, name) for name in one)
            gain, base_gain = arm - reference, base - base_reference
            change, low, high, _ = differences_to_interval(gain - base_gain, confidence)
            rows.append([budget, *one, *(100 * value for value in (gain.mean(), base_gain.mean(), change, low, high))])
    return pd.DataFrame(rows, columns=[*COLUMNS])
