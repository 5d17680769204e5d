"""Curves of training: both players of the GAN, the classifiers of all arms, the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.study import Budget
from pipeline.report.theme import ARM_COLOURS, DISCRIMINATOR, GENERATOR, INK, Picture, draw, logarithmic

HEIGHT = 2.7  # inches of a panel
POINTS = 80  # of a curve at most; more steps are averaged in groups


def gan_curves(budget: Budget) -> dict[str, Picture]:
    """Title -> panel: losses, scores, spread and gradients of every replicate's GAN, a line each."""
    history = budget.gan_history
    real_spread = pd.Series([entry["spread_real"] for entry in budget.health], dtype=float).mean()
    at = f"at {budget.size} images a class, by training step, a line a replicate"
    players = {"generator": GENERATOR, "discriminator": DISCRIMINATOR}
    scores = {"real images": DISCRIMINATOR, "synthetic images": GENERATOR}
    finite = {entry["replicate"] for entry in budget.health if entry["finite"]}

    def panel(columns: Mapping[str, str], colours: Mapping[str, str], label: str) -> Picture:
        def paint(axes: Axes) -> None:
            for name, column in columns.items():
                _lines(axes, history, column, colours[name], name)
            axes.set_ylim(_limits(history, list(columns.values()), finite))
            _finish(axes, label)

        return draw(paint, HEIGHT, f"{label[0].upper()}{label[1:]} of {' and '.join(columns)} {at}.")

    def paint_spread(axes: Axes) -> None:
        _lines(axes, history, "spread", GENERATOR, "synthetic images")
        if np.isfinite(real_spread):
            axes.axhline(real_spread, color=DISCRIMINATOR, linestyle=(0, (4, 3)), linewidth=1.4, label="real images")
        axes.set_ylim(bottom=0)
        _finish(axes, "spread within a class")

    return {
        "Losses": panel({name: f"{name}_loss" for name in players}, players, "loss"),
        "Discriminator's mean score": panel(
            dict(zip(scores, ("real_score", "fake_score"), strict=True)), scores, "score"
        ),
        "Spread within a class": draw(paint_spread, HEIGHT, f"Spread of synthetic images {at}, and of real images."),
        "Gradient norms": panel({name: f"{name}_gradient" for name in players}, players, "norm of gradients"),
    }


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
