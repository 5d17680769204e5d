"""One look for every figure: colours, marks, lettering, and a figure's way onto the page."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

WIDTH = 4.8  # inches; a panel stays readable at a phone's width, and two fit beside each other on a desk
INK, PALE, RULE = "#222222", "#8a8a8a", "#d9d9d9"

# Okabe and Ito's palette, which colour-blind people can tell apart; some darkened for contrast on white.
ARM_COLOURS = {
    "real": "#555555",
    "real+classical": "#0072B2",
    "real+copies": "#56B4E9",
    "real+interpolated": "#CC79A7",
    "real+gan": "#E69F00",
    "real+gan+classical": "#D55E00",
    "gan": "#009E73",
}
GENERATOR, DISCRIMINATOR = "#D55E00", "#0072B2"
SYNTHETIC, REAL = GENERATOR, DISCRIMINATOR  # images by kind; style.css has the same two

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib brings it along, so that a figure is the same on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": PALE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": PALE,
    "ytick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.parse_math": False,  # a class may be called $
    "svg.fonttype": "none",  # text stays text: smaller, sharper, found by a search
    "svg.hashsalt": "synthgain",  # the same figure gives the same bytes
}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Mark:
    """How a verdict looks: a sign in text, a marker in charts, a colour in both."""

    sign: str
    marker: str
    colour: str


MARKS = {
    "helps": Mark("▲", "^", "#0072B2"),
    "hurts": Mark("▼", "v", "#BF4F00"),
    "equivalent": Mark("=", "s", "#00795A"),
    "inconclusive": Mark("?", "o", "#6B6B6B"),
    "descriptive": Mark("–", "D", "#6B6B6B"),
}


@dataclass(frozen=True)
class Picture:
    """An image inlined as a data address. alt: what it shows, for those who do not see it."""

    src: str
    alt: str
    width: int
    height: int


def draw(paint: Callable[..., None], height: float, alt: str, columns: int = 1, width: float = WIDTH) -> Picture:
    """Let `paint` draw one panel, `width` by `height` inches, as an SVG without date or random ids.

    paint: takes an Axes; with several `columns`, as many, side by side with the same rows.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(*figure.subplots(1, columns, sharey=True, squeeze=False)[0])
        file = io.StringIO()
        # Not `savefig`, which draws a laid-out figure twice.
        FigureCanvasSVG(figure).print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    # Laid out with a wide font, shown in the reader's own, which is narrower: nothing collides.
    svg = re.sub(r"font-family: 'DejaVu Sans'[^;\"]*;? ?", "", file.getvalue())
    svg = svg.replace("</style>", f"text{{font-family: {FONTS}}}</style>", 1)
    # A hundredth of a point is fine enough for places (not for what is written), and no indent is read: half the bytes.
    svg = re.sub("<[^>]*>", lambda tag: re.sub(r"(?<=\d\.\d\d)\d+", "", tag[0]), re.sub(r"\n +", "\n", svg))
    return inline(svg.encode(), "image/svg+xml", alt, round(96 * width), round(96 * height))


def inline(content: bytes, kind: str, alt: str, width: int, height: int) -> Picture:
    """A file's content as a Picture; width and height in CSS pixels."""
    return Picture(f"data:{kind};base64,{base64.b64encode(content).decode()}", alt, width, height)


def logarithmic(axes: Axes) -> None:
    """Make y logarithmic, with plain numbers at 1, 2 and 5 of every decade within the limits."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
