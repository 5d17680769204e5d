"""Comparison arithmetic against numbers worked by hand, scipy, and tables drawn from a model with a known delta."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline import comparison
from pipeline.comparison import MeanSquares, Predictions, differences_to_interval, mean_squares_to_interval
from pipeline.contrasts import Contrast
from pipeline.errors import InputError
from pipeline.verdict import CompareConfig

ARMS = ("real", "real+classical", "real+gan", "real+gan+classical", "gan", "real+copies", "real+interpolated")
PRIMARY = Contrast(50, "real+gan", "real")
CONFIG = CompareConfig(margin=0.5, confidence=0.95, primary=PRIMARY)


def study_of(correct: Mapping[int, Mapping[str, ArrayLike]], labels: ArrayLike | None = None) -> Predictions:
    """Predictions over two classes that are right exactly where `correct` is 1."""
    tables = {budget: {arm: np.asarray(table) for arm, table in arms.items()} for budget, arms in correct.items()}
    size = next(iter(next(iter(tables.values())).values())).shape[1]
    truth = np.zeros(size, dtype=np.int64) if labels is None else np.asarray(labels)
    by_budget = {
        b: {arm: np.where(table, truth, 1 - truth) for arm, table in arms.items()} for b, arms in tables.items()
    }
    return Predictions(by_budget, truth, ("zero", "one"))


def random_study(budgets: Mapping[int, int], images: int = 300) -> Predictions:
    """All seven arms, each 1 point better than the one before it. budgets: budget -> replicates."""
    rng = np.random.default_rng(5)
    accuracy = dict(zip(ARMS, np.linspace(0.9, 0.96, len(ARMS)), strict=True))
    return study_of({b: {a: rng.random((r, images)) < p for a, p in accuracy.items()} for b, r in budgets.items()})


# The interval


def test_interval_is_the_one_worked_by_hand() -> None:
    # Grand mean 1/3. Row means 2/3, 0:          SS_R = 3 (1/9 + 1/9)                = 2/3, MS_R = 2/3  (1 df)
    # Column means 1/2, 1, -1/2:                 SS_T = 2 (1/36 + 16/36 + 25/36)     = 7/3, MS_T = 7/6  (2 df)
    # Total 4 - 6/9 = 10/3, so                   SS_E = 10/3 - 2/3 - 7/3             = 1/3, MS_E = 1/6  (2 df)
    # Var = (2/3 + 7/6 - 1/6) / 6 = 5/18; df = (5/3)^2 / (4/9 + 49/72 + 1/72) - 2 = 0.44, but R - 1 = 1 at least.
    interval = differences_to_interval(np.array([[1, 1, 0], [0, 1, -1]]), 0.95)
    error = math.sqrt(5 / 18)
    half = stats.t.ppf(0.975, 1) * error
    assert interval == pytest.approx((1 / 3, 1 / 3 - half, 1 / 3 + half, 2 * stats.t.sf(1 / 3 / error, 1)))


def test_degrees_of_freedom_are_satterthwaites_less_two() -> None:
    # Var = (3 + 2 - 1) / 400; df = 4^2 / (9/3 + 4/99 + 1/297) - 2.
    m = MeanSquares(replicates=4, images=100, delta=0.1, ms_r=3.0, ms_t=2.0, ms_e=1.0)
    freedom = 16 / (3 + 4 / 99 + 1 / 297) - 2
    assert freedom > 3
    interval = mean_squares_to_interval(m, 0.9)
    assert interval.high - 0.1 == pytest.approx(0.1 * stats.t.ppf(0.95, freedom))
    assert interval.p == pytest.approx(2 * stats.t.sf(1, freedom))


def test_without_an_image_component_it_is_the_paired_t_test() -> None:
    # Every column has the same mean, so MS_T = 0; MS_R = 3.2 is above MS_E = 0.2.
    d = np.array([[1] * 9 + [0], [0] * 9 + [1]])
    reference = stats.ttest_1samp(d.mean(axis=1), 0)
    bounds = reference.confidence_interval(0.95)
    assert differences_to_interval(d, 0.95) == pytest.approx((0.5, bounds.low, bounds.high, reference.pvalue))


def test_without_a_replicate_component_the_images_alone_decide() -> None:
    # MS_R = 0.5 is below MS_E = 1 and joins it; MS_T = 3 stays, with 99 degrees of freedom less two.
    interval = mean_squares_to_interval(MeanSquares(4, 100, 0.0, ms_r=0.5, ms_t=3.0, ms_e=1.0), 0.95)
    assert interval.high == pytest.approx(math.sqrt(3 / 400) * stats.t.ppf(0.975, 97))


def test_held_replicates_that_agree_count_with_their_own_few_degrees_of_freedom() -> None:
    # MS_R = 0.5 counts as MS_E = 1: the variance is 1 + 3 - 1 = 3, but rests on 3, 99 and 297 degrees of freedom.
    m = MeanSquares(4, 100, 0.5, ms_r=0.5, ms_t=3.0, ms_e=1.0)
    freedom = 9 / (1 / 3 + 9 / 99 + 1 / 297) - 2  # 19.04
    held = mean_squares_to_interval(m, 0.95, held=True)
    assert held.high - 0.5 == pytest.approx(math.sqrt(3 / 400) * stats.t.ppf(0.975, freedom))
    assert held.p == pytest.approx(2 * stats.t.sf(0.5 / math.sqrt(3 / 400), freedom))
    assert held.p > 100 * mean_squares_to_interval(m, 0.95).p
    above = m._replace(ms_r=1.5)
    assert mean_squares_to_interval(above, 0.95, held=True) == mean_squares_to_interval(above, 0.95)


def test_replicates_that_agree_by_luck_do_not_make_a_certain_result() -> None:
    # MS_R = MS_T = 0 but MS_E = 1: all four cells are one sample, of mean square 1/3 with 3 degrees of freedom.
    interval = differences_to_interval(np.array([[1, 0], [0, 1]]), 0.95)
    assert interval.high == pytest.approx(0.5 + math.sqrt(1 / 12) * stats.t.ppf(0.975, 1))  # 3 less two


def test_the_smaller_mean_square_is_pooled_first() -> None:
    # MS_T = 0 draws the rest from 1 to 0.75; MS_R = 0.9, below MS_E as it stood, is above that and counts.
    interval = mean_squares_to_interval(MeanSquares(4, 100, 0.0, ms_r=0.9, ms_t=0.0, ms_e=1.0), 0.95)
    assert interval.high == pytest.approx(math.sqrt(0.9 / 400) * stats.t.ppf(0.975, 3))


@pytest.mark.parametrize(("value", "p"), [(0, 1.0), (1, 0.0), (-1, 0.0)])
def test_a_constant_table_has_no_width(value: int, p: float) -> None:
    assert differences_to_interval(np.full((3, 4), value), 0.95) == (value, value, value, p)


def test_one_replicate_has_no_interval() -> None:
    interval = differences_to_interval(np.array([[1, 0, 0, 1]]), 0.95)
    assert interval.delta == 0.5
    assert np.isnan(interval[1:]).all()


def test_p_is_dual_to_the_interval() -> None:
    rng = np.random.default_rng(0)
    excluded = 0
    for _ in range(500):
        shape, confidence = (rng.integers(2, 7), rng.integers(2, 40)), rng.choice([0.8, 0.9, 0.95, 0.99])
        d = (rng.random(shape) < rng.uniform(0, 0.9)).astype(int) - (rng.random(shape) < 0.2)
        _, low, high, p = differences_to_interval(d, confidence)
        assert (p < 1 - confidence) == (low > 0 or high < 0)
        excluded += low > 0 or high < 0
    assert 100 < excluded < 400


def test_swapping_the_arms_mirrors_the_interval() -> None:
    d = np.random.default_rng(1).integers(-1, 2, (5, 30))
    there, back = differences_to_interval(d, 0.95), differences_to_interval(-d, 0.95)
    assert (back.delta, back.low, back.high, back.p) == (-there.delta, -there.high, -there.low, there.p)


def simulated_differences(replicates: int, effect: float) -> tuple[NDArray[np.int64], float]:
    """d (S, R, T) of S studies at about 94 % accuracy, and their true expected delta.

    An arm is right where a normal score is above 0. Scores share image, subset and rest; each arm adds its own three.
    """
    rng, studies, images = np.random.default_rng(replicates), 600, 400
    shared, own = (1.5, 0.1, 0.7), (0.4, 0.1, 1.0)  # sd of image, subset, rest

    def scores(sd: tuple[float, float, float]) -> NDArray[np.float64]:
        shapes = ((studies, 1, images), (studies, replicates, 1), (studies, replicates, images))
        image, subset, rest = (s * rng.standard_normal(shape) for s, shape in zip(sd, shapes, strict=True))
        return image + subset + rest

    total = math.hypot(*shared, *own)
    base = stats.norm.ppf(0.94) * total + scores(shared)
    d = (base + scores(own) + effect > 0).astype(np.int64) - (base + scores(own) > 0)
    return d, stats.norm.cdf(stats.norm.ppf(0.94) + effect / total) - 0.94


@pytest.mark.parametrize("replicates", [4, 10])
@pytest.mark.parametrize("effect", [0.0, 0.2])  # with 0, what is not covered is a false alarm
def test_interval_covers_what_it_claims(replicates: int, effect: float) -> None:
    tables, truth = simulated_differences(replicates, effect)
    intervals = [differences_to_interval(d, 0.95) for d in tables]
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.99


def test_bootstrap_over_four_replicates_covers_too_little() -> None:
    tables, truth = simulated_differences(4, 0.2)
    means = tables.mean(axis=2)
    resampled = means[:, np.random.default_rng(0).integers(4, size=(500, 4))].mean(axis=2)  # (studies, 500)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert np.mean((low <= truth) & (truth <= high)) < 0.85


# Holm


def test_holm_is_the_one_worked_by_hand() -> None:
    # In order: 4 x 0.005, 3 x 0.01, 2 x 0.03 = 0.06, then 1 x 0.04, which may not be below the 0.06 before it.
    assert comparison.holm([0.01, 0.04, np.nan, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True
    )
    assert comparison.holm([0.6, 0.7]).tolist() == [1, 1]
    assert comparison.holm([]).tolist() == []


# The tables


def test_deltas_of_a_small_study() -> None:
    real = [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]  # 50, 25, 75 %
    gan = [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]]  # 75, 25, 50 %: one win, one draw, one loss
    deltas = comparison.predictions_to_deltas(study_of({50: {"real": real, "real+gan": gan}}), CONFIG)
    (row,) = deltas.to_dict("records")
    columns = ["budget", "arm", "reference", "replicates", "accuracy_mean", "accuracy_sd", "delta", "ci_low", "ci_high"]
    assert list(row) == [*columns, "wins", "losses", "p_holm", "verdict"]
    _, low, high, p = differences_to_interval(np.subtract(gan, real), 0.95)
    numbers = [row[name] for name in ("accuracy_mean", "accuracy_sd", "delta", "ci_low", "ci_high", "p_holm")]
    assert numbers == pytest.approx([50, 25, 0, 100 * low, 100 * high, p])
    assert [row[name] for name in ("replicates", "wins", "losses", "verdict")] == [3, 1, 1, "inconclusive"]


def test_holm_spans_budgets_and_leaves_the_primary_contrast_alone() -> None:
    study = random_study({10: 3, 50: 4, 3000: 1})
    deltas = comparison.predictions_to_deltas(study, CONFIG).set_index(["budget", "arm", "reference"])
    assert len(deltas) == 3 * 13
    primary = (50, "real+gan", "real")
    raw = pd.Series(
        {
            (b, arm, ref): differences_to_interval(
                study.correct(b, arm) - study.correct(b, ref), 0.95, held=(b, arm, ref) != primary
            ).p
            for b, arm, ref in deltas.index
        }
    )
    assert deltas["p_holm"][primary] == raw[primary]
    secondary = raw.drop(primary)
    assert deltas["p_holm"].drop(primary).min() == pytest.approx(
        secondary.min() * 25
    )  # two budgets of 13, but for the primary
    descriptive = deltas.loc[3000]
    assert set(descriptive["verdict"]) == {"descriptive"}
    assert descriptive[["ci_low", "ci_high", "p_holm", "accuracy_sd"]].isna().to_numpy().all()


def test_a_primary_contrast_that_is_not_a_usual_one_gets_its_row() -> None:
    for arm, reference, rows in [("real+gan+classical", "gan", 14), ("real", "real+classical", 13)]:
        config = CompareConfig(0.5, 0.95, Contrast(50, arm, reference))
        deltas = comparison.predictions_to_deltas(random_study({50: 2}), config)
        assert len(deltas) == rows
        assert tuple(deltas[["arm", "reference"]].iloc[0]) == (arm, reference)


def test_accuracies_and_recalls() -> None:
    arms = {"real": [[1, 0, 1, 1], [1, 0, 0, 0]], "real+gan": [[1, 1, 1, 0], [1, 1, 0, 0]]}
    study = study_of({50: arms}, labels=[0, 0, 1, 1])
    accuracies = comparison.predictions_to_accuracies(study)
    assert accuracies.values.tolist() == [
        [50, "real", 0, 75],
        [50, "real", 1, 25],
        [50, "real+gan", 0, 75],
        [50, "real+gan", 1, 50],
    ]
    recalls = comparison.predictions_to_recalls(study)
    assert recalls.columns.tolist() == ["budget", "arm", "class", "recall_mean", "recall_sd", "delta"]
    assert recalls.iloc[:, 1:].values.tolist() == [
        ["real", "zero", 50, 0, 0],
        ["real", "one", 50, pytest.approx(math.sqrt(5000)), 0],
        ["real+gan", "zero", 100, 0, 50],
        ["real+gan", "one", 25, pytest.approx(math.sqrt(1250)), -25],
    ]


def test_a_class_without_test_image_has_no_recall() -> None:
    recalls = comparison.predictions_to_recalls(study_of({50: {"real": [[1, 0]]}})).set_index("class")
    assert recalls["recall_mean"]["zero"] == 50
    assert math.isnan(recalls["recall_mean"]["one"])


def test_mcnemar_is_the_exact_binomial_one() -> None:
    # 8 images for the arm alone, 2 for the reference alone: p = 2 (1 + 10 + 45) / 1024. Then none for either: p = 1.
    real = [[0] * 8 + [1] * 2 + [1, 0], [1] * 12]
    gan = [[1] * 8 + [0] * 2 + [1, 0], [1] * 12]
    table = comparison.predictions_to_mcnemar(study_of({50: {"real": real, "real+gan": gan}}), CONFIG)
    columns = ["budget", "arm", "reference", "replicate", "only_arm", "only_reference", "p"]
    assert table.columns.tolist() == columns
    assert table["p"].tolist() == pytest.approx([112 / 1024, 1])
    assert table["p"][0] == pytest.approx(stats.binomtest(2, 10).pvalue)
    assert table[["replicate", "only_arm", "only_reference"]].values.tolist() == [[0, 8, 2], [1, 0, 0]]


def test_metrics_are_plain_json() -> None:
    study = random_study({50: 3, 3000: 1})
    deltas = comparison.predictions_to_deltas(study, CONFIG)
    oracle = np.where(np.arange(300) < 297, study.labels, 1 - study.labels)
    metrics = comparison.deltas_to_metrics(study, deltas, CONFIG, oracle)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["oracle"] == {"accuracy": 99.0}
    assert metrics["accuracy"]["50"]["real"]["n"] == 3
    assert metrics["accuracy"]["3000"]["real"]["sd"] is None
    entry = metrics["delta"]["50"]["real+gan_vs_real"]
    expected = deltas.query("budget == 50 and arm == 'real+gan' and reference == 'real'")["ci_low"].item()
    assert entry["ci_low"] == round(expected, 4)
    assert metrics["delta"]["3000"]["real+gan_vs_real"]["ci_low"] is None
    assert entry.items() <= metrics["primary"].items()
    assert metrics["primary"]["sentence"].startswith("At 50 real images a class, real+gan is ")
    with pytest.raises(InputError, match="oracle"):
        comparison.deltas_to_metrics(study, deltas, CONFIG, oracle[:-1])


def test_a_sentence_says_where_only_the_rare_classes_are_that_small() -> None:
    study = random_study({50: 3})
    deltas = comparison.predictions_to_deltas(study, CONFIG)
    oracle = study.labels

    def said(uneven: list[int]) -> str:
        metrics = comparison.deltas_to_metrics(study, deltas, CONFIG, oracle, uneven)
        return str(metrics["primary"]["sentence"])

    even = comparison.deltas_to_metrics(study, deltas, CONFIG, oracle)["primary"]["sentence"]
    assert said([]) == said([10]) == even and even.startswith("At 50 real images a class, real+gan is")
    assert said([10, 50]) == even.replace("a class", "of each rare class", 1)


# What is refused


RIGHT = np.zeros((2, 4), dtype=np.int64)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"real": RIGHT, "real+gan": RIGHT[:1]}, r"budget 50, arm real\+gan: 1 replicates, but arm real has 2"),
        ({"real": RIGHT, "real+gan": RIGHT[:, :3]}, r"budget 50, arm real\+gan: .*\(2, 3\) for 4 test images"),
        ({"real": RIGHT[0]}, r"budget 50, arm real: .*\(4,\)"),
        ({"real": RIGHT[:0]}, r"budget 50, arm real: .*\(0, 4\)"),
        ({"real": RIGHT + 2}, "budget 50, arm real: 2 is outside the 2 classes"),
        ({"real": RIGHT - 1}, "budget 50, arm real: -1 is outside the 2 classes"),
        ({"real": RIGHT + 0.5}, "budget 50, arm real: must be whole numbers"),
        ({"real+gan": RIGHT}, r"budget 50: no arm real to compare with, only real\+gan"),
    ],
)
def test_unpaired_or_impossible_predictions_are_refused(arms: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictions({50: arms}, np.array([0, 1, 0, 1]), ("zero", "one"))


@pytest.mark.parametrize("labels", [[0, 1, 2, 0], [0, -1, 0, 0], [0], [[0, 1, 0, 1]], [0.0, 1.0, 0.0, 1.0]])
def test_impossible_labels_are_refused(labels: ArrayLike) -> None:
    with pytest.raises(InputError, match="test labels: "):
        Predictions({50: {"real": RIGHT}}, np.asarray(labels), ("zero", "one"))


@pytest.mark.parametrize(("budget", "arm"), [(10, "real+gan"), (50, "real+magic")])
def test_a_primary_contrast_that_the_study_lacks_is_refused(budget: int, arm: str) -> None:
    config = CompareConfig(0.5, 0.95, Contrast(budget, arm, "real"))
    with pytest.raises(InputError, match=r"compare\.primary: the study has no arm") as error:
        comparison.predictions_to_deltas(random_study({50: 2}), config)
    assert arm in str(error.value)
