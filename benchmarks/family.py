"""How often one of many contrasts is claimed though no arm differs: Holm's families, through the project's interval.

In each simulated study all arms of a budget are equally good, at the mean of what they reached in the real studies, and
correlated as there: within a budget, and between budgets by the test images that all of them share.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.measured import column
from benchmarks.population import Population
from pipeline.comparison import MeanSquares, holm, mean_squares_to_interval, sums_to_mean_squares
from pipeline.contrasts import Contrast, contrasts
from pipeline.seeds import derive
from pipeline.verdict import CompareConfig, interval_to_verdict

REPLICATES = (4, 6, 10, 20)
GAN = Contrast(50, "real+gan", "real")
ON_CLASSICAL = Contrast(20, "real+gan+classical", "real+classical")


@dataclass(frozen=True)
class Family:
    """A study's budgets and its primary contrast; all other contrasts of these budgets are one Holm family."""

    name: str
    budgets: tuple[int, ...]
    primary: Contrast


FAMILIES = (
    Family("default", (50,), GAN),
    Family("four_budgets", (10, 20, 50, 100), GAN),
    Family("on_top", (10, 20), ON_CLASSICAL),
)


@dataclass(frozen=True)
class Claims:
    """What one study says, its truth being that no arm differs. Of the secondary contrasts, whether there is any:

    secondary: said to help or hurt. pooled: so, and MS_R came out below MS_E. corrected: Holm-adjusted p below 0.05.
    uncorrected: an interval that excludes 0. primary: the primary contrast is said to help or hurt.
    """

    primary: bool
    secondary: bool
    pooled: bool
    corrected: bool
    uncorrected: bool


EVENTS = tuple(Claims.__dataclass_fields__)


def family(everyone: Population, count: int, seed: int, images: int, config: CompareConfig) -> pd.DataFrame:
    """Columns family, replicates, secondaries (their number), studies, event, percent, se.

    One draw of scores serves all families and, by its first rows, all numbers of replicates: rows of the result that
    differ in these alone are not independent of each other. config: its margin and confidence.
    """
    arms = everyone.mended()
    level, places = arms.accuracy.copy(), {}
    for budget in sorted({budget for each in FAMILIES for budget in each.budgets}):
        place = [i for i, name in enumerate(arms.arms) if name.endswith(column("", budget))]
        places[budget], level[place] = place, level[place].mean()
    thresholds, rng = arms.thresholds(level)[:, None, None], np.random.default_rng(derive(seed, "family"))
    found: dict[tuple[str, int, int], list[Claims]] = {}
    for _ in range(count):
        right = arms.scores(max(REPLICATES), images, rng) > -thresholds
        squares: dict[int, dict[Contrast, MeanSquares]] = {replicates: {} for replicates in REPLICATES}
        for budget, place in places.items():
            names = [arms.arms[i].removesuffix(column("", budget)) for i in place]
            for replicates, table in tables_to_squares(budget, names, right[place], REPLICATES).items():
                squares[replicates] |= table
        for each, replicates in itertools.product(FAMILIES, REPLICATES):
            own = {contrast: m for contrast, m in squares[replicates].items() if contrast.budget in each.budgets}
            asked = CompareConfig(config.margin, config.confidence, each.primary)
            key = (each.name, replicates, len(own) - 1)
            found.setdefault(key, []).append(squares_to_claims(own, asked))
    rows = []
    for key, claims in found.items():
        for event in EVENTS:
            share = float(np.mean([getattr(claim, event) for claim in claims]))
            rows.append((*key, count, event, 100 * share, 100 * (share * (1 - share) / count) ** 0.5))
    return pd.DataFrame(rows, columns=["family", "replicates", "secondaries", "studies", "event", "percent", "se"])


def tables_to_squares(
    budget: int, arms: Sequence[str], right: NDArray[np.bool_], replicates: Sequence[int]
) -> dict[int, dict[Contrast, MeanSquares]]:
    """The mean squares of every contrast that stage compare reports, of the first R replicates, for each R asked for.

    right: (A, R, T). Of all contrasts at once, from how often two arms are both right on an image: in the same
    replicate, and in any two. Ones are counted in float32, which is exact below 2^24.
    """
    count, _, images = right.shape
    rows = right.sum(axis=2, dtype=np.int64)
    columns, same, found = np.zeros((count, images)), np.zeros((count, count)), {}
    for start, end in itertools.pairwise((0, *replicates)):
        block = right[:, start:end].reshape(count, -1).astype(np.float32)
        same += block @ block.T
        columns += right[:, start:end].sum(axis=1)
        across = columns @ columns.T
        found[end] = {
            Contrast(budget, arm, reference): sums_to_mean_squares(
                rows[a, :end] - rows[b, :end],
                round(across[a, a] + across[b, b] - 2 * across[a, b]),
                round(same[a, a] + same[b, b] - 2 * same[a, b]),
                images,
            )
            for arm, reference in contrasts(arms)
            for a, b in [(arms.index(arm), arms.index(reference))]
        }
    return found


def squares_to_claims(squares: Mapping[Contrast, MeanSquares], config: CompareConfig) -> Claims:
    """As `predictions_to_deltas` judges the same contrasts."""
    intervals = [mean_squares_to_interval(m, config.confidence) for m in squares.values()]
    low, high = (100 * np.array([getattr(i, bound) for i in intervals]) for bound in ("low", "high"))  # points
    secondary = np.array([contrast != config.primary for contrast in squares])
    held = [mean_squares_to_interval(m, config.confidence, held=True).p for m in squares.values()]
    p = np.where(secondary, held, [i.p for i in intervals])
    p[secondary] = holm(p[secondary])
    verdicts = [interval_to_verdict(*each, config) for each in zip(low, high, p, strict=True)]
    claimed = np.isin(verdicts, ["helps", "hurts"])
    pooled = np.array([m.ms_r < m.ms_e for m in squares.values()])
    return Claims(
        primary=bool(claimed[~secondary].any()),
        secondary=bool(claimed[secondary].any()),
        pooled=bool((claimed & pooled)[secondary].any()),
        corrected=bool((p[secondary] < 1 - config.confidence).any()),
        uncorrected=bool(((low > 0) | (high < 0))[secondary].any()),
    )
