"""Does a quality measure tell, over all GANs of a study, which of them help? Rank correlations, and what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from pipeline.comparison import holm
from pipeline.report.correlation import rank_correlation, smallest_telling
from pipeline.report.curves import Panel
from pipeline.report.study import Study
from pipeline.report.text import listed, number, signed
from pipeline.report.theme import ARM_COLOURS, INK, draw
from pipeline.seeds import derive

WIDTH, HEIGHT = 2.7, 2.0  # inches of a panel
LEVEL = 0.05
SIGNS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "X": "✖"}  # a marker a budget, and in text

# Column of quality.csv, or `cas` -> its name, and what a better GAN has.
MEASURES = {
    "agreement": ("label agreement, %", "more"),
    "frechet": ("Fréchet distance", "less"),
    "kid": ("kernel distance (KID)", "less"),
    "precision": ("precision", "more"),
    "recall": ("recall", "more"),
    "density": ("density", "more"),
    "coverage": ("coverage", "more"),
    "spread": ("spread within a class", "more"),
    "pose_closer_to_subset": ("closer to training, share", "0.5"),
    "pose_distance_ratio": ("distance ratio, common pose", "1"),
    "pose_c_t": ("C_T, common pose", "0"),
    "pixel_closer_to_subset": ("closer to training by pixels, share", "0.5"),
    "pixel_c_t": ("C_T by pixels", "0"),
    "pose_near_copies": ("near copies, common pose", "less"),
    "exact_copies": ("exact copies", "less"),
    "cas": ("CAS, %", "more"),
}
TARGETS = {"delta": ("delta, points", "what GAN images add to real ones"), "cas": ("CAS, %", "the CAS")}


@dataclass(frozen=True)
class Predictors:
    """What the page shows. sentences: the reading, one for each target. key: which marker is which budget, if several.

    table: text, a row a measure. panels: of the delta; cas_panels: of the CAS.
    """

    sentences: list[str]
    key: str
    table: pd.DataFrame
    panels: list[Panel]
    cas_panels: list[Panel]


def study_to_predictors(study: Study) -> Predictors:
    """Every measure against both targets over all replicates of all budgets."""
    runs = study_to_runs(study)
    seed = derive(study.params["study"]["seed"], "predictors")
    tables = {target: runs_to_correlations(runs, target, seed) for target in TARGETS}
    budgets = runs["budget"].unique()
    marks = dict(zip(budgets, list(SIGNS) * len(budgets), strict=False))
    key = ", ".join(f"{SIGNS[mark]} {budget} real images a class" for budget, mark in marks.items())
    panels = {
        target: [_panel(runs, column, target, row, marks) for column, row in table.iterrows()]
        for target, table in tables.items()
    }
    return Predictors(
        sentences=[correlations_to_sentence(table, runs, target, seed) for target, table in tables.items()],
        key=key if len(budgets) > 1 else "",
        table=tables_to_text(tables),
        panels=panels["delta"],
        cas_panels=panels["cas"],
    )


def study_to_runs(study: Study) -> pd.DataFrame:
    """A row a replicate: budget, replicate, delta (`real+gan` minus `real`, points), cas (percent), quality measures.

    What a study lacks is NaN.
    """
    parts = [tables_to_runs(budget.quality, study.budget_accuracies(budget.size)) for budget in study.budgets]
    return pd.concat(
        [part.assign(budget=budget.size) for part, budget in zip(parts, study.budgets, strict=True)], ignore_index=True
    )


def tables_to_runs(quality: pd.DataFrame, accuracies: pd.DataFrame) -> pd.DataFrame:
    """The rows of one budget: replicate, delta, cas, quality measures.

    quality: a row a replicate, as in quality.csv. accuracies: percent, a row a replicate (the index), a column an arm.
    """
    arms = accuracies.reindex(columns=["real", "real+gan", "gan"])
    measured = quality.set_index("replicate").reindex(columns=[column for column in MEASURES if column != "cas"])
    return measured.assign(delta=arms["real+gan"] - arms["real"], cas=arms["gan"]).reset_index()


def runs_to_correlations(runs: pd.DataFrame, target: str, seed: int) -> pd.DataFrame:
    """A row a measure (the index): rho, p, runs, and p_holm, corrected for the number of measures of this target."""
    found = {
        column: rank_correlation(runs[column], runs[target], runs["budget"], seed)
        for column in MEASURES
        if column != target
    }
    table = pd.DataFrame({column: vars(correlation) for column, correlation in found.items()}).T
    return table.assign(p_holm=holm(table["p"]))


def correlations_to_sentence(table: pd.DataFrame, runs: pd.DataFrame, target: str, seed: int) -> str:
    """What the correlations with one target say to someone who has seen none of this."""
    name, known = TARGETS[target][1], table.dropna(subset="p")
    sizes = runs.dropna(subset=target).groupby("budget").size().tolist()
    enough = smallest_telling(sizes, seed, LEVEL)
    if not len(known):
        return f"Whether a measure predicts {name} cannot be said: that takes three replicates of a budget, or more."
    over = f"Over {int(known['runs'].max())} GANs"
    if enough is None:
        return f"{over} not even a rank correlation of 1 could be told from chance: what predicts {name} stays open."
    first = known.loc[known["p"].idxmin()]
    best = f"{_plain_name(first.name)}, ρ {signed(first['rho'])}, p {number(first['p'], 3)}"
    telling = known[known["p_holm"] <= LEVEL]
    if len(telling):
        each = [
            f"{_plain_name(column)} (ρ {signed(row['rho'])}, p {number(row['p_holm'], 3)} after correcting for "
            f"{len(known)} measures: the more, the {'more' if row['rho'] > 0 else 'less'})"
            for column, row in telling.sort_values("p").iterrows()
        ]
        return f"{over} {name} goes with {listed(each)}. That it goes along does not make it the cause."
    if first["p"] <= LEVEL:
        return (
            f"{over} no measure can be relied on to predict {name}. One alone looks as if ({best}), but of "
            f"{len(known)} measures one often does by chance: corrected for their number, p is "
            f"{number(first['p_holm'], 2)}."
        )
    return (
        f"{over} no measure could be shown to predict {name}: the strongest correlation is {best}, and with so few, "
        f"chance alone keeps ρ within ±{number(enough)} in 19 of 20 cases. A relation may be there and unseen."
    )


def _plain_name(column: object) -> str:
    return MEASURES[str(column)][0].split(",")[0]


def tables_to_text(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a measure: rho and p for both targets, and what a better GAN has. tables: of each of `TARGETS`."""
    rows = []
    for column, (name, better) in MEASURES.items():
        cells = []
        for table in tables.values():
            row = (
                table.loc[column]
                if column in table.index
                else pd.Series({"rho": math.nan, "p": math.nan, "p_holm": math.nan})
            )
            cells += [signed(row["rho"]), number(row["p"], 3), number(row["p_holm"], 2)]
        rows.append([name, better, *cells])
    headers = [f"{what}{to}" for to in (" delta", " CAS") for what in ("ρ with", "p,", "p corrected,")]
    return pd.DataFrame(rows, columns=["measure", "a better GAN has", *headers])


def _panel(runs: pd.DataFrame, column: str, target: str, row: pd.Series, marks: dict[int, str]) -> Panel:
    """A dot a GAN: the measure against the target."""
    title, label = MEASURES[column][0], TARGETS[target][0]

    def paint(axes: Axes) -> None:
        for budget, mark in marks.items():
            own = runs[runs["budget"] == budget]
            axes.plot(own[column], own[target], mark, color=ARM_COLOURS["real+gan"], markeredgecolor=INK, alpha=0.8)
        axes.set_xlabel(title)
        axes.set_ylabel(label)
        axes.locator_params(nbins=4)
        axes.margins(0.12)

    note = (
        f"ρ {signed(row['rho'])}, p {number(row['p'], 3)}"
        if not np.isnan(row["rho"])
        else "no ρ: too few, or all alike"
    )
    return Panel(title, note, draw(paint, HEIGHT, f"{label} against {title}, a dot a GAN; {note}.", width=WIDTH))
