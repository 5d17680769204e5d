"""Worth how many real images: the arithmetic against values worked by hand, the interval against a known truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.comparison import Predictions, differences_to_interval
from pipeline.worth import (
    COLUMNS,
    contrasts_to_halves,
    crossing,
    moments_to_worth,
    predictions_to_worth,
    tables_to_moments,
)

Tables = dict[tuple[int, str], NDArray[np.int64]]


def simulated(
    levels: dict[tuple[int, str], float], seed: int, replicates: int = 5, tested: int = 300, spread: float = 0.02
) -> Tables:
    """Tables (R, T) of right answers whose expected share is `levels` by budget and arm.

    Arms of a budget share their subsets' effects, all tables the test images', and an answer its own draw with the
    other arms of its replicate: what is paired in a study is paired here.
    """
    rng = np.random.default_rng(seed)
    image = rng.uniform(-0.15, 0.15, tested)
    tables: Tables = {}
    for budget in dict.fromkeys(budget for budget, _ in levels):
        subset = rng.normal(0, spread, (replicates, 1))
        draw = rng.random((replicates, tested))
        for name, level in levels.items():
            if name[0] == budget:
                own = rng.normal(0, spread / 2, (replicates, 1))
                tables[name] = (draw < level + subset + own + image).astype(np.int64)
    return tables


def study_of(tables: Tables) -> Predictions:
    """Two classes, all labels 0: a right answer is 0, a wrong one 1."""
    by_budget: dict[int, dict[str, NDArray[np.int64]]] = {}
    for (budget, arm), table in tables.items():
        by_budget.setdefault(budget, {})[arm] = 1 - table
    tested = next(iter(tables.values())).shape[1]
    return Predictions(by_budget, np.zeros(tested, np.int64), ["zero", "one"])


# Read off the curve


@pytest.mark.parametrize(
    ("level", "budget"),
    [
        (0.5, 10),
        (0.7, 100),
        (0.6, math.sqrt(10 * 100)),  # half way, on the logarithmic axis
        (0.75, 100 * 10**0.25),
        (0.9, 1000),
        (0.49, 0),
        (0.91, math.inf),
    ],
)
def test_the_curve_is_linear_in_log_budget(level: float, budget: float) -> None:
    assert crossing(np.array([10.0, 100, 1000]), np.array([0.5, 0.7, 0.9]), level) == pytest.approx(budget)


def test_of_several_crossings_the_smallest_counts() -> None:
    sizes, dipping = np.array([1.0, 10, 100, 1000]), np.array([0.5, 0.8, 0.6, 0.9])
    assert crossing(sizes, dipping, 0.7) == pytest.approx(10 ** (2 / 3))
    assert crossing(sizes, dipping, 0.8) == 10
    assert crossing(sizes, dipping, 0.85) == pytest.approx(100 * 10 ** (0.25 / 0.3))


# The variance of a contrast


def test_mean_squares_by_hand() -> None:
    # Right answers of two replicates on three images. Row means 2/3 and 1/3, column means 1, 1/2, 0: the grand mean is
    # 1/2. MS_R = 3 (1/36 + 1/36) / 1 = 1/6; column sums of squares 2 (1/4 + 0 + 1/4) = 1, MS_T = 1/2; the rest of the
    # total 6/4 is 1.5 - 1/6 - 1 = 1/3, MS_E = 1/6.
    moments = tables_to_moments({(10, "real"): np.array([[1, 1, 0], [1, 0, 0]])})
    assert moments.means.tolist() == [0.5]
    assert moments.subsets[10].item() == pytest.approx(1 / 6 / 6)
    assert moments.rest[10].item() == pytest.approx(1 / 6 / 6)
    assert moments.images.item() == pytest.approx(1 / 4)  # variance of 1, 1/2, 0, which is MS_T / R


def test_variance_and_freedom_of_two_budgets_by_hand() -> None:
    # Row means 1/3 and 1/3: MS_R is 0 and drops out. Column means 1/2, 1/2, 0; the total 4/3 less 1/3 of the columns
    # leaves 1, MS_E = 1/2. C of the difference of two equal tables is 0 and drops out, too. So the variance is the rest
    # of both, 2 (1/2) / 6, with (1/6)^2 / (2 (1/12)^2 / 2) = 4 degrees of freedom, less two.
    table = np.array([[1, 0, 0], [0, 1, 0]])
    moments = tables_to_moments({(10, "real"): table, (20, "real"): table})
    d, half = contrasts_to_halves(moments, np.array([[1.0, -1.0]]), 0.95)
    assert d.tolist() == [0]
    assert half.item() == pytest.approx(math.sqrt(1 / 6) * 4.302653)  # t, 2 degrees of freedom


@pytest.mark.parametrize("seed", range(5))
def test_within_one_budget_it_is_the_interval_of_the_comparison(seed: int) -> None:
    levels = {(50, "real"): 0.7, (50, "real+gan"): 0.75, (100, "real"): 0.8}
    tables = simulated(levels, seed, replicates=6, spread=0.05)
    moments = tables_to_moments(tables)
    d, half = contrasts_to_halves(moments, np.array([[-1.0, 1, 0]]), 0.9)
    expected = differences_to_interval(tables[50, "real+gan"] - tables[50, "real"], 0.9)
    assert d.item() == pytest.approx(expected.delta)
    assert half.item() == pytest.approx(expected.delta - expected.low)


def test_the_variance_is_that_of_fresh_studies() -> None:
    levels = {(10, "real"): 0.6, (10, "real+gan"): 0.66, (40, "real"): 0.75}
    coefficients = np.array([[-0.5, 1, -0.5], [0, 1, -1], [-1, 1, 0]])
    drawn, halves = [], []
    for seed in range(400):
        d, half = contrasts_to_halves(tables_to_moments(simulated(levels, seed)), coefficients, 0.6827)
        drawn.append(d)
        halves.append(half)
    assert np.mean(drawn, axis=0) == pytest.approx([-0.015, -0.09, 0.06], abs=0.004)
    # 68 % of a normal distribution lies within one standard deviation; t with few degrees of freedom is a little wider
    ratio = np.sqrt((np.array(halves) ** 2).mean(axis=0)) / np.std(drawn, axis=0)
    assert (ratio > 0.93).all() and (ratio < 1.3).all(), ratio


# The confidence set


BUDGETS = (10, 30, 100)
CURVE = dict(zip(BUDGETS, (0.55, 0.67, 0.79), strict=True))


@pytest.mark.parametrize(
    ("budget", "truth"), [(10, 17.0), (30, 45.0), (30, 30.0)], ids=["below", "above", "worth nothing"]
)
def test_the_interval_holds_the_truth_as_often_as_it_says(budget: int, truth: float) -> None:
    level = float(np.interp(np.log(truth), np.log(BUDGETS), list(CURVE.values())))
    levels = {(b, "real"): curve for b, curve in CURVE.items()} | {(budget, "real+gan"): level}
    held, lows, highs, estimates = 0, [], [], []
    draws = 300
    for seed in range(draws):
        moments = tables_to_moments(simulated(levels, seed))
        estimate, low, high = moments_to_worth(moments, budget, "real+gan", 0.95)
        held += low <= truth <= high
        assert low <= estimate <= high
        lows.append(low)
        highs.append(high)
        estimates.append(estimate)
    # 95 % of 300 has a standard error of 1.3 %
    assert 0.91 <= held / draws <= 0.99, held
    assert np.median(estimates) == pytest.approx(truth, rel=0.1)
    # short enough to say something, and on neither side alone
    assert np.median(highs) / np.median(lows) < 4
    assert np.mean(np.array(lows) > truth) < 0.06 and np.mean(np.array(highs) < truth) < 0.06


def worth_of(levels: dict[tuple[int, str], float], **changes: float) -> pd.Series:
    table = predictions_to_worth(study_of(simulated(levels, 1, **changes)), 0.95)  # type: ignore[arg-type]
    return table.iloc[0]


REAL = {(10, "real"): 0.4, (100, "real"): 0.6}


def test_an_arm_beyond_the_curve_is_worth_more_than_its_last_budget() -> None:
    row = worth_of(REAL | {(10, "real+gan"): 0.8})
    assert (row["worth"], row["worth_low"], row["worth_high"]) == (math.inf, 100, math.inf)


def test_an_arm_below_the_curve_is_worth_less_than_its_first_budget() -> None:
    row = worth_of(REAL | {(100, "gan"): 0.2})
    assert (row["worth"], row["worth_low"], row["worth_high"]) == (0, 0, 10)


def test_an_end_that_is_not_rejected_is_open() -> None:
    row = worth_of(REAL | {(100, "real+gan"): 0.6})
    assert row["worth_high"] == math.inf
    assert 10 < row["worth_low"] < 100


def test_without_noise_the_interval_is_the_estimate() -> None:
    tables = {
        (10, "real"): np.tile([1, 0, 0, 0], (2, 1)),
        (40, "real"): np.tile([1, 1, 1, 0], (2, 1)),
        (10, "real+gan"): np.tile([1, 1, 0, 0], (2, 1)),
    }
    estimate, low, high = moments_to_worth(tables_to_moments(tables), 10, "real+gan", 0.95)
    assert estimate == pytest.approx(20)
    assert low < 20 < high  # the test images are a sample of four
    even = {name: np.ones((2, 4), np.int64) * (name == (40, "real")) for name in tables}
    even[10, "real+gan"] = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    constant = {name: even[name] for name in ((10, "real"), (40, "real"))} | {(10, "real+gan"): even[10, "real"]}
    estimate, low, high = moments_to_worth(tables_to_moments(constant), 10, "real+gan", 0.95)
    assert (estimate, low) == (10, 0)
    assert high == pytest.approx(10, rel=0.01)


def test_one_row_for_each_arm_and_budget_of_the_curve() -> None:
    levels = {(b, arm): 0.5 + 0.1 * i for i, b in enumerate(BUDGETS) for arm in ("real", "real+gan", "gan")}
    tables = simulated(levels, 3)
    tables |= {(1000, arm): table[:1] for (b, arm), table in tables.items() if b == 100}  # one replicate: no curve
    table = predictions_to_worth(study_of(tables), 0.95)
    assert table.columns.tolist() == COLUMNS
    assert table[["budget", "arm"]].to_numpy().tolist() == [[b, arm] for b in BUDGETS for arm in ("real+gan", "gan")]
    assert set(table["curve_from"]) == {10} and set(table["curve_to"]) == {100}
    first = table.iloc[0]
    assert first["accuracy_mean"] == pytest.approx(100 * tables[10, "real+gan"].mean())
    moments = tables_to_moments({name: table for name, table in tables.items() if name[0] != 1000})
    assert first[["worth", "worth_low", "worth_high"]].tolist() == pytest.approx(
        list(moments_to_worth(moments, 10, "real+gan", 0.95))
    )


@pytest.mark.parametrize("replicates", [1, 4])
def test_no_curve_no_rows(replicates: int) -> None:
    one = simulated({(10, "real"): 0.5, (10, "gan"): 0.5}, 0, replicates)
    single = {(100, arm): table[:1] for (_, arm), table in one.items()}
    for tables in (one, one | single):
        table = predictions_to_worth(study_of(tables), 0.95)
        assert table.columns.tolist() == COLUMNS and table.empty


def test_more_confidence_is_a_wider_interval() -> None:
    levels = {(b, "real"): curve for b, curve in CURVE.items()} | {(30, "real+gan"): 0.7}
    moments = tables_to_moments(simulated(levels, 5))
    _, low, high = moments_to_worth(moments, 30, "real+gan", 0.8)
    _, lower, higher = moments_to_worth(moments, 30, "real+gan", 0.95)
    assert lower < low < high < higher
