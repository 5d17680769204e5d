"""Worth how many real images: sentences, a table, and both charts read off the curve of real images alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.report.charts import budget_axis
from pipeline.report.study import Study
from pipeline.report.text import number, signed
from pipeline.report.theme import ARM_COLOURS, INK, Picture, draw

ARMS = ("real+gan", "real+classical", "real+gan+classical")  # of the sentences and charts; the table has all
TICKS = (10, 20, 50, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9)  # percent right
CEILING = 99.99  # where the axis of accuracy ends
Row = Mapping[Any, Any]


def images(value: float, row: Row) -> str:
    """A number of real images a class: 7.4, 71, 1,240; "more than" or "fewer than" where the curve ends."""
    if value <= 0:
        return f"fewer than {row['curve_from']:,}"
    if value == math.inf:
        return f"more than {row['curve_to']:,}"
    return number(value, 0 if round(value, 1) >= 10 else 1)


def interval(row: Row) -> str:
    """58 to 90; where a bound is open, fewer than 5 to 90 and 58 to more than 1,000."""
    low, high = row["worth_low"], row["worth_high"]
    if high <= row["curve_from"] or low >= row["curve_to"]:  # all of it beyond one end
        return images(0 if low <= 0 else math.inf, row)
    return f"{images(low, row)} to {images(high, row)}"


def sentence(row: Row) -> str:
    """real+gan at 50 a class is worth 71 real images a class (58 to 90): +21 (+8 to +40) extra."""
    estimate, between = images(row["worth"], row), interval(row)
    bounds = f" ({between})" if between != estimate else ""
    worth = f"worth {estimate} real images a class{bounds}"
    return f"{row['arm']} at {row['budget']:,} a class is {worth}: {extra(row)} extra."


def extra(row: Row) -> str:
    """What an arm is worth beyond its own budget, real images a class: +21 (+8 to +40); open ends as of `images`."""

    def one(value: float) -> str:
        if value <= 0:
            return f"less than {_signed(row['curve_from'] - row['budget'])}"
        if value == math.inf:
            return f"more than {_signed(row['curve_to'] - row['budget'])}"
        return _signed(value - row["budget"])

    low, high = row["worth_low"], row["worth_high"]
    if high <= row["curve_from"] or low >= row["curve_to"]:  # all of it beyond one end
        return one(row["worth"])
    return f"{one(row['worth'])} ({one(low)} to {one(high)})"


def _signed(value: float) -> str:
    return signed(value, 0 if abs(round(value, 1)) >= 10 or value == round(value) else 1)


def worth_to_text(worth: pd.DataFrame) -> pd.DataFrame:
    """One row an arm and budget, arm by arm, all cells text."""
    headers = ["arm", "images a class", "accuracy, %", "worth, real images a class", "interval"]
    headers += ["extra, real images a class", "times its own"]
    rows = []
    for _, own in worth.groupby("arm", sort=False):
        for row in own.to_dict("records"):
            times = number(row["worth"] / row["budget"], 1) if 0 < row["worth"] < math.inf else "–"
            cells = [row["arm"], f"{row['budget']:,}", number(row["accuracy_mean"])]
            rows.append([*cells, images(row["worth"], row), interval(row), extra(row), times])
    return pd.DataFrame(rows, columns=headers)


def sentences(study: Study) -> list[str]:
    """One for each of `ARMS` that the curve was read for, at the primary contrast's budget, or else its first."""
    found = []
    for arm in ARMS:
        rows = study.worth[study.worth["arm"] == arm]
        own = rows[rows["budget"] == study.compare.primary.budget]
        found += [sentence(row) for row in (own if len(own) else rows).head(1).to_dict("records")]
    return found


def section(study: Study) -> dict[str, Any] | None:
    """What the page shows; None where no curve could be drawn."""
    worth = study.worth
    if worth.empty:
        return None
    return {
        "sentences": sentences(study),
        "curve": accuracy_curve(study),
        "chart": worth_chart(worth),
        "table": worth_to_text(worth),
        "ends": (int(worth["curve_from"].iloc[0]), int(worth["curve_to"].iloc[0])),
    }


def accuracy_curve(study: Study) -> Picture:
    """Accuracy of real images alone and of `ARMS` against the budget; every replicate of the former as a dot."""
    sizes = [budget.size for budget in study.budgets]
    tables = {size: study.budget_accuracies(size) for size in sizes}
    tables = {size: table[[arm for arm in ("real", *ARMS) if arm in table]] for size, table in tables.items()}

    def paint(axes: Axes) -> None:
        for size, table in tables.items():
            axes.plot([size] * len(table), table["real"], "o", color=INK, alpha=0.35, markersize=3, linewidth=0)
        for i, arm in enumerate(("real", *ARMS)):
            present = [size for size in sizes if arm in tables[size]]
            means = [tables[size][arm].mean() for size in present]
            style: dict[str, Any] = {"linewidth": 2.4 if arm == "real" else 1.4, "marker": "os^D"[i], "markersize": 5}
            axes.plot(present, means, color=ARM_COLOURS.get(arm, INK), label=arm, **style)
        # As on a logarithmic axis of the error: from 98 to 99 % is as far as from 80 to 90 %.
        least = min(table.to_numpy().min() for table in tables.values())
        axes.set_yscale("function", functions=(_accuracy_to_place, _place_to_accuracy))
        most = max(table.to_numpy().max() for table in tables.values())
        axes.set_ylim(min(least, CEILING - 1), min(CEILING, 100 - (100 - most) / 1.2))
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS if least <= tick <= most]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        budget_axis(axes, sizes)
        axes.set_ylabel("test accuracy, %")
        axes.legend(loc="upper left")

    said = ", ".join(f"{number(table['real'].mean())} % at {size:,}" for size, table in tables.items())
    return draw(paint, 3.6, f"Accuracy against the budget. Real images alone: {said}.")


def _accuracy_to_place(accuracy: Any) -> Any:
    return -np.log10(np.maximum(100 - np.asarray(accuracy, float), 100 - CEILING))


def _place_to_accuracy(place: Any) -> Any:
    return 100 - 10 ** -np.asarray(place, float)


def worth_chart(worth: pd.DataFrame) -> Picture:
    """What each arm is worth against what it had, both logarithmic; an open bound is a line to the axis's end."""
    first, last = float(worth["curve_from"].iloc[0]), float(worth["curve_to"].iloc[0])
    sizes = sorted(worth["budget"].unique().tolist())
    span = first / 1.3, last * 1.3

    def paint(axes: Axes) -> None:
        axes.plot(span, span, color=INK, linestyle=(0, (4, 3)), linewidth=1, label="worth nothing extra")
        axes.axhspan(last, span[1], color=INK, alpha=0.08, linewidth=0)
        axes.axhspan(span[0], first, color=INK, alpha=0.08, linewidth=0)
        for i, arm in enumerate(ARMS):
            rows = worth[worth["arm"] == arm]
            x, colour = rows["budget"] * 1.06 ** (i - 1), ARM_COLOURS.get(arm, INK)  # side by side
            low, high, estimate = (rows[name].clip(*span) for name in ("worth_low", "worth_high", "worth"))
            axes.vlines(x, low, high, color=colour, linewidth=2)
            axes.plot(x, estimate, marker="s^D"[i % 3], color=colour, label=arm, linewidth=0, clip_on=False)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(FixedLocator([float(size) for size in sizes]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        budget_axis(axes, sizes)
        axes.set_ylim(span)
        axes.set_ylabel("worth, real images a class")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)

    said = " ".join(sentence(row) for row in worth[worth["arm"].isin(ARMS)].to_dict("records"))
    return draw(paint, 3.6, f"What an arm is worth against its budget. {said}")
