"""Contrasts of real studies, and what intervals make of simulated studies of them whose true delta is known."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.family import GAN, ON_CLASSICAL
from benchmarks.intervals import METHODS, Studies, two_way
from benchmarks.measured import Measured, column, expected, pool, to_histograms
from benchmarks.population import Population, Shape
from pipeline.comparison import MeanSquares, differences_to_mean_squares, sums_to_mean_squares
from pipeline.contrasts import Contrast
from pipeline.seeds import derive
from pipeline.verdict import CompareConfig, interval_to_verdict

CONFIG = CompareConfig(margin=0.25, confidence=0.95, primary=Contrast(50, "real+gan", "real"))
DELTAS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)  # points
REPLICATES = (4, 6, 10, 20, 30)
IMAGES = 10_000
RESAMPLERS = ("percentile", "bca", "bootstrap_t")  # dear: of half the studies, at a true delta of 0 alone


@dataclass(frozen=True)
class Scenario:
    """A contrast that real studies measured, and how its replicate effects are made harsher.

    only: the seed of the one study to take; None for all that hold the contrast. spread: a factor on the replicate
    effects, 0 where the study estimated the contrast's component of them below 0.
    """

    name: str
    contrast: Contrast
    words: str
    only: int | None = None
    spread: float = 1
    shape: Shape = "normal"

    def measured(self, studies: Sequence[Measured]) -> Population:
        """Reference and arm, in this order; their components may be impossible ones."""
        names = [column(arm, self.contrast.budget) for arm in (self.contrast.reference, self.contrast.arm)]
        return pool(studies, self.only).subset(names)

    def population(self, studies: Sequence[Measured]) -> Population:
        """What is drawn from."""
        return self.measured(studies).mended().wider(self.spread, self.shape)


TEN = Contrast(10, "real+gan", "real")
COMMITTED = 20261125

SCENARIOS = (
    Scenario("gan", GAN, "`real+gan` against `real` at 50 a class, all studies pooled"),
    Scenario("alike", GAN, "the same in study 20261125 alone, which saw no spread between replicates", COMMITTED, 0),
    Scenario("ten", TEN, "`real+gan` against `real` at 10 a class, where replicates differ most"),
    Scenario("on_classical", ON_CLASSICAL, "`real+gan+classical` against `real+classical` at 20 a class"),
    Scenario("failures", GAN, "`gan`, twice the spread, and now and then a bad GAN", spread=2, shape="failures"),
    Scenario("heavy", GAN, "`gan`, twice the spread, with heavy tails (t of 3 degrees)", spread=2, shape="heavy"),
)


# The match of simulated studies to real ones


def described(arm: NDArray[np.int8], reference: NDArray[np.int8]) -> dict[str, Any]:
    """A contrast of two tables (R, T) in figures: mean squares, discordance (percent), histograms over the images."""
    d = arm - reference
    m = differences_to_mean_squares(d)
    squares = {"ms_r": m.ms_r, "ms_t": m.ms_t, "ms_e": m.ms_e, "discordant": 100 * float((d != 0).mean())}
    return {**squares, **to_histograms(arm, reference)}


def matched(studies: Sequence[Measured], count: int, seed: int) -> pd.DataFrame:
    """Real studies beside `count` simulated ones of 6 replicates: rows of scenario, figure, real, mean and sd of these.

    Pooled studies have no one table; their figures are those which the pooled correlations give on average.
    """
    rows, replicates = [], 6
    for scenario in (s for s in SCENARIOS if s.spread <= 1):
        real, pair = scenario.measured(studies), scenario.population(studies)
        m = expected(real, replicates, IMAGES)
        # E d^2: delta^2 and all three components.
        components = (m.ms_r - m.ms_e) / IMAGES + (m.ms_t - m.ms_e) / replicates + m.ms_e
        figures: dict[str, Any] = {"ms_r": m.ms_r, "ms_t": m.ms_t, "ms_e": m.ms_e}
        figures["discordant"] = 100 * (m.delta**2 + components)
        one = [study for study in studies if study.seed == scenario.only]
        for study in one:
            figures |= study.histograms[str(scenario.contrast.budget)]
        rng, levels = np.random.default_rng(derive(seed, "match", scenario.name)), pair.thresholds(pair.accuracy)
        found = []
        for _ in range(count):
            right = (pair.scores(replicates, IMAGES, rng) > -levels[:, None, None]).astype(np.int8)
            found.append(described(right[1], right[0]))
        for name, value in figures.items():
            simulated = np.array([each[name] for each in found], dtype=float)
            middle, spread = np.atleast_1d(simulated.mean(axis=0)), np.atleast_1d(simulated.std(axis=0, ddof=1))
            first = -replicates if name == "net_wins" else 0
            labels = [name] if np.ndim(value) == 0 else [f"{name} {first + k}" for k in range(len(value))]
            values = zip(labels, np.atleast_1d(value), middle, spread, strict=True)
            rows += [(scenario.name, *each) for each in values]
    return pd.DataFrame(rows, columns=["scenario", "figure", "real", "simulated_mean", "simulated_sd"])


# The studies


@dataclass(frozen=True)
class Simulated:
    """Studies by (true delta in points, replicates), and the two-way bootstrap's bounds of the first of them."""

    studies: dict[tuple[float, int], Studies]
    two_way: dict[tuple[float, int], tuple[NDArray[np.float64], NDArray[np.float64]]]


def simulate_studies(
    pair: Population, deltas: Sequence[float], replicates: Sequence[int], images: int, count: int, dear: int, seed: int
) -> Simulated:
    """`count` studies: fresh subsets and fresh test images each.

    One draw of scores serves all deltas (the arm's threshold alone moves) and, by its first rows, all numbers of
    replicates: rows of the result that differ in these alone are not independent of each other. dear: of how many
    studies the two-way bootstrap is taken, at delta 0.
    """
    rng, resampler = np.random.default_rng(derive(seed, "scores")), np.random.default_rng(derive(seed, "two_way"))
    base = float(pair.accuracy[0])
    levels = {delta: pair.thresholds([base, base + delta / 100]) for delta in deltas}
    blocks = [slice(*ends) for ends in itertools.pairwise((0, *replicates))]
    means: dict[tuple[float, int], list[NDArray[np.float64]]] = {(d, r): [] for d in deltas for r in replicates}
    squares: dict[tuple[float, int], list[MeanSquares]] = {key: [] for key in means}
    bounds: dict[tuple[float, int], list[tuple[float, float]]] = {(0.0, r): [] for r in replicates}
    for number in range(count):
        scores = pair.scores(max(replicates), images, rng)
        for delta, level in levels.items():
            reference, arm = (scores[i] > -level[i] for i in (0, 1))
            d = arm.view(np.int8) - reference.view(np.int8)
            rows, nonzero = d.sum(axis=1, dtype=np.int64), np.count_nonzero(arm != reference, axis=1)
            columns = np.zeros(images, np.int64)
            for size, block in zip(replicates, blocks, strict=True):
                columns += d[block].sum(axis=0, dtype=np.int8)
                table = sums_to_mean_squares(rows[:size], int(columns @ columns), int(nonzero[:size].sum()), images)
                means[delta, size].append(rows[:size] / images)
                squares[delta, size].append(table)
                if delta == 0 and number < dear:
                    low, high = two_way(d[:size], CONFIG.confidence, resampler)
                    bounds[delta, size].append((float(low[0]), float(high[0])))
    studies = {key: Studies(np.array(means[key]), squares[key]) for key in means}
    resampled = {key: (np.array(values)[:, 0], np.array(values)[:, 1]) for key, values in bounds.items() if values}
    return Simulated(studies, resampled)


def bounds_to_row(low: NDArray[np.float64], high: NDArray[np.float64], delta: float) -> dict[str, float]:
    """Bounds (S,) in points against the true delta: coverage, both kinds of miss, claims, verdicts, widths.

    Bounds that are not numbers cover nothing and claim nothing.
    """
    count = len(low)
    covered = float(((low <= delta) & (delta <= high)).mean())
    excluded = (low > 0) | (high < 0)
    whole = ~(np.isnan(low) | np.isnan(high))
    verdicts = [
        interval_to_verdict(a, b, 0.0 if out else 1.0, CONFIG)  # p is dual to the bounds
        for a, b, out in zip(low[whole], high[whole], excluded[whole], strict=True)
    ]
    width = (high - low)[whole]
    return {
        "studies": count,
        "coverage": 100 * covered,
        "coverage_se": 100 * math.sqrt(max(covered * (1 - covered), 1 / count / 4) / count),
        "truth_above": 100 * float((delta > high).mean()),
        "truth_below": 100 * float((delta < low).mean()),
        "excludes_0": 100 * float(excluded.mean()),
        **{word: 100 * verdicts.count(word) / count for word in ("helps", "hurts", "equivalent", "inconclusive")},
        "width": float(np.mean(width)),
        "width_median": float(np.median(width)),
    }


def simulated_rows(studies: Sequence[Measured], count: int, seed: int) -> pd.DataFrame:
    """Every scenario, method, number of replicates and true delta.

    pooled: percent of studies whose MS_R comes out below MS_E; coverage_pooled: what the method covers in these.
    """
    rows = []
    for scenario in SCENARIOS:
        began = time.perf_counter()
        pair = scenario.population(studies)
        room = [delta for delta in DELTAS if pair.accuracy[0] + delta / 100 < 1]
        drawn = simulate_studies(pair, room, REPLICATES, IMAGES, count, count // 16, derive(seed, scenario.name))
        for (delta, replicates), found in drawn.studies.items():
            bounds = {}
            for name, method in METHODS.items():
                if name not in RESAMPLERS:
                    bounds[name] = method(found, CONFIG.confidence)
                elif delta == 0:
                    bounds[name] = method(found.head(count // 2), CONFIG.confidence)
            if (delta, replicates) in drawn.two_way:
                bounds["two_way"] = drawn.two_way[delta, replicates]
            below = np.array([m.ms_r < m.ms_e for m in found.squares])
            for name, (low, high) in bounds.items():
                key = {"scenario": scenario.name, "method": name, "replicates": replicates, "true_delta": delta}
                covered = 100 * ((100 * low <= delta) & (delta <= 100 * high))[below[: len(low)]]
                pooled = {"pooled": 100 * float(below[: len(low)].mean())}
                pooled["coverage_pooled"] = float(covered.mean()) if len(covered) else math.nan
                rows.append({**key, **bounds_to_row(100 * low, 100 * high, delta), **pooled})
        print(f"{scenario.name}: {count} studies, {time.perf_counter() - began:.0f} s", flush=True)
    return pd.DataFrame(rows).sort_values(["scenario", "method", "replicates", "true_delta"], kind="stable")
