"""Numbers, intervals, names and lists as a reader wants them: signs, units, dashes for what there is not."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pandas as pd

from pipeline.verdict import rounded


def number(value: float | None, decimals: int = 2) -> str:
    """1234.5 -> 1,234.50; NaN and None become a dash."""
    if value is None or math.isnan(value):
        return "–"
    return f"{rounded(value, decimals):,.{decimals}f}"


def signed(value: float | None, decimals: int = 2) -> str:
    """A difference: +1.50, -0.20, 0.00."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and not math.isnan(value) and rounded(value, decimals) > 0 else text


def plus_minus(estimate: tuple[float, float], decimals: int = 2) -> str:
    """A difference with its standard error: +0.12 ± 0.08; without one where there is none."""
    mean, error = estimate
    return signed(mean, decimals) + ("" if math.isnan(error) else f" ± {number(error, decimals)}")


def between(low: float | None, high: float | None) -> str:
    """An interval: +0.50 to +1.20, or none."""
    return "none" if low is None or math.isnan(low) else f"{signed(low)} to {signed(high)}"


def spread_out(values: pd.Series[float], decimals: int = 2, scale: float = 1) -> str:
    """The mean over replicates, and from the least to the most: 1.50 (1.20 to 1.70)."""
    values = scale * values.dropna()
    if len(values) < 2:
        return number(values.mean(), decimals)
    low, high = number(values.min(), decimals), number(values.max(), decimals)
    return f"{number(values.mean(), decimals)} ({low} to {high})"


def duration(seconds: float) -> str:
    """4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def typeset(text: str) -> str:
    """A hyphen before a number becomes a minus sign, and a unit stays on its number's line."""
    return re.sub(r"(?<=\d) (?=%|points)", "\u00a0", re.sub(r"(?<![\w.])-(?=\d)", "−", text))


def elided(name: str, longest: int) -> str:
    """A name that is too long loses its middle, as names often differ at their end: class-nu…er 12"""
    end = longest // 3
    return name if len(name) <= longest else f"{name[: longest - 1 - end]}…{name[-end:]}"


def listed(names: Sequence[object]) -> str:
    """a; a and b; a, b and c."""
    *most, last = [str(name) for name in names]
    return f"{', '.join(most)} and {last}" if most else last
