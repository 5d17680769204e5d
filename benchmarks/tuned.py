"""The tables of docs/tuning.md, from docs/tuning.csv: the classifier's settings against others, in each regime.

    make study NAME=sharp && make study NAME=noisy_labels
    python -m pipeline.tune --set steps=500 steps=1000 label_smoothing=0.3
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

from benchmarks.blocks import to_markdown, write_blocks
from pipeline.errors import InputError
from pipeline.report import words
from pipeline.report.tables import tuning_to_text
from pipeline.report.text import typeset
from pipeline.stages.stage import PARAMS, read_params
from pipeline.trials import read_trials
from pipeline.tuning import TuningCheck, tuning_check

PAGE, STUDIES = Path("docs/tuning.md"), Path("conf")
# Block of the page -> studies of conf/, one over the other; budget. All but the first three are from before it blurred.
REGIMES: dict[str, tuple[list[str], int]] = {
    "default": ([], 50),
    "default 20": ([], 20),
    "default 10": ([], 10),
    "sharp 10": (["sharp"], 10),
    "sharp 20": (["sharp"], 20),
    "sharp 100": (["sharp"], 100),
    "rotated": (["sharp", "shifted_test"], 50),
    "blurred": (["sharp", "blurred"], 50),
    "wrong labels": (["sharp", "noisy_labels"], 50),
    "rare classes": (["sharp", "imbalance"], 20),
}


def over(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` in their place, sections within sections."""
    return {**values} | {
        key: over(values[key], change)
        if isinstance(change, Mapping) and isinstance(values.get(key), Mapping)
        else change
        for key, change in changes.items()
    }


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
        rows, blocks = read_trials(), {}
        for name, (changes, budget) in REGIMES.items():
            params = over(read_params(PARAMS), {"arms": {"own_settings": []}})
            for change in changes:
                params = over(params, read_params(STUDIES / f"{change}.yaml"))
            check = tuning_check(rows, params, budget)
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
