"""Trials: what `python -m pipeline.tune` has measured, and by what a row of it is known.

docs/tuning.csv holds what `python -m pipeline.tune` measured on the development part: a row an arm, setting and
replicate, under the params that made it, each in a column of its key. A setting is the whole of section `classifier`
and of arms.classical, the distortions of classical augmentation.
Column `variant` has what defines an arm that is a variant, whose name alone would not tell it from another's. Where a
teacher labels or judges images, it had the study's settings in every trial; what these were belongs to the definition
of a variant that asks it, and in a study with unlabelled images, whose GANs learn from its labels, to the params.
Column `machine` has the processor or GPU, as each rounds otherwise: settings are compared on one machine alone. Rows
from before there was that column have none, and are compared with one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import InputError

TRIALS = Path("docs/tuning.csv")
CLASSIFIER, DISTORTION = "classifier.", "arms.classical."
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
TEXTS = (
    "data.source",
    "data.root",
    "data.channels",
    "data.shift",
    "split.rare_classes",
    "gan.recipe",
    "teacher",
    "machine",
    "arm",
    "variant",
)
COLUMNS = ("budget", "seed", "arm", "variant", "replicate", "accuracy")  # besides those of `MEASURED`
MACHINE = "machine"


def read_trials(path: Path = TRIALS) -> pd.DataFrame:
    """The rows at `path`, none if there is no such file. Raises InputError if it is damaged."""
    if not path.exists():
        return pd.DataFrame()
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
        if missing := [name for name in COLUMNS if name not in table]:
            raise ValueError(f"no column {missing[0]}")
        return table.astype({"accuracy": float}).fillna({"variant": ""})
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: damaged ({str(error).strip()}); restore it with `git checkout {path}`") from None


def own_settings(params: Mapping[str, Any], budget: int) -> dict[str, dict[str, Any]]:
    """Arm -> what it has at `budget` in place of section `classifier`'s settings, of every arm that has such there."""
    found = {}
    for own in params["arms"].get("own_settings") or ():
        if own.get("budget") not in (None, budget):
            continue
        changes = {key: value for key, value in own.items() if key not in ("arm", "budget") and value is not None}
        if changes != {key: params["classifier"].get(key) for key in changes}:
            found[own["arm"]] = changes
    return found


def variant_definitions(params: Mapping[str, Any], budget: int) -> dict[str, str]:
    """Name of each variant of the study -> its definition at `budget` as column `variant` has it:
    `of real+gan, share 0.5`.
    """
    variants, found = params.get("variants") or {}, {}
    for variant in (variant for kind in ("baseline", "generated") for variant in variants.get(kind) or ()):
        parts = [f"{key} {_to_text(value)}" for key, value in sorted(variant.items()) if key != "name"]
        asks = variant.get("keep") == "agreeing" or variant.get("labels") == "soft"
        found[variant["name"]] = ", ".join([*parts, *([f"teacher {teacher_to_text(params, budget)}"] if asks else [])])
    return found


def _to_text(value: Any) -> str:
    """A section as `blur 0 rotate 5`, without what is None."""
    if not isinstance(value, Mapping):
        return str(value)
    return " ".join(f"{key} {one:g}" for key, one in sorted(value.items()) if one is not None)


def teacher_to_text(params: Mapping[str, Any], budget: int) -> str:
    """How the study's teacher at `budget` is trained, as arm real+classical is: `width 24, ..., rotate 12, ...`."""
    settings = {**params["classifier"], **own_settings(params, budget).get("real+classical", {})}
    settings |= params["arms"]["classical"]
    return ", ".join(f"{key} {value:g}" for key, value in settings.items())


def params_to_settings(params: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """Dotted key -> value of every param in `MEASURED` that has a part in this study at `budget`, sections flattened;
    None where a section or key is missing, or is not used. A list becomes a text.
    """
    found: dict[str, Any] = {}
    for key in MEASURED:
        value: Any = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        found |= _flat(key, value)
    found.pop("arms.own_settings", None)  # what is measured is every arm at every setting
    found["teacher"] = teacher_to_text(params, budget) if found["split.unlabelled_per_class"] else None
    unused = [
        *([] if found["data.source"] == "folder" else ["data.root", "data.channels"]),
        *([] if found["split.rare_classes"] else ["split.common_per_class"]),
        *([] if found["split.unlabelled_per_class"] else ["arms.pseudo_confidence"]),
    ]
    return found | dict.fromkeys(unused)


def _flat(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {name: leaf for part, inner in value.items() for name, leaf in _flat(f"{key}.{part}", inner).items()}
    return {key: ", ".join(map(str, value)) or None if isinstance(value, list | tuple) else value}
