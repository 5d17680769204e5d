"""The tables of docs/regimes.md, from the results that its studies left in docs/regimes/.

    make study NAME=sharp && make study NAME=imbalance && make run && mkdir -p docs/regimes/imbalance
    cp results/*.csv results/metrics.json params.yaml docs/regimes/imbalance
    python -m benchmarks.regimes

A difference is in points, with its 95 % interval and its verdict; a study's own words stand around its table. The
ledger of openings counts a study that lies in docs/ alone, too; metrics.json and params.yaml tell it which study it is.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.blocks import to_markdown, write_blocks
from pipeline.errors import InputError
from pipeline.report.text import number, typeset
from pipeline.stages.stage import PARAMS, read_params
from pipeline.trials import own_settings
from pipeline.verdict import rounded

PAGE, STUDIES = Path("docs/regimes.md"), Path("docs/regimes")
FAIR = ("real", "real+classical")


def difference(row: Mapping[str, Any]) -> str:
    """`+0.89 (+0.72 to +1.06): helps`; without interval or verdict, what there is."""
    text = _signed(row["delta"])
    if not math.isnan(row["ci_low"]):
        text += f" ({_signed(row['ci_low'])} to {_signed(row['ci_high'])})"
    return text + (f": {row['verdict']}" if row.get("verdict") else "")


def read_own_settings(folder: Path, budgets: Iterable[int]) -> dict[tuple[int, str], str]:
    """(Budget, arm) -> what it has in place of the settings of all arms, where params lie beside a study's results."""
    path = folder / PARAMS
    params = read_params(path) if path.exists() else {"arms": {}}
    return {
        (budget, arm): ", ".join(f"{key} {value:g}" for key, value in own.items()).replace("_", " ")
        for budget in budgets
        for arm, own in own_settings(params, budget).items()
    }


def study_to_table(folder: Path) -> pd.DataFrame:
    """A row an arm and budget: accuracy, its differences to `FAIR` and others, own settings if any arm has such."""
    deltas = pd.read_csv(folder / "deltas.csv")
    trained_with = read_own_settings(folder, deltas["budget"].unique())
    means = pd.read_csv(folder / "accuracies.csv").groupby(["budget", "arm"], sort=False)["accuracy"].mean()
    rows = []
    for (budget, arm), mean in means.items():
        own = deltas[(deltas["budget"] == budget) & (deltas["arm"] == arm)].to_dict("records")
        row = {"real a class": budget, "arm": f"`{arm}`", "trained with": trained_with.get((budget, str(arm)), "")}
        row["accuracy"] = number(mean)
        row |= {f"over `{reference}`": _found(own, reference) for reference in FAIR}
        others = [each for each in own if each["reference"] not in (*FAIR, "real+copies", "real+interpolated")]
        row["over others"] = "; ".join(f"`{each['reference']}` {difference(each)}" for each in others)
        rows.append(row)
    table = pd.DataFrame(rows)
    used = [name for name in table if (table[name] != "").any()]
    return table[[name for name in used if name != "real a class" or table[name].nunique() > 1]]


def groups_to_table(folder: Path) -> pd.DataFrame:
    """A row an arm and budget: what the rare classes gain on each reference, what the common ones lose, the balance."""
    groups = pd.read_csv(folder / "groups.csv")
    trained_with = read_own_settings(folder, groups["budget"].unique())
    rows = []
    for (budget, arm), own in groups.groupby(["budget", "arm"], sort=False):
        by_group = {name: table.to_dict("records") for name, table in own.groupby("group")}
        row = {"rare a class": budget, "arm": f"`{arm}`"}
        row |= {"trained with": trained_with.get((budget, str(arm)), "")} if trained_with else {}
        row["rare"] = number(by_group["rare"][0]["accuracy_mean"])
        references = [each["reference"] for each in by_group["rare"]]
        row |= {f"rare over `{each}`": "" if each == arm else _found(by_group["rare"], each) for each in references}
        row["common over `real`"] = "" if arm == "real" else _found(by_group["common"], "real")
        row["balanced"] = number(by_group["balanced"][0]["accuracy_mean"])
        rows.append(row)
    return pd.DataFrame(rows)


def controls_to_table(folder: Path) -> pd.DataFrame:
    """A row a model and arm, over the same model's `real` and, for the mixture, over its copies."""
    controls = pd.read_csv(folder / "controls.csv")
    rows: list[dict[str, Any]] = []
    for (model, arm), own in controls.groupby(["model", "arm"], sort=False):
        if not any(row["model"] == model for row in rows):  # the model's own `real`, which no row is about
            first = own.iloc[0]
            rows.append({"model": model, "arm": "`real`", "accuracy": number(first["accuracy_mean"] - first["delta"])})
        records = own.to_dict("records")
        row = {"model": model, "arm": f"`{arm}`", "accuracy": number(records[0]["accuracy_mean"])}
        rows.append(row | {f"over `{each}`": _found(records, each) for each in ("real", "real+copies")})
    return pd.DataFrame(rows).fillna("")


def worth_to_table(folder: Path) -> pd.DataFrame:
    """A row a budget: accuracy of `real`, gain of `real+gan`, and how many real images a class three arms are worth."""
    worth, deltas = pd.read_csv(folder / "worth.csv"), pd.read_csv(folder / "deltas.csv")
    means = pd.read_csv(folder / "accuracies.csv").groupby(["budget", "arm"])["accuracy"].mean()
    rows = []
    for budget in sorted(deltas["budget"].unique()):
        own = deltas[(deltas["budget"] == budget)].to_dict("records")
        row = {"real a class": budget, "`real`": number(means[budget, "real"])}
        for arm, reference in (("real+gan", "real"), ("real+classical", "real"), ("real+gan+classical", FAIR[1])):
            row[f"`{arm}` over `{reference}`"] = _found([each for each in own if each["arm"] == arm], reference)
        for arm in ("real+gan", "real+classical"):
            found = worth[(worth["budget"] == budget) & (worth["arm"] == arm)].to_dict("records")
            row[f"`{arm}` is worth"] = _worth(found[0]) if found else ""
        rows.append(row)
    return pd.DataFrame(rows)


TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "ratio_curve": study_to_table,
    "rotated": study_to_table,
    "blurred": study_to_table,
    "blurred_1000": study_to_table,
    "noisy_labels": study_to_table,
    "noisy_on_top": study_to_table,
    "unlabelled": study_to_table,
    "noisy_best": study_to_table,
    "blurred_best": study_to_table,
    "blurred_blur": study_to_table,
    "rotated_best": study_to_table,
    "unlabelled_best": study_to_table,
    "usps": study_to_table,
    "usps_blur": study_to_table,
    "imbalance_best": groups_to_table,
    "imbalance": groups_to_table,
    "controls": controls_to_table,
    "budget_curve": worth_to_table,
}


def studies_to_blocks(folder: Path) -> dict[str, str]:
    """The tables of the studies that lie in `folder`, by their names."""
    made = {name: make(folder / name) for name, make in TABLES.items() if (folder / name / "deltas.csv").exists()}
    return {name: to_markdown(table.set_index(table.columns[0])) for name, table in made.items()}


def main() -> int:
    """The command line; returns the exit status."""
    argparse.ArgumentParser(prog="python -m benchmarks.regimes", description=__doc__).parse_args()
    try:
        write_blocks(PAGE, studies_to_blocks(STUDIES))
    except InputError as error:
        print(f"benchmarks.regimes: {error}", file=sys.stderr)
        return 2
    return 0


def _found(records: list[dict[str, Any]], reference: str) -> str:
    """The difference to `reference`, or nothing where there is none."""
    return "".join(difference(each) for each in records if each["reference"] == reference)


def _signed(value: float) -> str:
    return typeset(f"{rounded(value, 2):+.2f}")


def _worth(row: Mapping[str, Any]) -> str:
    """`39 (33 to 45)`; beyond the curve's ends, more or fewer than these."""

    def one(number: float) -> str:
        if number == 0:
            return f"fewer than {row['curve_from']:g}"
        return f"more than {row['curve_to']:g}" if math.isinf(number) else f"{number:.0f}"

    return f"{one(row['worth'])} ({one(row['worth_low'])} to {one(row['worth_high'])})"


if __name__ == "__main__":
    sys.exit(main())
