"""Rival intervals for the expected difference of two arms, all from the same simulated studies.

Each takes `Studies` and gives bounds (S,), in shares. The project's own interval is `pipeline.comparison`'s; the others
are what one would try first, or what the literature on crossed random effects offers:

- fixed_images: a t-interval over the replicates' deltas. It speaks of these very test images, not of fresh ones.
- percentile, bca: bootstraps of the replicates by scipy.stats.bootstrap.
- bootstrap_t: the studentised bootstrap of the replicates (Efron 1982; Hall 1988).
- two_way: replicates and images resampled independently of each other, percentiles (Owen 2007: pigeonhole bootstrap).
- hillis: Hillis' (2007) for readers and cases: the same mean squares, a component of the replicates below 0 left so.
- mixed_model: both random effects by REML, whose balanced solution has a closed form: a component below 0 is 0 and its
  mean square is pooled with the rest. Satterthwaite's degrees of freedom; the project's interval has two fewer.
- floored: what the project had before: MS_R held above MS_E in place of pooling, Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.comparison import MeanSquares, mean_squares_to_interval

Array = NDArray[np.float64]
Bounds = tuple[Array, Array]
RESAMPLES = 999


@dataclass(frozen=True)
class Studies:
    """S studies of R replicates on T images: means (S, R) over the images, and their mean squares."""

    means: Array
    squares: list[MeanSquares]

    def head(self, count: int) -> Studies:
        return Studies(self.means[:count], self.squares[:count])


def present(studies: Studies, confidence: float) -> Bounds:
    found = [mean_squares_to_interval(squares, confidence) for squares in studies.squares]
    return np.array([i.low for i in found]), np.array([i.high for i in found])


def fixed_images(studies: Studies, confidence: float) -> Bounds:
    replicates = studies.means.shape[1]
    return _t_bounds(
        studies.means.mean(axis=1), studies.means.var(axis=1, ddof=1) / replicates, np.array(replicates - 1), confidence
    )


def percentile(studies: Studies, confidence: float) -> Bounds:
    return _scipy(studies, confidence, "percentile")


def bca(studies: Studies, confidence: float) -> Bounds:
    return _scipy(studies, confidence, "BCa")


def bootstrap_t(studies: Studies, confidence: float) -> Bounds:
    """Resamples without spread have an infinite t; bounds may be infinite too where replicates are very few."""
    count, replicates = studies.means.shape
    low, high = np.empty(count), np.empty(count)
    for s, values in enumerate(studies.means):
        again = values[np.random.default_rng(s).integers(replicates, size=(RESAMPLES, replicates))]
        error = again.std(axis=1, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(error > 1e-12, (again.mean(axis=1) - values.mean()) / error, np.nan)
        t[np.isnan(t)] = np.copysign(np.inf, again.mean(axis=1) - values.mean())[np.isnan(t)]
        bounds = np.quantile(t, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
        high[s], low[s] = values.mean() - bounds * values.std(ddof=1)
    return low, high


def two_way(d: NDArray[np.integer], confidence: float, rng: np.random.Generator, resamples: int = 299) -> Bounds:
    """Of one table d (R, T). An image without a difference in any replicate enters by its number alone."""
    replicates, images = d.shape
    active = d[:, d.any(axis=0)].astype(np.float64)
    by_replicate = rng.multinomial(replicates, np.full(replicates, 1 / replicates), size=resamples)
    drawn = rng.binomial(images, active.shape[1] / images, size=resamples)
    means = np.empty(resamples)
    for b in range(resamples):
        by_image = np.bincount(rng.integers(active.shape[1], size=drawn[b]), minlength=active.shape[1])
        means[b] = by_replicate[b] @ (active @ by_image) / (replicates * images)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return np.array([low]), np.array([high])


def hillis(studies: Studies, confidence: float) -> Bounds:
    ms_r, ms_t, ms_e, replicates, images = _columns(studies)
    total = ms_r + np.maximum(ms_t - ms_e, 0)
    freedom = (replicates - 1) * total**2 / ms_r**2
    return _t_bounds(studies.means.mean(axis=1), total / (replicates * images), freedom, confidence)


def mixed_model(studies: Studies, confidence: float) -> Bounds:
    ms_r, ms_t, ms_e, R, T = _columns(studies)
    df_r, df_t, df_e = R - 1.0, T - 1.0, (R - 1.0) * (T - 1.0)
    with_r = (ms_e * df_e + ms_r * df_r) / (df_e + df_r)
    with_t = (ms_e * df_e + ms_t * df_t) / (df_e + df_t)
    everything = (ms_e * df_e + ms_r * df_r + ms_t * df_t) / (df_e + df_r + df_t)
    # Which components are 0: that of the smaller mean square first.
    r_first = ms_r <= ms_t
    no_r = np.where(r_first, ms_r < ms_e, (ms_t < ms_e) & (ms_r < with_t) | (ms_t >= ms_e) & (ms_r < ms_e))
    no_t = np.where(~r_first, ms_t < ms_e, (ms_r < ms_e) & (ms_t < with_r) | (ms_r >= ms_e) & (ms_t < ms_e))
    cases = [no_r & no_t, no_r, no_t]
    total = np.select(cases, [everything, ms_t, ms_r], ms_r + ms_t - ms_e)
    both = ms_r**2 / df_r + ms_t**2 / df_t + ms_e**2 / df_e
    spread = np.select(cases, [everything**2 / (df_e + df_r + df_t), ms_t**2 / df_t, ms_r**2 / df_r], both)
    return _t_bounds(studies.means.mean(axis=1), total / (R * T), total**2 / spread, confidence)


def floored(studies: Studies, confidence: float) -> Bounds:
    ms_r, ms_t, ms_e, R, T = _columns(studies)
    held = np.maximum(ms_r, ms_e)
    total = held + np.maximum(ms_t - ms_e, 0)
    images = np.where(ms_t > ms_e, ms_t**2 / (T - 1) + ms_e**2 / ((R - 1) * (T - 1)), 0)
    freedom = total**2 / (held**2 / (R - 1) + images)
    return _t_bounds(studies.means.mean(axis=1), total / (R * T), freedom, confidence)


Method = Callable[[Studies, float], Bounds]
METHODS: dict[str, Method] = {
    "present": present,
    "fixed_images": fixed_images,
    "percentile": percentile,
    "bca": bca,
    "bootstrap_t": bootstrap_t,
    "hillis": hillis,
    "mixed_model": mixed_model,
    "floored": floored,
}


def _columns(studies: Studies) -> tuple[Array, Array, Array, int, int]:
    first = studies.squares[0]
    table = np.array([(m.ms_r, m.ms_t, m.ms_e) for m in studies.squares]).T
    return table[0], table[1], table[2], first.replicates, first.images


def _t_bounds(mean: Array, variance: Array, freedom: Array, confidence: float) -> Bounds:
    half = np.sqrt(variance) * stats.t.ppf((1 + confidence) / 2, freedom)
    return mean - half, mean + half


def _scipy(studies: Studies, confidence: float, method: str) -> Bounds:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # replicates all alike: its bounds are NaN
        interval = stats.bootstrap(
            (studies.means,),
            np.mean,
            axis=-1,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method=method,
            vectorized=True,
            batch=50,
            rng=np.random.default_rng(0),
        ).confidence_interval
    return interval.low, interval.high
