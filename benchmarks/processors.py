"""How far rounding alone moves a study: the same subsets, seeds and test images, trained on two kinds of processor.

    python -m benchmarks.processors      # the table of docs/calibration.md, from committed accuracies

Each rounds otherwise, so that trainings part within a few steps, and end as if they had drawn other batches. What they
differ by is the part of the spread over replicates that more subsets would not explain. Trains nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.blocks import to_markdown, write_blocks
from pipeline.report.text import number, signed, typeset

PAGE, BLOCK = Path("docs/calibration.md"), "processors"
HERE, THERE, BUDGET = Path("docs/budgets/accuracies.csv"), Path("docs/other_processor/accuracies.csv"), 50
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


def read_wide(path: Path) -> pd.DataFrame:
    """Accuracies in percent at `BUDGET`, (replicates, arms and contrasts)."""
    rows = pd.read_csv(path)
    wide = rows[rows["budget"] == BUDGET].pivot(index="replicate", columns="arm", values="accuracy")
    gains = {f"{arm} over {reference}": wide[arm] - wide[reference] for arm, reference in CONTRASTS}
    return pd.concat([wide[list(ARMS)], pd.DataFrame(gains)], axis=1)


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.processors", description=__doc__).parse_args()
    parts = trainings_to_parts(read_wide(HERE), read_wide(THERE))
    table = pd.DataFrame(
        {
            "family 26": parts["here"].map(number).map(typeset),
            "family 25": parts["there"].map(number).map(typeset),
            "moved by": [typeset(f"{signed(row.moved)} ± {number(row.error)}") for row in parts.itertuples()],
            "sd of a training": parts["training"].map(number),
            "sd over replicates": parts["replicates"].map(number),
        }
    )
    table.index = pd.Index([" over ".join(f"`{arm}`" for arm in name.split(" over ")) for name in table.index], name="")
    write_blocks(PAGE, {BLOCK: to_markdown(table)})


if __name__ == "__main__":
    main()
