"""`python -m pipeline.report`: the table of deltas in the terminal, and where the page is."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from pipeline.report.tables import print_table


def main() -> int:
    deltas, page = Path("results/deltas.csv"), Path("report/index.html")
    if not deltas.exists() or not page.exists():
        print("no results yet; `make run` makes them", file=sys.stderr)
        return 2
    print(print_table(pd.read_csv(deltas)))
    print(f"\nThe whole answer, with pictures: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
