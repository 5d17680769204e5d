"""The tables of docs/tuning.md, from docs/tuning.csv: the classifier's settings against others, in each regime.

    make study NAME=noisy_labels && python -m pipeline.tune --set steps=500 steps=1000 label_smoothing=0.3
    git checkout params.yaml
    python -m benchmarks.tuned

Two sweeps of one regime stand in one table; a person's words stand around it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.blocks import to_markdown, write_blocks
from pipeline.errors import InputError
from pipeline.report import words
from pipeline.report.tables import tuning_to_text
from pipeline.report.text import typeset
from pipeline.stages.stage import PARAMS, read_params
from pipeline.tuning import TuningCheck, read_tuning, tuning_check

PAGE, STUDIES = Path("docs/tuning.md"), Path("conf")
# Block of the page -> study of conf/ (none: params.yaml as it stands), change of section `data`, budget.
REGIMES: dict[str, tuple[str | None, dict[str, Any], int]] = {
    "default": (None, {}, 50),
    "default 20": (None, {}, 20),
    "rotated": ("shifted_test", {}, 50),
    "blurred": ("shifted_test", {"shift": "blurred"}, 50),
    "wrong labels": ("noisy_labels", {}, 50),
    "rare classes": ("imbalance", {}, 20),
}


def regime_to_check(
    rows: pd.DataFrame, params: Mapping[str, Any], study: Mapping[str, Any], data: Mapping[str, Any], budget: int
) -> TuningCheck:
    """What `rows` say of `params` with the study's sections, and `data`, over them."""
    merged = {name: {**values, **study.get(name, {})} for name, values in params.items()}
    merged["data"] |= data
    merged["compare"]["primary"] = {**params["compare"]["primary"], **study.get("compare", {}).get("primary", {})}
    return tuning_check(rows, merged, budget)


def check_to_block(check: TuningCheck) -> str:
    """A row an arm, the best setting in bold, and a line a contrast."""
    table = tuning_to_text(check)
    for row, arm in enumerate(check.arms):
        table.iloc[row, 1 + arm.best] = f"**{table.iloc[row, 1 + arm.best]}**"
    table["arm"] = [f"`{name}`" for name in table["arm"]]
    return "\n".join([to_markdown(table.set_index("arm")), "", *(f"- {typeset(line)}" for line in words.tuned(check))])


def main() -> int:
    """The command line; returns the exit status."""
    argparse.ArgumentParser(prog="python -m benchmarks.tuned", description=__doc__).parse_args()
    try:
        rows, params, blocks = read_tuning(), read_params(PARAMS), {}
        for name, (study, data, budget) in REGIMES.items():
            changes = read_params(STUDIES / f"{study}.yaml") if study else {}
            check = regime_to_check(rows, params, changes, data, budget)
            if not check.covers:
                raise InputError(f"docs/tuning.csv has no rows of {name}: {words.tuned(check)}")
            blocks[name] = check_to_block(check)
        write_blocks(PAGE, blocks)
    except InputError as error:
        print(f"benchmarks.tuned: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
