"""An interval's verdict, and the sentence that says it."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from pipeline.config import from_mapping
from pipeline.contrasts import Contrast
from pipeline.errors import InputError
from pipeline.verdict import CompareConfig, interval_to_verdict, sentence

CONFIG = CompareConfig(margin=0.5, confidence=0.95, primary=Contrast(50, "real+gan", "real"))


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "verdict"),
    [
        (-0.4, 0.4, 0.9, "equivalent"),
        (0.1, 0.4, 0.01, "equivalent"),  # certainly better, and too little to matter
        (-0.5, 0.4, 0.9, "inconclusive"),  # the margin itself is not inside
        (0.1, 0.5, 0.01, "helps"),
        (0.1, 0.9, 0.01, "helps"),
        (0.1, 0.9, 0.06, "inconclusive"),  # by its own interval it helps, in its family it may be luck
        (0.0, 0.9, 0.051, "inconclusive"),
        (-0.9, -0.1, 0.01, "hurts"),
        (-0.9, -0.1, 0.06, "inconclusive"),
        (-0.9, 0.9, 1.0, "inconclusive"),
        (math.nan, math.nan, math.nan, "descriptive"),
    ],
)
def test_verdict(low: float, high: float, p_holm: float, verdict: str) -> None:
    assert interval_to_verdict(low, high, p_holm, CONFIG) == verdict


# The verdict in words


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            (
                "real+gan is 1.40 points better than real (95 % interval 0.90 to 1.90; better in 8 "
                "of 8 replicates): adding GAN images helps."
            ),
        ),
        (
            {"delta": -1.4, "ci_low": -1.9, "ci_high": -0.9, "wins": 1, "losses": 7, "verdict": "hurts"},
            (
                "real+gan is 1.40 points worse than real (95 % interval -1.90 to -0.90; worse in 7 "
                "of 8 replicates): adding GAN images hurts."
            ),
        ),
        (
            {"delta": 0.2, "ci_low": -0.6, "ci_high": 1.0, "wins": 5, "losses": 3, "verdict": "inconclusive"},
            (
                "real+gan is 0.20 points better than real (95 % interval -0.60 to +1.00; better in "
                "5 of 8 replicates): this study cannot tell whether adding GAN images helps."
            ),
        ),
        (
            {"p_holm": 0.081, "reference": "real+copies", "verdict": "inconclusive"},
            (
                "real+gan is 1.40 points better than real+copies (95 % interval 0.90 to 1.90; better in 8 "
                "of 8 replicates): this study cannot tell whether real+gan in place of real+copies helps; "
                "among the study's many comparisons it may be luck (Holm-adjusted p 0.08)."
            ),
        ),
        (
            {"delta": -0.001, "ci_low": -0.201, "ci_high": 0.199, "wins": 3, "losses": 4, "verdict": "equivalent"},
            (
                "real+gan is as good as real (95 % interval -0.20 to +0.20; better in 3 of 8 "
                "replicates): adding GAN images makes no difference that matters (all of it within ±0.5 points)."
            ),
        ),
        (
            {"delta": 0.13, "ci_low": 0.03, "ci_high": 0.22, "verdict": "equivalent"},
            (
                "real+gan is 0.13 points better than real (95 % interval 0.03 to 0.22; better in 8 of 8 "
                "replicates): adding GAN images helps, but by less than matters (all of it within ±0.5 points)."
            ),
        ),
        (
            {"delta": -0.13, "ci_low": -0.22, "ci_high": -0.03, "losses": 7, "p_holm": 0.2, "verdict": "equivalent"},
            (
                "real+gan is 0.13 points worse than real (95 % interval -0.22 to -0.03; worse in 7 of 8 "
                "replicates): adding GAN images makes no difference that matters (all of it within ±0.5 points)."
            ),
        ),
        (
            {"arm": "real+gan+classical", "reference": "real+classical", "budget": 3000, "replicates": 1, "wins": 1}
            | {"ci_low": math.nan, "ci_high": math.nan, "p_holm": math.nan, "verdict": "descriptive"},
            (
                "real+gan+classical is 1.40 points better than real+classical (better in 1 of 1 "
                "replicate): a description only, with no interval and so no verdict."
            ),
        ),
        (
            {"arm": "real+gan+classical"},
            (
                "real+gan+classical is 1.40 points better than real (95 % interval 0.90 to 1.90; "
                "better in 8 of 8 replicates): adding GAN images and classical augmentation helps."
            ),
        ),
    ],
)
def test_sentence(changes: dict[str, Any], text: str) -> None:
    row: dict[str, Any] = {"budget": 50, "arm": "real+gan", "reference": "real", "replicates": 8}
    row |= {"delta": 1.4, "ci_low": 0.9, "ci_high": 1.9, "wins": 8, "losses": 0, "p_holm": 0.001, "verdict": "helps"}
    row |= changes
    assert sentence(row, margin=0.5) == sentence(pd.Series(row), margin=0.5)
    assert sentence(row, margin=0.5) == f"At {row['budget']} real images a class, {text}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": 0}, "compare.margin: must lie"),
        ({"confidence": 95}, "compare.confidence: must lie between 0 and 1, got 95"),
        ({"primary": {"budget": 0, "arm": "gan", "reference": "real"}}, "compare.primary.budget: must be above 0"),
        ({"primary": {"budget": 5, "arm": "gan", "reference": "gan"}}, "compare.primary.reference: must differ"),
    ],
)
def test_impossible_config_is_refused(changes: dict[str, Any], message: str) -> None:
    values = {"margin": 0.5, "confidence": 0.95, "primary": {"budget": 50, "arm": "real+gan", "reference": "real"}}
    assert from_mapping(CompareConfig, values, "compare") == CONFIG
    with pytest.raises(InputError, match=message):
        from_mapping(CompareConfig, values | changes, "compare")
