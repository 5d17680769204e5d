"""Charts of a study's results: deltas with intervals, accuracy by arm, and how both change with the budget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.contrasts import Contrast, arms_to_reals
from pipeline.report.study import Budget, Study
from pipeline.report.text import between, number, signed, typeset
from pipeline.report.theme import ARM_COLOURS, INK, MARKS, PALE, Picture, draw, logarithmic

Span = tuple[float, float]

# The three questions of the page: synthetic images, classical augmentation, and the one on top of the other.
QUESTIONS = {
    ("real+gan", "real"): "GAN images",
    ("real+classical", "real"): "classical augmentation",
    ("real+gan+classical", "real+classical"): "GAN images on top of classical",
}


def deltas_chart(study: Study, rows: pd.DataFrame, span: Span, named: bool) -> Picture:
    """Contrasts of one budget, a row each: interval, estimate marked by its verdict, a dot a replicate.

    rows: of study.deltas. span: the axis in points; an estimate beyond it becomes an arrow at the edge.
    named: the chart's title names the reference, so that the rows need not.
    """
    accuracies = study.budget_accuracies(int(rows["budget"].iloc[0]))

    def paint(axes: Axes) -> None:
        margin = study.compare.margin
        axes.axvspan(-margin, margin, color="#009E73", alpha=0.13, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        names = []
        for y, row in enumerate(rows.to_dict("records")):
            mark, delta = MARKS[row["verdict"]], row["delta"]
            primary = Contrast(row["budget"], row["arm"], row["reference"]) == study.compare.primary
            inside = span[0] <= delta <= span[1]
            gains = accuracies[row["arm"]] - accuracies[row["reference"]]
            axes.plot(gains, np.full(len(gains), y + 0.24), "o", color=INK, alpha=0.35, markersize=3, linewidth=0)
            axes.hlines(y, row["ci_low"], row["ci_high"], color=mark.colour, linewidth=4 if primary else 2.6)
            edge = float(np.clip(delta, *span))
            marker = mark.marker if inside else "<" if delta < 0 else ">"
            axes.plot(edge, y, marker, color=mark.colour, markersize=8, markeredgecolor="white", clip_on=False)
            place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
            label = typeset(f"{signed(delta)} {row['verdict']}")
            axes.text(1.04, y, label, color=mark.colour, weight="bold" if primary else "normal", **place)
            name = row["arm"] if named else f"{row['arm']}\nagainst {row['reference']}"
            names.append(f"{name}\n(primary)" if primary else name)
        axes.set(xlim=span, ylim=(len(rows) - 0.4, -0.5), yticks=range(len(rows)), yticklabels=names)
        axes.set_xlabel("delta in accuracy, points")
        axes.tick_params(axis="y", length=0, pad=8)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)

    return draw(paint, 0.62 + (0.42 if named else 0.5) * len(rows), _deltas_alt(rows))


def deltas_span(study: Study, size: int) -> Span:
    """The axis, in points, that all delta charts of one budget share: arms that train on real images fit in it."""
    rows = study.deltas[study.deltas["budget"] == size]
    rows = rows[rows["arm"].str.startswith("real")]
    accuracies = study.budget_accuracies(size)
    values = [-2 * study.compare.margin, 2 * study.compare.margin, *rows["delta"]]
    values += [*rows["ci_low"].dropna(), *rows["ci_high"].dropna()]
    for arm, reference in zip(rows["arm"], rows["reference"], strict=True):
        values += list(accuracies[arm] - accuracies[reference])
    low, high = min(values), max(values)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _deltas_alt(rows: pd.DataFrame) -> str:
    """The chart's content for those who do not see it."""
    parts = [
        f"{row['arm']} against {row['reference']} {signed(row['delta'])} points, interval "
        f"{between(row['ci_low'], row['ci_high'])}, {row['verdict']}"
        for row in rows.to_dict("records")
    ]
    return f"Deltas with intervals at {rows['budget'].iloc[0]} images a class: {'; '.join(parts)}."


def accuracy_chart(study: Study, size: int) -> Picture:
    """Accuracy of every arm at one budget: a dot a replicate, joined to itself by a line, the mean as a bar."""
    table, oracle = study.budget_accuracies(size), study.metrics["oracle"]["accuracy"]
    places = np.arange(table.shape[1])

    def paint(axes: Axes) -> None:
        axes.axvline(oracle, color=INK, linestyle=(0, (4, 3)), linewidth=1)
        axes.text(oracle, -0.62, f"oracle {number(oracle)} ", ha="right", va="bottom", fontsize=8)
        for _, row in table.iterrows():
            axes.plot(row, places, "-", color=PALE, alpha=0.45, linewidth=0.8)
        for y, (arm, column) in zip(places, table.items(), strict=True):
            colour = ARM_COLOURS.get(str(arm), INK)
            axes.plot(column, np.full(len(column), y), "o", color=colour, alpha=0.6, markersize=5, linewidth=0)
            axes.plot([column.mean()] * 2, [y - 0.3, y + 0.3], "-", color=colour, linewidth=3)
            axes.text(1.04, y, number(column.mean()), transform=axes.get_yaxis_transform(), va="center")
        axes.set(ylim=(len(places) - 0.5, -0.7), yticks=places, yticklabels=table.columns)
        axes.set_xlabel("test accuracy, %")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    means = ", ".join(f"{arm} {number(mean)} %" for arm, mean in table.mean().items())
    alt = f"Mean accuracy by arm at {size} images a class: {means}; oracle {number(oracle)} %."
    return draw(paint, 0.7 + 0.42 * len(places), alt)


def delta_trend(study: Study) -> Picture:
    """Deltas of the three questions against the budget, with their intervals."""
    sizes = [budget.size for budget in study.budgets]
    rows = study.deltas.set_index(["arm", "reference", "budget"]).sort_index()
    shown = [(pair, name) for pair, name in QUESTIONS.items() if all((*pair, size) in rows.index for size in sizes)]

    def paint(axes: Axes) -> None:
        margin = study.compare.margin
        axes.axhspan(-margin, margin, color="#009E73", alpha=0.13, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1)
        for i, ((arm, reference), name) in enumerate(shown):
            series = rows.loc[(arm, reference)].loc[sizes]
            x = np.array(sizes) * 1.06 ** (i - 1)  # side by side, so that intervals do not hide each other
            colour, style = ARM_COLOURS.get(arm, INK), ("-", "--", ":")[i]
            axes.plot(x, series["delta"], style, marker="osD"[i], color=colour, label=name, markersize=5)
            axes.vlines(x, series["ci_low"], series["ci_high"], color=colour, linewidth=2)
        budget_axis(axes, sizes)
        axes.set_ylabel("delta in accuracy, points")
        axes.legend(loc="best")

    said = []
    for pair, name in shown:
        deltas = rows.loc[pair].loc[sizes, "delta"]
        said.append(f"{name} " + ", ".join(f"{signed(delta)} at {size}" for size, delta in deltas.items()))
    return draw(paint, 3.4, f"Delta in points against the budget. {'; '.join(said)}.")


def ratio_charts(study: Study, budget: Budget) -> list[Picture]:
    """Delta against generated images for each real one: a chart for each set of two or more variants that differ from
    one another in that alone, with the arm that they vary if it, too, differs in nothing else.
    """
    families: dict[str, dict[str, dict[str, Any]]] = {}
    for name, arm in budget.arms.items():
        if arm["synthetic"] == "gan":
            # The phases say what the share came to: a variant's own, or the one that its arm has anyway.
            rest = {key: value for key, value in arm.items() if key not in ("name", "of", "per_class", "share")}
            families.setdefault(json.dumps(rest, sort_keys=True), {})[name] = arm
    found = [family for family in families.values() if sum(arm["per_class"] is not None for arm in family.values()) > 1]
    return [_ratio_chart(study, budget, family) for family in found]


def _ratio_chart(study: Study, budget: Budget, family: Mapping[str, Mapping[str, Any]]) -> Picture:
    """family: what each arm of the chart was made of, by name."""
    full, arm = study.params["generate"]["per_class"], next(iter(family.values()))
    base = arm["of"] or arm["name"]
    reference = arms_to_reals(budget.arms).get(next(iter(family)), base)
    ratios = {name: (one["per_class"] or full) / budget.size for name, one in family.items()}
    ratios = dict(sorted(ratios.items(), key=lambda item: item[1]))
    deltas = study.deltas[(study.deltas["budget"] == budget.size) & (study.deltas["reference"] == reference)]
    rows = deltas.set_index("arm").loc[list(ratios)]
    x, colour = list(ratios.values()), ARM_COLOURS.get(base, INK)
    batches = [phase["batch"] for phase in arm["phases"]]
    held = ", then ".join(f"{batch.get('gan', 0):g} of a batch of {sum(batch.values()):g}" for batch in batches)

    def paint(axes: Axes) -> None:
        axes.axhspan(-study.compare.margin, study.compare.margin, color="#009E73", alpha=0.13, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1)
        axes.plot(x, rows["delta"], "o-", color=colour, markersize=5)
        axes.vlines(x, rows["ci_low"], rows["ci_high"], color=colour, linewidth=2)
        budget_axis(axes, x)
        axes.set_xlabel(f"generated images for each real one\n{base}, {held} generated")
        axes.set_ylabel(f"delta to {reference}, points")

    said = ", ".join(f"{signed(delta)} at {ratio:g}" for ratio, delta in zip(x, rows["delta"], strict=True))
    return draw(paint, 3.0, f"Delta in points to {reference} against generated images for each real one: {said}.")


def accuracy_trend(study: Study) -> Picture:
    """Mean error of every arm against the budget, both on logarithmic axes."""
    sizes = [budget.size for budget in study.budgets]
    means = pd.DataFrame({size: 100 - study.budget_accuracies(size).mean() for size in sizes})
    distorted = {name for budget in study.budgets for name, arm in budget.arms.items() if arm["classical"]}

    def paint(axes: Axes) -> None:
        for i, (arm, errors) in enumerate(means.iterrows()):
            colour, style = ARM_COLOURS.get(str(arm), INK), "-" if arm in distorted else "--"
            axes.plot(sizes, errors, style, marker="os^vDPX"[i % 7], color=colour, label=str(arm), markersize=5)
        oracle = 100 - study.metrics["oracle"]["accuracy"]
        if oracle > 0:
            axes.axhline(oracle, color=INK, linestyle=(0, (4, 3)), linewidth=1)
            axes.text(sizes[0], oracle, "oracle", va="bottom", fontsize=8)
        budget_axis(axes, sizes)
        logarithmic(axes)
        axes.set_ylabel("test error, %")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, columnspacing=1, handlelength=1.6)

    return draw(paint, 3.9, "Mean test error in percent of every arm against the budget; the tables hold the numbers.")


def budget_axis(axes: Axes, sizes: Sequence[float]) -> None:
    """Make x logarithmic, with a tick at each budget."""
    axes.set_xscale("log")
    axes.set_xlabel("budget, real images a class")
    axes.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
