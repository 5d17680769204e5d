"""Charts of the data: how many images each class has, and how bright their pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from pipeline.images import LabelledImages
from pipeline.report.study import Budget, Study
from pipeline.report.text import elided, number
from pipeline.report.theme import INK, REAL, SYNTHETIC, Picture, draw

BINS = 32  # of brightness 0 to 255
CHUNK = 4096  # images counted at a time
# Okabe and Ito's red, green and blue, told apart by their lightness too.
CHANNELS = {"red": "#D55E00", "green": "#009E73", "blue": "#0072B2"}

Counts = dict[str, NDArray[np.int64]]


def class_counts(study: Study, budget: Budget) -> Counts:
    """Images of each class (K,), by where they are: the training images, the test images if the summary of the data
    has them, and one replicate's subset."""
    several = len(study.classes)
    counts = {"training images": np.bincount(study.train.labels, minlength=several)}
    if known := study.data.get("test_per_class"):
        counts["test images"] = np.array([known[name] for name in study.classes])
    return counts | {"one subset": np.bincount(budget.real.labels, minlength=several)}


def distribution_chart(counts: Counts, classes: Sequence[str]) -> Picture:
    """A bar a class with its count, a column each for the training images, the test images and a subset."""
    places = np.arange(len(classes))

    def paint(*columns: Axes) -> None:
        for axes, (name, values) in zip(columns, counts.items(), strict=True):
            axes.barh(places, values, color=REAL, alpha=0.55, height=0.72)
            for y, value in zip(places, values, strict=True):
                place: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points"}
                axes.annotate(f"{value:,}", (value, y), va="center", fontsize=8, **place)
            axes.grid(visible=False)
            axes.set(xlim=(0, 1.45 * max(1, *values)), ylim=(len(places) - 0.4, -0.6), yticks=places, xticks=[])
            axes.set_yticklabels([elided(name, 14) for name in classes])
            axes.set_title(f"{name}\n{values.sum():,}", fontsize=8.5, loc="left", color=INK)
            axes.tick_params(axis="y", length=0)
            axes.spines["bottom"].set_visible(False)

    ends = [f"{name} {values.min():,} to {values.max():,}" for name, values in counts.items()]
    return draw(paint, 0.6 + 0.21 * len(classes), f"Images of a class: {'; '.join(ends)}.", len(counts))


def likeness(train: LabelledImages) -> str:
    """One sentence on how to read the chart of the brightness."""
    drawn = (
        "A dashed line would follow its solid one"
        if train.shape[0] == len(CHANNELS)
        else ("The line would follow the area")
    )
    return f"{drawn} if a GAN were perfect; above it, GAN images have too many pixels of that brightness."


def balance(counts: Counts) -> str:
    """One sentence on what the chart of the classes shows."""
    pool, subset = counts["training images"], counts["one subset"]
    ratio = pool.max() / max(1, pool.min())
    pool_said = (
        "All classes have about as many training images"
        if ratio < 1.05
        else f"The largest class has {number(ratio, 1)} times as many training images as the smallest"
    )
    if subset.min() == subset.max():
        return f"{pool_said}; a replicate's subset has {subset.min():,} of each."
    return f"{pool_said}; a replicate's subset has {subset.min():,} to {subset.max():,} of each."


def brightness(images: LabelledImages) -> NDArray[np.float64]:
    """Percent of each channel's pixels in each of `BINS` bins of brightness: (C, BINS)."""
    counts = np.zeros((images.shape[0], 256), np.int64)
    for start in range(0, len(images), CHUNK):
        for channel, row in enumerate(counts):
            row += np.bincount(images.pixels[start : start + CHUNK, channel].ravel(), minlength=256)
    binned = counts.reshape(len(counts), BINS, -1).sum(2)
    return 100 * binned / np.maximum(1, binned.sum(1, keepdims=True))


def brightness_chart(train: LabelledImages, synthetic: LabelledImages) -> Picture:
    """Brightness of the pixels of all training images, and of one GAN's images; in colour, a line a channel."""
    real, made = brightness(train), brightness(synthetic)
    edges = np.linspace(0, 256, BINS + 1)

    def paint(axes: Axes) -> None:
        if len(real) != len(CHANNELS):
            axes.stairs(real[0], edges, fill=True, color=REAL, alpha=0.3, label="training images")
            axes.stairs(made[0], edges, baseline=None, color=SYNTHETIC, linewidth=1.6, label="GAN images")
        else:
            for (name, colour), reals, fakes in zip(CHANNELS.items(), real, made, strict=True):
                line: dict[str, Any] = {"color": colour, "linewidth": 1.4}
                axes.stairs(reals, edges, baseline=None, label=f"{name}, training", **line)
                axes.stairs(fakes, edges, baseline=None, linestyle=(0, (2, 1.5)), label=f"{name}, GAN", **line)
        axes.set_yscale("log")
        axes.set(xlim=(0, 256), xticks=[0, 64, 128, 192, 255], ylim=(_floor(real, made), 100))
        axes.set_xticklabels(["0\nblack", "64", "128", "192", "255\nfull"])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylabel("percent of pixels")
        assert isinstance(axes.figure, Figure)
        axes.figure.legend(loc="outside upper left", ncols=3 if len(real) > 1 else 2, columnspacing=1.2)

    black = {"training": real, "GAN": made}
    said = " and ".join(f"{number(values[:, 0].mean(), 0)} % in {name} images" for name, values in black.items())
    return draw(paint, 2.7, f"Histogram of the pixels' brightness; the darkest of {BINS} bins holds {said}.")


def _floor(*shares: NDArray[np.float64]) -> float:
    """The lower end of a logarithmic axis: the power of ten below the least share that is not 0, 0.001 at least."""
    least = min(values[values > 0].min() for values in shares)
    return float(max(1e-3, 10 ** np.floor(np.log10(least))))
