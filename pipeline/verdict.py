"""What an interval means for the question: the margin that matters, a verdict, and the sentence that says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

from pipeline.config import require
from pipeline.contrasts import Contrast

WORDS = {"real": "real images", "gan": "GAN images", "classical": "classical augmentation"}
WORDS |= {"copies": "affine copies", "interpolated": "interpolated images"}


@dataclass(frozen=True)
class CompareConfig:
    """margin: the smallest delta that matters, in points. primary: the one contrast declared before the results."""

    margin: float
    confidence: float
    primary: Contrast

    def __post_init__(self) -> None:
        require(0 < self.margin < 100, f"margin: must lie between 0 and 100 points, got {self.margin}")
        require(0 < self.confidence < 1, f"confidence: must lie between 0 and 1, got {self.confidence}")


def interval_to_verdict(low: float, high: float, p_holm: float, config: CompareConfig) -> str:
    """Bounds in points -> equivalent, helps, hurts or inconclusive; descriptive where there is no interval.

    Equivalent comes of the interval alone: unlike helps and hurts it is not corrected for the number of contrasts.
    """
    if math.isnan(p_holm):
        return "descriptive"
    if -config.margin < low and high < config.margin:
        return "equivalent"
    if p_holm < 1 - config.confidence and (low > 0 or high < 0):
        return "helps" if low > 0 else "hurts"
    return "inconclusive"


def subject(arm: str, reference: str) -> str:
    """What a contrast is about: adding what the arm has more than its reference, or the one in place of the other."""
    parts, before = arm.split("+"), reference.split("+")
    added = " and ".join(WORDS.get(part, part) for part in parts if part not in before)
    return f"adding {added}" if set(before) < set(parts) else f"{arm} in place of {reference}"


def each_class(uneven: bool) -> str:
    """What follows a budget's number of images. uneven: only some classes are that small."""
    return "of each rare class" if uneven else "a class"


def rounded(value: float, decimals: int) -> float:
    """Halves away from zero, never -0.0. A mean of accuracies is often a half, and its last bit, which depends on the
    order of a sum, must not decide between 96.96 and 96.97.
    """
    if not math.isfinite(value):
        return value
    exact = Decimal(repr(round(float(value), decimals + 6)))
    return float(exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)) + 0.0


def sentence(
    row: Mapping[Any, Any] | pd.Series[Any], margin: float, confidence: float = 0.95, uneven: bool = False
) -> str:
    """A row of deltas in plain English. margin: points; both as the row's verdict was made with. uneven: as of
    `each_class`.
    """
    arm, reference, verdict, n = row["arm"], row["reference"], row["verdict"], row["replicates"]
    delta, low, high = (rounded(row[name], 2) for name in ("delta", "ci_low", "ci_high"))
    side = "better" if delta >= 0 else "worse"
    facts = f"{side} in {row['wins'] if delta >= 0 else row['losses']} of {n} replicate{'s' if n > 1 else ''}"
    if verdict != "descriptive":
        signed = "" if low >= 0 else "+"
        facts = f"{100 * confidence:g} % interval {low:{signed}.2f} to {high:{signed}.2f}; {facts}"
    size = f"{abs(delta):.2f} points {side} than" if delta else "as good as"

    change = subject(arm, reference)
    ending = {
        "helps": f"{change} helps",
        "hurts": f"{change} hurts",
        "equivalent": f"{change} makes no difference that matters (all of it within ±{margin:g} points)",
        "descriptive": "a description only, with no interval and so no verdict",
        "inconclusive": f"this study cannot tell whether {change} helps",
    }[verdict]
    clear = row["ci_low"] > 0 or row["ci_high"] < 0
    if verdict == "equivalent" and clear and row["p_holm"] < 1 - confidence:
        word = "helps" if delta > 0 else "hurts"
        ending = f"{change} {word}, but by less than matters (all of it within ±{margin:g} points)"
    if verdict == "inconclusive" and clear:
        ending += f"; among the study's many comparisons it may be luck (Holm-adjusted p {row['p_holm']:.2f})"
    return f"At {row['budget']} real images {each_class(uneven)}, {arm} is {size} {reference} ({facts}): {ending}."
