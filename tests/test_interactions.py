"""Differences of two contrasts: which there are, and their arithmetic by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.comparison import Predictions, differences_to_interval
from pipeline.interactions import COLUMNS, Interaction, interactions, predictions_to_interactions

OF = {"real+sharp": "real+classical", "gan+sharp": "real+gan+classical", "copies+sharp": "real+copies"}
REALS = {
    "real": "real",
    "real+classical": "real+classical",
    "real+gan+classical": "real+classical",
    "real+copies": "real",
    "real+sharp": "real+sharp",
    "gan+sharp": "real+sharp",
    "copies+sharp": "real",
}
SHARP = Interaction("gan+sharp", "real+sharp", "real+gan+classical", "real+classical")


def test_there_is_one_where_the_reals_are_distorted_otherwise() -> None:
    assert interactions(OF, REALS) == [SHARP]
    assert interactions({"half": "real+gan+classical"}, REALS | {"half": "real+classical"}) == []
    assert interactions({"far": "real+gan+classical"}, REALS) == []  # no real images are distorted as far
    both = {"both": "real+interpolated"}  # on top of classical augmentation, and without
    assert interactions(both, {"both": "real+classical", "real+interpolated": "real"}) == [
        Interaction("both", "real+classical", "real+interpolated", "real")
    ]


def predictions(right: dict[str, list[list[int]]]) -> Predictions:
    """right: of each arm 1 where a replicate reads an image as class 1, which it is."""
    return Predictions(
        {50: {arm: np.array(rows) for arm, rows in right.items()}}, np.ones(4, int), ["a", "b"], OF, {}, REALS
    )


ARMS = {
    "real": [[0, 0, 0, 1], [0, 0, 0, 1]],
    "real+classical": [[1, 1, 0, 0], [1, 0, 0, 0]],
    "real+gan+classical": [[1, 1, 1, 0], [1, 0, 0, 0]],
    "real+sharp": [[1, 0, 0, 0], [0, 0, 0, 0]],
    "gan+sharp": [[1, 1, 1, 0], [1, 1, 0, 0]],
}


def test_the_change_by_hand() -> None:
    table = predictions_to_interactions(predictions(ARMS), 0.95)
    assert tuple(table.columns) == COLUMNS
    (row,) = table.to_dict("records")
    assert Interaction(*(row[name] for name in Interaction._fields)) == SHARP
    # 2 and 2 of four images more, against 1 and 0: 50 points over 12.5
    assert (row["delta"], row["base_delta"], row["change"]) == (50, 12.5, 37.5)
    expected = differences_to_interval(np.array([[0, 1, 0, 0], [1, 1, 0, 0]]), 0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_one_replicate_has_no_interval_and_a_missing_arm_no_row() -> None:
    (row,) = predictions_to_interactions(predictions({arm: rows[:1] for arm, rows in ARMS.items()}), 0.95).to_dict(
        "records"
    )
    assert row["change"] == 25 and math.isnan(row["ci_low"]) and math.isnan(row["ci_high"])
    short = {arm: rows for arm, rows in ARMS.items() if arm != "real+sharp"}
    assert predictions_to_interactions(predictions(short), 0.95).empty
