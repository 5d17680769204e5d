"""The learning-rate check: would an arm gain by another rate than the one that all share?

docs/rates.csv holds what `python -m benchmarks.development rates` measured on the development part: a row an arm, rate
and replicate, under the params that made it, each in a column of its key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RATES = Path("docs/rates.csv")
RATE = "classifier.learning_rate"
# The params that an accuracy on the development part depends on, but for the seed and the budget.
MEASURED = ("data.source", "data.image_size", "gan.recipe", "gan.steps", "generate.per_class", "arms", "classifier")
UNUSED = ("arms.pseudo_confidence",)  # no arm of the check has unlabelled images
CONTRASTS = (("real+gan", "real"), ("real+gan+classical", "real+classical"))

Estimate = tuple[float, float]  # mean over replicates, and its standard error (NaN with one replicate)


@dataclass(frozen=True)
class ArmRates:
    """accuracies: in percent, one a rate. best: the rate of the highest. loss: what the shared one loses by it."""

    arm: str
    accuracies: list[float]
    best: float
    loss: Estimate


@dataclass(frozen=True)
class ContrastRates:
    """Deltas in points: with the shared rate, and with each arm at its own best. change: between the two. crossed: the
    same, where a replicate's rates are those that are best on all the others, so that no choice judges itself.
    """

    arm: str
    reference: str
    shared: float
    own: float
    change: Estimate
    crossed: Estimate


@dataclass(frozen=True)
class RateCheck:
    """The check as far as it covers a budget of a study.

    differing: (key, measured, here) of each param in which the study is not what was measured; where there is one, or
    nothing was measured, `arms` is empty.
    """

    differing: list[tuple[str, Any, Any]]
    rates: list[float]
    shared: float
    replicates: int
    arms: list[ArmRates]
    contrasts: list[ContrastRates]


def rate_check(table: pd.DataFrame, params: Mapping[str, Any], budget: int) -> RateCheck:
    """What `table`, the rows of docs/rates.csv, says of a study with `params` at `budget` images a class."""
    here = {"budget": budget, **params_to_settings(params)}
    shared = here.pop(RATE, math.nan)
    keys = [name for name in table.columns if name == "budget" or ("." in name and name != RATE)]
    settings = [
        (_differing(dict(zip(keys, values, strict=True)), here), rows)
        for values, rows in table.groupby(keys, dropna=False, sort=False)
    ]
    differing, rows = min(settings, key=lambda setting: len(setting[0]), default=([], table))
    rates = sorted(float(rate) for rate in rows[RATE].unique())
    if len(rows) and shared not in rates:
        differing.append((RATE, ", ".join(f"{rate:g}" for rate in rates), shared))
    if differing or rows.empty:
        return RateCheck(differing, rates, shared, 0, [], [])
    # (replicates, rates) of each arm; the same replicates in all
    measured = {
        str(arm): own.pivot(index=["seed", "replicate"], columns=RATE, values="accuracy").to_numpy()
        for arm, own in rows.groupby("arm", sort=False)
    }
    place = rates.index(shared)
    replicates = len(next(iter(measured.values())))
    arms = [_arm(arm, own, rates, place) for arm, own in measured.items()]
    contrasts = [
        _contrast(arm, reference, measured[arm], measured[reference], place)
        for arm, reference in CONTRASTS
        if {arm, reference} <= measured.keys()
    ]
    return RateCheck([], rates, shared, replicates, arms, contrasts)


def params_to_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of every param in `MEASURED`, sections flattened; None where a section or key is missing."""
    found: dict[str, Any] = {}
    for key in MEASURED:
        value: Any = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        found |= _flat(key, value)
    return {key: value for key, value in found.items() if key not in UNUSED}


def _arm(arm: str, own: NDArray[np.float64], rates: list[float], place: int) -> ArmRates:
    means = own.mean(axis=0)
    best = int(means.argmax())
    return ArmRates(arm, means.tolist(), rates[best], _estimate(own[:, best] - own[:, place]))


def _contrast(
    arm: str, reference: str, of_arm: NDArray[np.float64], of_reference: NDArray[np.float64], place: int
) -> ContrastRates:
    shared = of_arm[:, place] - of_reference[:, place]
    own = of_arm[:, of_arm.mean(axis=0).argmax()] - of_reference[:, of_reference.mean(axis=0).argmax()]
    crossed = _at_best_of_others(of_arm) - _at_best_of_others(of_reference)
    return ContrastRates(
        arm, reference, float(shared.mean()), float(own.mean()), _estimate(own - shared), _estimate(crossed - shared)
    )


def _at_best_of_others(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """(replicates, rates) -> (replicates,): accuracy at the rate that is best on average over all other replicates."""
    if len(own) < 2:
        return np.full(len(own), np.nan)
    others = own.sum(axis=0) - own
    return own[np.arange(len(own)), others.argmax(axis=1)]


def _estimate(values: NDArray[np.float64]) -> Estimate:
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def _differing(measured: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    pairs = [(key, _or_none(measured.get(key)), _or_none(here.get(key))) for key in {**measured, **here}]
    return [(key, there, value) for key, there, value in pairs if there != value]


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _flat(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    return {name: leaf for part, inner in value.items() for name, leaf in _flat(f"{key}.{part}", inner).items()}
