"""Curves of training: both players of the GAN, the classifiers of all arms, the oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.study import Budget
from pipeline.report.theme import (
    ARM_COLOURS,
    DISCRIMINATOR,
    GENERATOR,
    INK,
    REAL,
    SYNTHETIC,
    Picture,
    draw,
    logarithmic,
)

WIDTH, HEIGHT = 3.6, 2.4  # inches of a GAN's panel; three fit beside each other on a desk
ACCURACY = "discriminator_accuracy"  # share of images, real and synthetic, that it takes for what they are
POINTS = 80  # of a curve at most; more steps are averaged in groups


@dataclass(frozen=True)
class Panel:
    """A chart with its title and a sentence that says what to see in it."""

    title: str
    note: str
    picture: Picture


def gan_curves(budget: Budget) -> list[Panel]:
    """Losses, scores, the discriminator's accuracy (if recorded), spread and gradients, a line a replicate."""
    history = budget.gan_history
    real_spread = pd.Series([entry["spread_real"] for entry in budget.health], dtype=float).mean()
    players = {"generator": GENERATOR, "discriminator": DISCRIMINATOR}
    scores = {"real images": REAL, "synthetic images": SYNTHETIC}
    finite = {entry["replicate"] for entry in budget.health if entry["finite"]}

    def lines(columns: Mapping[str, str], colours: Mapping[str, str], label: str) -> Callable[[Axes], None]:
        def paint(axes: Axes) -> None:
            for name, column in columns.items():
                _lines(axes, history, column, colours[name], name)
            axes.set_ylim(_limits(history, list(columns.values()), finite))
            _finish(axes, label)

        return paint

    def paint_accuracy(axes: Axes) -> None:
        percent = history.assign(discriminator_accuracy=100 * history[ACCURACY])
        _lines(axes, percent, ACCURACY, DISCRIMINATOR, "discriminator")
        axes.axhline(50, color=INK, linestyle=(0, (4, 3)), linewidth=1.2, label="guessing")
        low = percent[ACCURACY].min()
        axes.set_ylim(bottom=min(45, low - 5) if np.isfinite(low) else 0, top=103)
        _finish(axes, "percent told apart")

    def paint_spread(axes: Axes) -> None:
        _lines(axes, history, "spread", SYNTHETIC, "synthetic images")
        if np.isfinite(real_spread):
            axes.axhline(real_spread, color=REAL, linestyle=(0, (4, 3)), linewidth=1.4, label="real images")
        axes.set_ylim(bottom=0)
        _finish(axes, "spread within a class")

    by_player = {kind: {name: f"{name}_{kind}" for name in players} for kind in ("loss", "gradient")}
    by_image = dict(zip(scores, ("real_score", "fake_score"), strict=True))
    shown = [
        ("Losses", "Level lines: neither player overruns the other.", lines(by_player["loss"], players, "loss")),
        ("Discriminator's scores", "The closer the two, the harder synthetic images are to tell from real ones.",
         lines(by_image, scores, "mean score")),
        ("Discriminator's accuracy", "Near 50 %, it can only guess; at 100 %, every synthetic image gives itself away.",
         paint_accuracy),
        ("Spread within a class", "Should climb to the dashed line; near 0, all images of a class are alike.",
         paint_spread),
        ("Gradient norms", "Smooth is stable; a jump is not, and at 0 nothing is learnt any more.",
         lines(by_player["gradient"], players, "norm of gradients")),
    ]  # fmt: skip
    at = f"at {budget.size} images a class, by training step, a line a replicate"
    return [
        Panel(title, note, draw(paint, HEIGHT, f"{title} {at}.", width=WIDTH))
        for title, note, paint in shown
        if paint is not paint_accuracy or ACCURACY in history
    ]


def classifier_curve(budget: Budget) -> Picture:
    """Training loss of every arm, the mean over replicates."""
    means = budget.classifier_history.groupby(["arm", "step"], sort=False)["loss"].mean()

    def paint(axes: Axes) -> None:
        for arm in means.index.unique("arm"):
            curve = _thinned(means[arm].reset_index())
            _plot(axes, curve, "loss", ARM_COLOURS.get(arm, INK), arm, linewidth=1.3)
        logarithmic(axes)
        _finish(axes, "training loss, mean over replicates", ncols=3)

    return draw(paint, 3.2, f"Training loss of the classifiers at {budget.size} images a class, a line an arm.")


def oracle_curve(history: pd.DataFrame) -> Picture:
    """Training loss of the oracle."""

    def paint(axes: Axes) -> None:
        _plot(axes, _thinned(history), "loss", INK, "oracle", linewidth=1.3)
        logarithmic(axes)
        _finish(axes, "training loss")

    return draw(paint, 3.2, "Training loss of the oracle, the classifier that saw all training images.")


def _lines(axes: Axes, history: pd.DataFrame, column: str, colour: str, label: str) -> None:
    for i, (_, rows) in enumerate(history.groupby("replicate")):
        curve = _thinned(rows[["step", column]])
        _plot(axes, curve, column, colour, label if i == 0 else None, linewidth=1, alpha=0.7)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most `POINTS` rows, each the mean of neighbours; what is not finite ends a curve."""
    rows = rows.replace([np.inf, -np.inf], np.nan).reset_index(drop=True)
    size = -(-len(rows) // POINTS)
    return rows.groupby(rows.index // size).mean()


def _limits(history: pd.DataFrame, columns: list[str], finite: set[Any]) -> tuple[float, float]:
    """Limits that show the GANs that stayed finite in full; a diverging one may leave the panel."""
    rows = history[history["replicate"].isin(finite)] if finite else history
    values = rows[columns].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0, 1
    low, high = (values.min(), values.max()) if finite else np.percentile(values, [2, 90])
    pad = 0.05 * (high - low) or 1
    return float(low - pad), float(high + pad)


def _plot(axes: Axes, curve: pd.DataFrame, column: str, colour: str, label: str | None, **style: Any) -> None:
    axes.plot(curve["step"], curve[column], "o-" if len(curve) == 1 else "-", color=colour, label=label, **style)


def _finish(axes: Axes, label: str, ncols: int = 2) -> None:
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    assert isinstance(axes.figure, Figure)
    axes.figure.legend(loc="outside upper left", ncols=ncols, columnspacing=1.2, handlelength=1.4)
