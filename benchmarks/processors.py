"""How far rounding alone moves a study: the same subsets, seeds and test images, trained on two kinds of processor.

    python -m benchmarks.processors      # two tables of docs/calibration.md, from committed accuracies

Each rounds otherwise, so that trainings part within a few steps, and end as if they had drawn other batches. What they
differ by is the part of the spread over replicates that other subsets would not explain. Trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.blocks import to_markdown, write_blocks
from pipeline.report.text import number, signed, typeset

PAGE = Path("docs/calibration.md")
HERE, THERE, BUDGET = Path("docs/budgets/accuracies.csv"), Path("docs/other_processor/accuracies.csv"), 50
# Four fresh subsets tested on the development part; on one of the machines with learning rates that differ in the sixth
# digit: `python -m pipeline.tune --set learning_rate=0.0300001 learning_rate=0.0299999`.
ROUNDINGS = Path("docs/rounding.csv")
ARMS = ("real", "real+gan", "real+classical", "real+gan+classical", "real+copies", "real+interpolated", "gan")
CONTRASTS = (("real+gan", "real"), ("real+classical", "real"), ("real+gan+classical", "real+classical"))


def trainings_to_parts(here: pd.DataFrame, there: pd.DataFrame) -> pd.DataFrame:
    """What two trainings of the same replicates say of each column of these (replicates, arms or contrasts), in points.

    Columns: here and there, means; moved and its standard error; training, the standard deviation that one training
    has by itself (of differences, over the square root of 2); replicates, that over replicates, which holds it.
    """
    moved = there - here
    return pd.DataFrame(
        {
            "here": here.mean(),
            "there": there.mean(),
            "moved": moved.mean(),
            "error": moved.std() / len(moved) ** 0.5,
            "training": moved.std() / 2**0.5,
            "replicates": ((here.var() + there.var()) / 2) ** 0.5,
        }
    )


def to_wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracies in percent, (replicates, arms and contrasts), of rows that have one an arm and replicate."""
    wide = rows.pivot(index="replicate", columns="arm", values="accuracy")
    gains = {f"{arm} over {reference}": wide[arm] - wide[reference] for arm, reference in CONTRASTS}
    return pd.concat([wide[list(ARMS)], pd.DataFrame(gains)], axis=1)


def roundings_to_parts(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The same of several trainings, each (replicates, arms and contrasts): a column for the mean of each, and the
    standard deviation that one training has by itself.
    """
    together = pd.concat(tables, keys=range(len(tables)), names=["training", "replicate"])
    parts = together.groupby(level="training").mean().T
    return parts.assign(training=together.groupby(level="replicate").var().mean() ** 0.5)


def names_to_markdown(table: pd.DataFrame) -> str:
    """Arms set as code, in the index."""
    names = [" over ".join(f"`{arm}`" for arm in str(name).split(" over ")) for name in table.index]
    return to_markdown(table.set_index(pd.Index(names, name="")))


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.processors", description=__doc__).parse_args()
    studies = [rows[rows["budget"] == BUDGET] for rows in map(pd.read_csv, (HERE, THERE))]
    parts = trainings_to_parts(*map(to_wide, studies))
    table = pd.DataFrame(
        {
            "family 26": parts["here"].map(number).map(typeset),
            "family 25": parts["there"].map(number).map(typeset),
            "moved by": [typeset(f"{signed(row.moved)} ± {number(row.error)}") for row in parts.itertuples()],
            "sd of a training": parts["training"].map(number),
            "sd over replicates": parts["replicates"].map(number),
        }
    )
    trials = pd.read_csv(ROUNDINGS, dtype={"learning_rate": str})
    runs = {
        f"{machine}, {rate}": to_wide(rows)
        for (machine, rate), rows in trials.groupby(["machine", "learning_rate"], sort=False)
    }
    again = roundings_to_parts([*runs.values()]).set_axis([*runs, "sd of a training"], axis=1)
    again = again.map(number).map(typeset)
    write_blocks(PAGE, {"processors": names_to_markdown(table), "roundings": names_to_markdown(again)})


if __name__ == "__main__":
    main()
