"""The tuning check: would an arm gain by other settings of the classifier than those that all arms share?

docs/tuning.csv holds what `python -m pipeline.tune` measured on the development part: a row an arm, setting and
replicate, under the params that made it, each in a column of its key. A setting is a whole section `classifier`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.errors import InputError

TUNING = Path("docs/tuning.csv")
CLASSIFIER = "classifier."
# The params that an accuracy on the development part depends on, but for seed, budget and variants.
MEASURED = (
    "data.source",
    "data.root",
    "data.image_size",
    "data.channels",
    "data.shift",
    "split.rare_classes",
    "split.common_per_class",
    "split.label_noise",
    "split.unlabelled_per_class",
    "gan.recipe",
    "gan.steps",
    "gan.epochs",
    "generate.per_class",
    "arms",
    "classifier",
)
TEXTS = ("data.source", "data.root", "data.channels", "data.shift", "split.rare_classes", "gan.recipe", "arm")
COLUMNS = ("budget", "seed", "arm", "replicate", "accuracy")  # besides those of `MEASURED`
CONTRASTS = (("real+gan", "real"), ("real+gan+classical", "real+classical"))
SHARED = "as they are"  # the setting of the study at hand

Estimate = tuple[float, float]  # mean over replicates, and its standard error (NaN with one replicate)


@dataclass(frozen=True)
class ArmTuning:
    """accuracies: in percent, one a setting. best: the place of the highest. gain: of the best over the shared one.
    crossed: the same, where a replicate's setting is the one that is best on all the others, so that no choice judges
    itself.
    """

    arm: str
    accuracies: list[float]
    best: int
    gain: Estimate
    crossed: Estimate


@dataclass(frozen=True)
class ContrastTuning:
    """Deltas in points: under each setting, and with each arm at its own best. change: from the shared setting to each
    arm's own best. crossed: the same, chosen on all other replicates.
    """

    arm: str
    reference: str
    deltas: list[Estimate]
    own: float
    change: Estimate
    crossed: Estimate


@dataclass(frozen=True)
class TuningCheck:
    """The check as far as it covers a budget of a study.

    differing: (key, measured, here) of each param in which the study is not what was measured; where there is one, or
    nothing was measured, `arms` is empty. settings: what each changes of the study's, which comes first.
    """

    differing: list[tuple[str, Any, Any]]
    settings: list[str]
    replicates: int
    arms: list[ArmTuning]
    contrasts: list[ContrastTuning]

    @property
    def covers(self) -> bool:
        return bool(self.arms)


def read_tuning(path: Path = TUNING) -> pd.DataFrame:
    """The rows at `path`, none if there is no such file. Raises InputError if it is damaged."""
    if not path.exists():
        return pd.DataFrame()
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
        if missing := [name for name in COLUMNS if name not in table]:
            raise ValueError(f"no column {missing[0]}")
        return table.astype({"accuracy": float})
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: damaged ({str(error).strip()}); restore it with `git checkout {path}`") from None


def tuning_check(table: pd.DataFrame, params: Mapping[str, Any], budget: int) -> TuningCheck:
    """What `table`, the rows of docs/tuning.csv, says of a study with `params` at `budget` images a class.

    Of its primary contrast first, then of `CONTRASTS`.
    """
    here, primary = {"budget": budget, **params_to_settings(params)}, params["compare"]["primary"]
    if table.empty:
        return TuningCheck([], [], 0, [], [])
    keys = [name for name in table.columns if name == "budget" or "." in name]
    regime = [name for name in keys if not name.startswith(CLASSIFIER)]
    section = [name for name in {**dict.fromkeys(keys), **here} if name.startswith(CLASSIFIER)]
    groups = [
        (_differing(dict(zip(regime, values, strict=True)), _without(here, section)), rows)
        for values, rows in table.groupby(regime, dropna=False, sort=False)
    ]
    differing, rows = min(groups, key=lambda group: len(group[0]))
    rows = rows.reindex(columns=[*rows.columns, *(name for name in section if name not in rows)])
    settings = [
        (_differing(dict(zip(section, values, strict=True)), {name: here.get(name) for name in section}), own)
        for values, own in rows.groupby(section, dropna=False, sort=False)
    ]
    settings.sort(key=lambda setting: len(setting[0]) > 0)  # the shared one first, the others as they were measured
    nearest = min((changes for changes, _ in settings), key=len)
    if differing or nearest:
        return TuningCheck([*differing, *nearest], [], 0, [], [])
    names = [
        ", ".join(f"{key.removeprefix(CLASSIFIER)} {there:g}" for key, there, _ in changes) for changes, _ in settings
    ]
    measured = _by_arm([own for _, own in settings])
    return TuningCheck(
        [],
        [name or SHARED for name in names],
        len(next(iter(measured.values()))),
        [_arm(arm, own) for arm, own in measured.items()],
        [
            _contrast(arm, reference, measured[arm], measured[reference])
            for arm, reference in dict.fromkeys([(primary["arm"], primary["reference"]), *CONTRASTS])
            if {arm, reference} <= measured.keys()
        ],
    )


def clearly_above(estimate: Estimate, replicates: int, margin: float) -> bool:
    """Is it more than `margin`, and its 95 % t-interval over `replicates` above 0? Never with one replicate."""
    mean, error = estimate
    return replicates > 1 and mean > margin and mean > error * float(stats.t.ppf(0.975, replicates - 1))


def params_to_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of every param in `MEASURED` that has a part in this study, sections flattened; None where a
    section or key is missing, or is not used. A list becomes a text.
    """
    found: dict[str, Any] = {}
    for key in MEASURED:
        value: Any = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        found |= _flat(key, value)
    unused = [
        *([] if found["data.source"] == "folder" else ["data.root", "data.channels"]),
        *([] if found["split.rare_classes"] else ["split.common_per_class"]),
        *([] if found["split.unlabelled_per_class"] else ["arms.pseudo_confidence"]),
    ]
    return found | dict.fromkeys(unused)


def _by_arm(settings: Sequence[pd.DataFrame]) -> dict[str, NDArray[np.float64]]:
    """(replicates, settings) of each arm that every setting has: accuracies on the replicates that all of them have."""
    tables = [own.set_index(["arm", "seed", "replicate"])["accuracy"] for own in settings]
    whole = pd.concat(tables, axis=1, join="inner")
    return {str(arm): own.to_numpy(np.float64) for arm, own in whole.groupby("arm", sort=False)}


def _arm(arm: str, own: NDArray[np.float64]) -> ArmTuning:
    means = own.mean(axis=0)
    best = int(means.argmax())
    gain, crossed = own[:, best] - own[:, 0], _at_best_of_others(own) - own[:, 0]
    return ArmTuning(arm, means.tolist(), best, _estimate(gain), _estimate(crossed))


def _contrast(
    arm: str, reference: str, of_arm: NDArray[np.float64], of_reference: NDArray[np.float64]
) -> ContrastTuning:
    deltas = of_arm - of_reference
    own = of_arm[:, of_arm.mean(axis=0).argmax()] - of_reference[:, of_reference.mean(axis=0).argmax()]
    crossed = _at_best_of_others(of_arm) - _at_best_of_others(of_reference)
    return ContrastTuning(
        arm,
        reference,
        [_estimate(column) for column in deltas.T],
        float(own.mean()),
        _estimate(own - deltas[:, 0]),
        _estimate(crossed - deltas[:, 0]),
    )


def _at_best_of_others(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """(replicates, settings) -> (replicates,): accuracy at the setting that is best on average over all others."""
    if len(own) < 2:
        return np.full(len(own), np.nan)
    others = own.sum(axis=0) - own
    return own[np.arange(len(own)), others.argmax(axis=1)]


def _estimate(values: NDArray[np.float64]) -> Estimate:
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in names}


def _differing(measured: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    pairs = [(key, _or_none(measured.get(key)), _or_none(here.get(key))) for key in {**measured, **here}]
    return [(key, there, value) for key, there, value in pairs if there != value]


def _or_none(value: Any) -> Any:
    return None if value == "" or (isinstance(value, float) and math.isnan(value)) else value


def _flat(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {name: leaf for part, inner in value.items() for name, leaf in _flat(f"{key}.{part}", inner).items()}
    return {key: ", ".join(map(str, value)) or None if isinstance(value, list | tuple) else value}
