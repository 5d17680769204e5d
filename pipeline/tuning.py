"""The tuning check: would an arm gain by other settings of the classifier, or by distortions, than those that it has?

What was measured is in pipeline/trials.py; a setting is the whole of section `classifier` and of arms.classical, the
distortions of classical augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.trials import (
    CLASSIFIER,
    DISTORTION,
    MACHINE,
    own_settings,
    params_to_settings,
    variant_definitions,
)

NEVER_ALONE = (CLASSIFIER + "width", DISTORTION)  # what arms share: their first weights, and one augmentation
CONTRASTS = (("real+gan", "real"), ("real+gan+classical", "real+classical"))
SHARED = "shared"  # the setting that section `classifier` has, for every arm without one of its own

Estimate = tuple[float, float]  # mean over replicates, and its standard error (NaN with one replicate)
Setting = tuple[tuple[str, Any], ...]  # what it changes of the shared one: (param, value) each


@dataclass(frozen=True)
class ArmTuning:
    """accuracies: in percent, one a setting. own: the place of the arm's own setting; that of all arms is the first.
    best: the place of the highest; best_alone: of those that an arm can have alone. gain: of the best over its own.
    crossed: the same, where a replicate's setting is the one that is best on all the others, so that no choice judges
    itself.
    """

    arm: str
    accuracies: list[float]
    own: int
    best: int
    best_alone: int
    gain: Estimate
    crossed: Estimate


@dataclass(frozen=True)
class ContrastTuning:
    """Deltas in points: with the settings that both arms have, and with each arm at its best. change: from the former
    to the latter. crossed: the same, chosen on all other replicates.
    """

    arm: str
    reference: str
    delta: Estimate
    best: float
    change: Estimate
    crossed: Estimate


@dataclass(frozen=True)
class TuningCheck:
    """The check as far as it covers a budget of a study.

    differing: (key, measured, here) of each param in which the study is not what was measured; where there is one, or
    nothing was measured, `arms` is empty. settings: the shared one comes first. machine: empty where it is not known.
    """

    differing: list[tuple[str, Any, Any]]
    settings: list[Setting]
    replicates: int
    arms: list[ArmTuning]
    contrasts: list[ContrastTuning]
    machine: str = ""

    @property
    def covers(self) -> bool:
        """One setting alone is no check: nothing was tried beside it."""
        return bool(self.arms) and len(self.settings) > 1


def tuning_check(
    table: pd.DataFrame,
    params: Mapping[str, Any],
    budget: int,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    machine: str = "",
) -> TuningCheck:
    """What `table`, the rows of docs/tuning.csv, says of a study with `params` at `budget` images a class.

    Of its primary contrast first, then of `CONTRASTS`. own: as `own_settings` gives it, which it is if left out.
    machine: whose rows to prefer. Else, of several that tried the study's own settings, the one counts that covers most
    of its arms, then the one with most settings and replicates, and among equals the latest.
    """
    defined = variant_definitions(params, budget)
    here, primary = {"budget": budget, **params_to_settings(params, budget)}, params["compare"]["primary"]
    if table.empty:
        return TuningCheck([], [], 0, [], [])
    keys = [name for name in table.columns if name in ("budget", "teacher") or "." in name]
    regime = [name for name in keys if not name.startswith((CLASSIFIER, DISTORTION))]
    section = [name for part in (CLASSIFIER, DISTORTION) for name in dict.fromkeys([*keys, *here]) if part in name]
    shared = {name: here.get(name) for name in section}
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *section, MACHINE])))
    table[MACHINE] = table[MACHINE].astype(object).fillna("")
    groups = [
        _Group(
            _differing(dict(zip(regime, values, strict=True)), _without(here, section)),
            of_machine,
            {
                _changes(dict(zip(section, setting, strict=True)), shared): _of_study(of_setting, defined)
                for setting, of_setting in rows.groupby(section, dropna=False, sort=False)
            },
        )
        for (*values, of_machine), rows in table.groupby([*regime, MACHINE], dropna=False, sort=False)
    ]
    asked = {
        arm: _changes({**shared, **{CLASSIFIER + key: value for key, value in changed.items()}}, shared)
        for arm, changed in (own_settings(params, budget) if own is None else own).items()
    }
    group = min(reversed(groups), key=lambda group: group.rank(machine, asked.values()))
    if group.differing or not group.arms:
        nearest = min(group.by_setting, key=len)
        differing = [*group.differing, *_differing({**shared, **dict(nearest)}, shared)]
        return TuningCheck(differing, [], 0, [], [])
    settings = group.settings
    tables = _by_arm([group.by_setting[setting] for setting in settings])
    places, alone = dict.fromkeys(tables, 0), [*map(can_be_alone, settings)]
    for arm, setting in asked.items():
        if arm in tables:
            if setting not in settings:
                measured = " or ".join(map(setting_to_text, settings))
                return TuningCheck([(f"{arm} at", measured, setting_to_text(setting))], [], 0, [], [])
            places[arm] = settings.index(setting)
    return TuningCheck(
        [],
        settings,
        len(next(iter(tables.values()))),
        [_arm(arm, table, places[arm], np.array(alone)) for arm, table in tables.items()],
        [
            _contrast(arm, reference, (tables[arm], places[arm]), (tables[reference], places[reference]))
            for arm, reference in dict.fromkeys([(primary["arm"], primary["reference"]), *CONTRASTS])
            if {arm, reference} <= tables.keys()
        ],
        group.machine,
    )


@dataclass(frozen=True)
class _Group:
    """Trials of one regime on one machine. differing: as of `TuningCheck`. by_setting: the study's rows of each."""

    differing: list[tuple[str, Any, Any]]
    machine: str
    by_setting: Mapping[Setting, pd.DataFrame]

    @property
    def arms(self) -> set[str]:
        """Those that were tried with the settings that the study has; none where these were not tried."""
        return set(self.by_setting[()]["arm"]) if () in self.by_setting else set()

    @property
    def settings(self) -> list[Setting]:
        """Those that all these arms were tried with: the shared one, then what changes little, best among equals."""
        tried = sorted(self.by_setting, key=len)
        return [setting for setting in tried if self.arms <= set(self.by_setting[setting]["arm"])]

    def rank(self, machine: str, asked: Collection[Setting]) -> tuple[int, ...]:
        """The lowest tells most of the study. asked: settings that its arms have of their own."""
        replicates = self.by_setting[()]["replicate"].nunique() if self.arms else 0
        return (
            len(self.differing),
            not self.arms,
            bool(machine) and self.machine != machine,
            len({*asked} - {*self.settings}),
            -len(self.arms),
            -len(self.settings),
            -replicates,
        )


def clearly_above(estimate: Estimate, replicates: int, margin: float) -> bool:
    """Is it more than `margin`, and its 95 % t-interval over `replicates` above 0? Never with one replicate."""
    mean, error = estimate
    return replicates > 1 and mean > margin and mean > error * float(stats.t.ppf(0.975, replicates - 1))


def setting_to_text(setting: Setting) -> str:
    """`steps 500, label_smoothing 0.3`, or what the shared one is called."""
    parts = [(key.removeprefix(CLASSIFIER).removeprefix(DISTORTION), value) for key, value in setting]
    return ", ".join(f"{key} {'none' if value is None else f'{value:g}'}" for key, value in parts) or SHARED


def can_be_alone(setting: Setting) -> bool:
    """Whether one arm can have it, as arms.own_settings, and others not."""
    return not any(key.startswith(NEVER_ALONE) for key, _ in setting)


def _of_study(rows: pd.DataFrame, defined: Mapping[str, str]) -> pd.DataFrame:
    """Those of arms that are no variants, and of variants that the study has, defined as it defines them."""
    return rows[[variant == defined.get(arm, "") for arm, variant in zip(rows["arm"], rows["variant"], strict=True)]]


def _by_arm(settings: Sequence[pd.DataFrame]) -> dict[str, NDArray[np.float64]]:
    """(replicates, settings) of each arm that every setting has: accuracies on the replicates that all of them have."""
    tables = [own.set_index(["arm", "seed", "replicate"])["accuracy"] for own in settings]
    whole = pd.concat(tables, axis=1, join="inner")
    return {str(arm): own.to_numpy(np.float64) for arm, own in whole.groupby("arm", sort=False)}


def _arm(arm: str, table: NDArray[np.float64], own: int, alone: NDArray[np.bool_]) -> ArmTuning:
    """table: (replicates, settings). alone: (settings,), whether an arm can have it alone."""
    means = table.mean(axis=0)
    best = _best(means, own)
    gain, crossed = table[:, best] - table[:, own], _at_best_of_others(table, own) - table[:, own]
    best_alone = _best(np.where(alone, means, -np.inf), own)
    return ArmTuning(arm, means.tolist(), own, best, best_alone, _estimate(gain), _estimate(crossed))


def _contrast(
    arm: str, reference: str, of_arm: tuple[NDArray[np.float64], int], of_reference: tuple[NDArray[np.float64], int]
) -> ContrastTuning:
    """of_arm, of_reference: a table as of `_arm`, and the arm's own setting in it."""
    both = of_arm, of_reference
    at_own, at_other = (table[:, own] for table, own in both)
    at_best, at_other_best = (table[:, _best(table.mean(axis=0), own)] for table, own in both)
    crossed, crossed_other = (_at_best_of_others(table, own) for table, own in both)
    delta, best = at_own - at_other, at_best - at_other_best
    return ContrastTuning(
        arm,
        reference,
        _estimate(delta),
        float(best.mean()),
        _estimate(best - delta),
        _estimate(crossed - crossed_other - delta),
    )


def _best(means: NDArray[np.float64], own: int) -> int:
    """The place of the highest; among equals the arm's own."""
    return own if means[own] == means.max() else int(means.argmax())


def _at_best_of_others(table: NDArray[np.float64], own: int) -> NDArray[np.float64]:
    """(replicates, settings) -> (replicates,): accuracy at the setting that is best on average over all others."""
    if len(table) < 2:
        return np.full(len(table), np.nan)
    others = (table.sum(axis=0) - table) / (len(table) - 1)
    return np.array([row[_best(means, own)] for row, means in zip(table, others, strict=True)])


def _estimate(values: NDArray[np.float64]) -> Estimate:
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in names}


def _differing(measured: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    pairs = [(key, _or_none(measured.get(key)), _or_none(here.get(key))) for key in {**measured, **here}]
    return [(key, there, value) for key, there, value in pairs if there != value]


def _changes(setting: Mapping[str, Any], shared: Mapping[str, Any]) -> Setting:
    return tuple((key, value) for key, value, _ in _differing(setting, shared))


def _or_none(value: Any) -> Any:
    return None if value == "" or (isinstance(value, float) and math.isnan(value)) else value
