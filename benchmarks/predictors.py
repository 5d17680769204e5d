"""Does a quality measure tell which GAN helps? Over the published studies' GANs, together or one study's alone.

    python -m benchmarks.predictors
    python -m benchmarks.predictors docs/on_top

Pools every folder of docs/ that holds a quality.csv (with accuracies.csv of the same replicates), or the folders that
are named. Values are ranked among the GANs of one study and budget, as on the page of a study, so that a difference
between studies or budgets is no correlation. Prints each measure's rank correlation with the delta, `real+gan` minus
`real`, and with the CAS, and what that says. A measure that a study's table lacks is taken over the other studies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError
from pipeline.files import reading
from pipeline.report.predictors import (
    TARGETS,
    correlations_to_sentence,
    runs_to_correlations,
    tables_to_runs,
    tables_to_text,
)
from pipeline.report.tables import text_to_markdown

DOCS = Path("docs")
SEED = 1  # of the permutations that are drawn


def folders_to_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """A row a GAN: budget (the study's name and the budget), replicate, delta, cas, quality measures.

    Raises InputError that names a file which is missing or damaged, or if no folder is given.
    """
    if not folders:
        raise InputError(f"no folder of {DOCS} holds a quality.csv; name a folder that does")
    parts = []
    for folder in folders:
        with reading(folder / "quality.csv"):
            quality = list(pd.read_csv(folder / "quality.csv").groupby("budget"))
        with reading(folder / "accuracies.csv"):
            accuracies = pd.read_csv(folder / "accuracies.csv").groupby("budget")
            for budget, own in quality:
                arms = accuracies.get_group(budget).pivot(index="replicate", columns="arm", values="accuracy")
                parts.append(tables_to_runs(own, arms).assign(budget=f"{folder.name} {budget}"))
    return pd.concat(parts, ignore_index=True)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="default: all of docs/ that hold a quality.csv")
    folders = parser.parse_args().folders or sorted(path.parent for path in DOCS.rglob("quality.csv"))
    try:
        runs = folders_to_runs(folders)
    except InputError as error:
        print(f"predictors: {error}", file=sys.stderr)
        return 2
    groups = runs.groupby("budget", sort=False).size()
    print(f"{len(runs)} GANs: {', '.join(f'{name} a class ({count})' for name, count in groups.items())}\n")
    tables = {target: runs_to_correlations(runs, target, SEED) for target in TARGETS}
    print(text_to_markdown(tables_to_text(tables)))
    print()
    for target, table in tables.items():
        print(correlations_to_sentence(table, runs, target, SEED))
    return 0


if __name__ == "__main__":
    sys.exit(main())
