"""Tables as a person reads them: numbers become text with signs and units, for page, Markdown and terminal."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.ledger import Reuse
from pipeline.report.study import Budget, Study
from pipeline.report.text import between, number, plus_minus, signed, spread_out
from pipeline.tuning import TuningCheck, setting_to_text

HEADERS = ["images a class", "arm", "against", "delta, points", "interval", "verdict", "better in", "p", "accuracy, %"]


def deltas_to_text(deltas: pd.DataFrame) -> pd.DataFrame:
    """One row a contrast, all cells text, columns `HEADERS`. p is adjusted (Holm), but for the primary contrast."""
    rows = []
    for row in deltas.to_dict("records"):
        accuracy = number(row["accuracy_mean"])
        if row["replicates"] > 1:
            accuracy += f" ± {number(row['accuracy_sd'])}"
        p = "–" if pd.isna(row["p_holm"]) else "< 0.001" if row["p_holm"] < 0.001 else number(row["p_holm"], 3)
        contrast = [str(row["budget"]), row["arm"], row["reference"], signed(row["delta"])]
        interval, wins = between(row["ci_low"], row["ci_high"]), f"{row['wins']} of {row['replicates']}"
        rows.append([*contrast, interval, row["verdict"], wins, p, accuracy])
    return pd.DataFrame(rows, columns=HEADERS)


def print_table(deltas: pd.DataFrame) -> str:
    """The table of deltas as plain text, a line a contrast and a blank line between budgets; no line break at the end.

    deltas: what results/deltas.csv holds.
    """
    text = deltas_to_text(deltas)
    widths = [max(len(header), *text[header].map(len)) for header in text] if len(text) else [len(h) for h in text]
    left = {"arm", "against", "verdict"}

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if header in left else cell.rjust(width)
            for header, cell, width in zip(HEADERS, cells, widths, strict=True)
        ]
        return "  ".join(padded).rstrip()

    lines, before = [line(HEADERS), line(["-" * width for width in widths])], None
    for cells in text.to_numpy().tolist():
        if before is not None and cells[0] != before:
            lines.append("")
        before = cells[0]
        lines.append(line(cells))
    return "\n".join(lines)


def text_to_markdown(text: pd.DataFrame) -> str:
    """A table of text as GitHub reads it."""
    rows = [list(text.columns), ["---"] * text.shape[1], *text.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def accuracies_to_text(study: Study, size: int) -> pd.DataFrame:
    """Accuracy of every arm at one budget: arm, mean, sd, lowest, highest, n (replicates)."""
    rows = [
        [arm, number(column.mean()), number(column.std()), number(column.min()), number(column.max()), str(len(column))]
        for arm, column in study.budget_accuracies(size).items()
    ]
    return pd.DataFrame(rows, columns=["arm", "mean, %", "sd", "lowest", "highest", "n"])


def groups_to_texts(groups: pd.DataFrame, size: int) -> dict[str, pd.DataFrame]:
    """A table a reference, one row an arm: accuracy on rare and on common classes, with what each gains on the
    reference, and balanced accuracy."""
    found = groups[groups["budget"] == size].groupby("reference", sort=False)
    return {str(reference): _groups_to_text(rows, str(reference)) for reference, rows in found}


def group_intervals(groups: pd.DataFrame, size: int) -> int:
    """How many intervals those tables have."""
    rows = groups[(groups["budget"] == size) & (groups["arm"] != groups["reference"])]
    return int(rows["ci_low"].notna().sum())


def _groups_to_text(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    table = []
    for arm, own in rows.groupby("arm", sort=False):
        by_group = own.set_index("group")
        cells = {"arm": str(arm)}
        for group in ("rare", "common", "balanced"):
            row = by_group.loc[group]
            interval = "" if pd.isna(row["ci_low"]) else f" ({between(row['ci_low'], row['ci_high'])})"
            cells[f"{group}, %"] = number(row["accuracy_mean"])
            cells[f"{group}, delta"] = "–" if arm == reference else f"{signed(row['delta'])}{interval}"
        table.append(cells)
    return pd.DataFrame(table)


def mcnemar_to_text(mcnemar: pd.DataFrame, size: int) -> pd.DataFrame:
    """One row a contrast, one column a replicate: test images that only the arm, only the reference gets right; p."""
    rows = mcnemar[mcnemar["budget"] == size]
    cells = rows.apply(lambda row: f"+{row['only_arm']} / -{row['only_reference']}, p {number(row['p'], 3)}", axis=1)
    contrast = rows["arm"] + " against " + rows["reference"]
    table = pd.DataFrame({"contrast": contrast, "replicate": "replicate " + rows["replicate"].astype(str), "": cells})
    wide = table.pivot(index="contrast", columns="replicate", values="").loc[contrast.unique()]
    return wide[table["replicate"].unique()].reset_index()


@dataclass(frozen=True)
class Cell:
    """A cell of a heat table. heat: from -1 (bad) to 1 (good), 0 for none."""

    text: str
    heat: float


@dataclass(frozen=True)
class HeatTable:
    """Named rows of cells under named columns."""

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]


def recalls_to_heat(study: Study, size: int) -> HeatTable:
    """A row a class: recall of arm real in percent, then what every other arm changes, in points."""
    rows = study.recalls[study.recalls["budget"] == size]
    deltas = rows.pivot(index="class", columns="arm", values="delta")
    recall = rows[rows["arm"] == "real"].set_index("class")["recall_mean"]
    arms = [arm for arm in rows["arm"].unique() if arm != "real"]
    # Arms without real images often lose far more than the others change: they shall not bleach the rest.
    scale = max(deltas[[arm for arm in arms if arm.startswith("real")] or arms].abs().max().max(), 0.1)
    cells = [
        (name, [Cell(number(recall[name], 1), 0), *(_cell(deltas.loc[name, arm], scale, 1) for arm in arms)])
        for name in study.classes
    ]
    return HeatTable(["real, %", *arms], cells)


def _cell(value: Any, scale: float, decimals: int) -> Cell:
    heat = 0.0 if pd.isna(value) else max(-1.0, min(1.0, float(value) / scale))
    return Cell(signed(value, decimals), round(heat, 3))


def agreement_to_heat(study: Study, budget: Budget) -> HeatTable:
    """A row a class: percent of synthetic images whose label the oracle agrees with, mean and every replicate."""
    table = budget.by_class.pivot(index="class", columns="replicate", values="agreement").loc[study.classes]
    table.insert(0, "mean", table.mean(axis=1))
    scale = max(100 - table.min().min(), 1)
    rows = [
        (str(name), [Cell(number(v, 1), 0 if pd.isna(v) else round((v - 100) / scale, 3)) for v in values])
        for name, values in zip(table.index, table.to_numpy().tolist(), strict=True)
    ]
    return HeatTable(["mean", *(f"replicate {column}" for column in table.columns[1:])], rows)


def classes_to_heat(study: Study, budget: Budget) -> HeatTable:
    """A row a class, means over replicates: kernel distance, precision, recall and spread, each beside what real images
    get. Of a spread it is bad to lie below that of real images, and to lie above.
    """
    means = budget.by_class.groupby("class").mean(numeric_only=True).loc[study.classes]
    farthest = max(means["kid"].max(), 1e-9)
    rows = []
    for name, row in means.iterrows():
        cells = [Cell(number(row["kid"], 1), 0 if pd.isna(row["kid"]) else round(-max(row["kid"], 0) / farthest, 3))]
        cells.append(Cell(number(row["kid_floor"], 1), 0))
        for share in ("precision", "recall"):
            real = row[f"{share}_real"]
            heat = _cell(row[share] - real, 1, 2).heat
            cells += [Cell(number(row[share]), heat), Cell(number(real), 0)]
        apart = abs(row["spread"] / row["spread_real"] - 1) if row["spread_real"] > 0 else float("nan")
        cells += [Cell(number(row["spread"]), _cell(-apart, 1, 2).heat), Cell(number(row["spread_real"]), 0)]
        rows.append((str(name), cells))
    columns = [label for measure in ("KID", "precision", "recall", "spread") for label in (measure, f"{measure}, real")]
    return HeatTable(columns, rows)


def quality_to_text(study: Study) -> pd.DataFrame:
    """A row a measure: what each budget's GANs reach, mean and range over replicates, and how to read it."""
    oracle = number(study.metrics["oracle"]["accuracy"], 1)
    measures = [
        ("label agreement, %", "agreement", 1, f"the oracle sees the class that was asked for; best is 100 ({oracle} "
         "is what it reaches on real test images)"),
        ("Fréchet distance", "frechet", 2, "to real images the GAN did not see; lower is closer"),
        ("– the same, real to real", "frechet_floor", 2, "what as many other real images get; the oracle was trained "
         "on both sets, so that even a perfect generator is likely to stay a little above it"),
        ("kernel distance (KID)", "kid", 2, "the same question, answered without the Fréchet distance's bias for few "
         "images; lower is closer"),
        ("– the same, real to real", "kid_floor", 2, "what as many other real images get: 0 but for noise, which may "
         "fall below; a perfect generator is likely to stay a little above it, too"),
        ("precision", "precision", 2, "share of synthetic images that lie among real ones; best is 1"),
        ("recall", "recall", 2, "share of real images that lie among synthetic ones; best is 1"),
        ("density", "density", 2, "how deep among real ones the synthetic images lie; real ones get about 1"),
        ("coverage", "coverage", 2, "share of real images with a synthetic one close by; best is 1"),
        ("spread within a class", "spread", 2, "how much images of one class differ; near 0 is collapse"),
        ("– the same, of real images", "spread_real", 2, "what the spread should come near to"),
        ("distance ratio, common pose", "pose_distance_ratio", 2, "distance to the nearest real image that the GAN was "
         "trained on, over that to the nearest of as many that it did not see; 1 if nothing was learnt by heart, less "
         "if it was, 0 is copies"),
        ("– the same, pixel by pixel", "pixel_distance_ratio", 2, "moved copies hardly lower this one"),
    ]  # fmt: skip
    table = pd.DataFrame({"measure": [label for label, *_ in measures]})
    for budget in study.budgets:
        cells = [spread_out(budget.quality[column], decimals) for _, column, decimals, _ in measures]
        table[f"{budget.size} a class"] = cells
    table["how to read it"] = [reading for *_, reading in measures]
    if study.accuracies["arm"].eq("gan").any():
        score = [spread_out(study.budget_accuracies(budget.size)["gan"], 1) for budget in study.budgets]
        reading = "accuracy of a classifier that saw synthetic images only (arm gan)"
        table.loc[len(table)] = ["classification accuracy score (CAS), %", *score, reading]
    return table


def budget_quality_to_text(budget: Budget) -> pd.DataFrame:
    """Every number of the quality table, a row a replicate."""
    text = budget.quality.map(lambda value: number(value, 0 if float(value).is_integer() else 3))
    names = {"_": " ", "c t": "C_T", "kid": "KID", "frechet": "Fréchet"}
    return text.rename(
        columns=lambda name: functools.reduce(lambda said, old: said.replace(old, names[old]), names, name)
    )


def tuning_to_text(check: TuningCheck) -> pd.DataFrame:
    """One row an arm: accuracy under each setting, its own where arms have such, the best, and what that gains."""
    settings, rows = [setting_to_text(setting) for setting in check.settings], []
    for arm in check.arms:
        row = {"arm": arm.arm} | dict(zip(settings, map(number, arm.accuracies), strict=True))
        if any(each.own for each in check.arms):
            row["has"] = settings[arm.own]
        gained = "–" if arm.best == arm.own else plus_minus(arm.gain)
        rows.append(row | {"best": settings[arm.best], "gains": gained})
    return pd.DataFrame(rows)


def openings_to_text(study: Study, reuse: Reuse) -> pd.DataFrame:
    """One row an opening of this study's test set, oldest first; this study comes last if the ledger lacks it."""
    rows = reuse.openings.to_dict("records")
    if not reuse.known:
        own = {"seed": study.params["study"]["seed"], "recipe": study.params["gan"]["recipe"]}
        rows.append({**study.metrics["primary"], **own, "commit": "this study", "date": "–"})
    return pd.DataFrame(
        {
            "commit": row["commit"],
            "date": row["date"],
            "seed": "–" if pd.isna(row["seed"]) else str(row["seed"]),
            "GAN recipe": "–" if pd.isna(row["recipe"]) else row["recipe"],
            "contrast": "none"
            if pd.isna(row["arm"])
            else f"{row['arm']} against {row['reference']} at {row['budget']:g}",
            "delta, points": signed(row["delta"]),
            "interval": between(row["ci_low"], row["ci_high"]),
        }
        for row in rows
    )
