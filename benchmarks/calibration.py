"""Is the verdict right when nothing is gained, and when something is? The instrument, measured.

    python -m benchmarks.calibration simulate     # docs/calibration.csv, its tables in calibration.md, its picture
    python -m benchmarks.calibration estimate     # what `simulate` draws from: docs/calibration-model.json
    python -m benchmarks.calibration real         # two arms identical but for seed, trained: docs/calibration-real.csv

`simulate` feeds pipeline.comparison with simulated studies of known true delta, and its rivals with the same ones.
`estimate` reads spread and correlations of a real study out of its predictions (run `dvc repro` first) and adds them to
the file; `simulate` needs only that file. `real` trains two arms that differ by their seed alone, on the development
part, again and again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from benchmarks.blocks import write_blocks
from benchmarks.calibration_page import draw_picture, rows_to_blocks
from benchmarks.family import family
from benchmarks.measured import MODEL, add_to_model, pool, read_model, read_study
from benchmarks.scenarios import CONFIG, IMAGES, matched, simulated_rows
from pipeline.errors import InputError
from pipeline.stages.stage import write_csv

DOCS = Path("docs")
ROWS, MATCH, FAMILY = DOCS / "calibration.csv", DOCS / "calibration-match.csv", DOCS / "calibration-family.csv"
PAGE, PICTURE = DOCS / "calibration.md", DOCS / "images/calibration.png"


def estimate(root: Path, budgets: list[int], words: str, tell: bool) -> None:
    study = read_study(root, budgets, words, tell)
    add_to_model(study)
    print(f"{MODEL}: seed {study.seed}, {len(study.columns)} columns, {study.replicates} replicates")


def simulate(count: int, seed: int) -> None:
    studies = read_model()
    match = matched(studies, 300, seed)
    rows = simulated_rows(studies, count, seed)
    families = family(pool(studies), count, seed, IMAGES, CONFIG)
    write_csv(MATCH, match)
    write_csv(FAMILY, families)
    write_csv(ROWS, rows)
    report()


def report() -> None:
    """The tables and the picture from the rows."""
    rows, match, families = (pd.read_csv(path) for path in (ROWS, MATCH, FAMILY))
    write_blocks(PAGE, rows_to_blocks(rows, match, families, read_model()))
    draw_picture(rows, PICTURE)
    own = rows.query("method == 'present' and true_delta == 0").set_index(["scenario", "replicates"])
    print(own[["coverage", "excludes_0", "width", "pooled", "coverage_pooled"]])
    print(f"{ROWS}, {PAGE}, {PICTURE}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=["simulate", "estimate", "report", "real"])
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies of each scenario and family")
    parser.add_argument("--root", type=Path, default=Path(), help="estimate: where the study's artifacts/ lie")
    parser.add_argument("--budgets", type=int, nargs="+", default=[], help="estimate: these; all of its params.yaml")
    parser.add_argument("--words", default="", help="estimate: what the file is to say of the study")
    parser.add_argument(
        "--correlations-alone", action="store_true", help="estimate: write no accuracy (the result is told elsewhere)"
    )
    parser.add_argument("--repeats", type=int, default=20, help="real: how often the two arms are trained")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        if asked.what == "simulate":
            simulate(asked.studies, asked.seed)
        elif asked.what == "estimate":
            estimate(asked.root, asked.budgets, asked.words, not asked.correlations_alone)
        elif asked.what == "report":
            report()
        else:
            from benchmarks.twins import real  # torch is slow to import

            real(asked.repeats, asked.seed)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
