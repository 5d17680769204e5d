from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.comparison import Predictions, differences_to_interval
from pipeline.groups import COLUMNS, predictions_to_groups, rare_classes, uneven_budgets

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])  # class 1 is the rare one
REAL = np.array([[0, 0, 0, 0, 0, 0, 2, 2], [0, 0, 0, 0, 0, 1, 2, 2]])
BETTER = np.array([[0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1, 2, 2]])
UNEVEN = {20: {"a": 500, "b": 20, "c": 500}}
STUDY = Predictions({20: {"real": REAL, "better": BETTER}}, LABELS, ("a", "b", "c"))


def test_rare_classes_gain_and_common_ones_lose() -> None:
    table = predictions_to_groups(STUDY, UNEVEN, 0.95)
    assert set(table["reference"]) == {"real"}
    rows = table.set_index(["arm", "group"])
    # By hand: on the rare class 0 and 1 of 2 are right, then all; on the other six images one of 12 is lost.
    assert rows.loc[("real", "rare"), "accuracy_mean"] == 25
    assert rows.loc[("better", "rare"), "accuracy_mean"] == 100
    assert rows.loc[("better", "rare"), "delta"] == 75
    assert rows.loc[("better", "common"), "delta"] == pytest.approx(-100 / 12)
    # Recalls of the three classes: (100, 25, 100) on average, then (87.5, 100, 100).
    assert rows.loc[("real", "balanced"), "accuracy_mean"] == pytest.approx(75)
    assert rows.loc[("better", "balanced"), "delta"] == pytest.approx((287.5 - 225) / 3)
    # Replicate by replicate: (75, 100, 100) - (100, 0, 100) is 25 on average, (100, 100, 100) - (100, 50, 100) 50 / 3.
    paired = stats.ttest_1samp([75 / 3, 50 / 3], 0).confidence_interval(0.95)
    assert rows.loc[("better", "balanced"), ["ci_low", "ci_high"]].tolist() == pytest.approx([*paired])
    assert rows.loc[("real", "balanced"), ["ci_low", "ci_high"]].tolist() == [0, 0]
    interval = differences_to_interval(np.array([[1, 1], [1, 0]]), 0.95)
    assert rows.loc[("better", "rare"), ["ci_low", "ci_high"]].tolist() == [100 * interval.low, 100 * interval.high]


def test_classes_that_are_equally_large_have_no_groups() -> None:
    table = predictions_to_groups(STUDY, {20: {"a": 20, "b": 20, "c": 20}}, 0.95)
    assert list(table.columns) == COLUMNS and not len(table)


def test_one_replicate_has_no_interval() -> None:
    study = Predictions({20: {"real": REAL[:1], "better": BETTER[:1]}}, LABELS, ("a", "b", "c"))
    table = predictions_to_groups(study, UNEVEN, 0.95)
    assert table[["ci_low", "ci_high"]].isna().to_numpy().all() and table["delta"].notna().all()


def test_a_class_without_a_test_image_does_not_count() -> None:
    study = Predictions(STUDY.by_budget, LABELS, ("a", "b", "c", "d"))
    table = predictions_to_groups(study, {20: UNEVEN[20] | {"d": 500}}, 0.95)
    pd.testing.assert_frame_equal(table, predictions_to_groups(STUDY, UNEVEN, 0.95))


def test_every_arm_is_held_against_what_costs_no_gan() -> None:
    arms = {"real": REAL, "real+classical": REAL, "weighted": REAL, "real+gan": BETTER, "gan for the rare": BETTER}
    study = Predictions({20: arms}, LABELS, ("a", "b", "c"), {"weighted": "real", "gan for the rare": "real+gan"})
    table = predictions_to_groups(study, UNEVEN, 0.95)
    assert list(table["reference"].unique()) == ["real", "real+classical", "weighted"]
    rows = table.set_index(["reference", "arm", "group"])
    assert rows.loc[("weighted", "gan for the rare", "rare"), "delta"] == 75
    assert rows.loc[("real+classical", "weighted", "rare"), "delta"] == 0


def test_a_class_is_rare_that_has_fewer_images_than_the_commonest() -> None:
    assert rare_classes({"a": 20, "b": 500, "c": 10, "d": 500}) == ["a", "c"]
    assert rare_classes({"a": 20, "b": 20}) == rare_classes({}) == []
    assert uneven_budgets({10: {"a": 10, "b": 10}, 20: {"a": 20, "b": 10}, 50: {}}) == [20]
