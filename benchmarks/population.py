"""A population of test images, real subsets and arms from which studies of known true delta are drawn.

Arm a is right on test image t in replicate r where a normal score is above 0:

    score = m_a + image_ta + replicate_ra + rest_rta,    each part correlated between the arms

The matrices of the three parts come from a real study by moments: how often two arms (or one arm twice) are both right
on the same image, in the same replicate, or on both, each solved for the correlation that gives just that (a
tetrachoric correlation, Pearson 1900). Hence the mean squares of a simulated study are those of the real one in
expectation, up to components that the real study estimated below 0; what the fit does not see, such as how many images
are wrong in 1, 2, ... of the replicates, is held against the real study in docs/calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[np.float64]
Shape = Literal["normal", "failures", "heavy"]


@dataclass(frozen=True)
class Population:
    """arms: A names. accuracy: (A,), shares. image, replicate, rest: covariances (A, A) of the parts of the score.

    shape: the law of what the last arm's replicate effect has beyond the other arms'. `failures`: an exponential whose
    long side is the bad one (a GAN that sometimes fails; skewness -2). `heavy`: Student's t of 3 degrees.
    """

    arms: tuple[str, ...]
    accuracy: Array
    image: Array
    replicate: Array
    rest: Array
    shape: Shape = "normal"

    def subset(self, arms: Sequence[str]) -> Population:
        """These arms alone, in this order."""
        chosen = [self.arms.index(arm) for arm in arms]
        image, replicate, rest = (matrix[np.ix_(chosen, chosen)] for matrix in self.matrices)
        return Population(tuple(arms), self.accuracy[chosen], image, replicate, rest)

    def mended(self) -> Population:
        """Components below 0 taken as 0."""
        return population(self.arms, self.accuracy, *self.matrices)

    @property
    def matrices(self) -> tuple[Array, Array, Array]:
        return self.image, self.replicate, self.rest

    def wider(self, factor: float, shape: Shape = "normal") -> Population:
        """Replicate effects `factor` times as large, of law `shape`."""
        return replace(self, replicate=self.replicate * factor**2, shape=shape)

    def thresholds(self, accuracy: Sequence[float] | Array) -> Array:
        """m_a (A,) at which the arms' expected accuracies over all images and subsets are `accuracy`, exactly."""
        variance = np.diag(self.image + self.replicate + self.rest)
        normal = stats.norm.ppf(accuracy) * np.sqrt(variance)
        if self.shape == "normal":
            return np.asarray(normal)
        # Only the last factor of the last arm is not normal; what is left of that arm's score is.
        own = float(square_root(self.replicate)[-1, -1])
        others = float(np.sqrt(variance[-1] - own**2))
        nodes = quantiles(self.shape)

        def excess(m: float) -> float:
            return float(stats.norm.cdf((m + own * nodes) / others).mean() - accuracy[-1])

        return np.append(normal[:-1], optimize.brentq(excess, normal[-1] - 2, normal[-1] + 2, xtol=1e-12))

    def scores(self, replicates: int, images: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Scores less m_a of one study: (A, R, T). Its images and its replicates are fresh draws."""
        count = len(self.arms)
        image = square_root(self.image) @ rng.standard_normal((count, images))
        factors = rng.standard_normal((count, replicates))
        if self.shape != "normal":
            factors[-1] = draw(self.shape, rng, replicates)
        subset = square_root(self.replicate) @ factors
        rest = rng.standard_normal((count, replicates * images), dtype=np.float32)
        mixed = (square_root(self.rest).astype(np.float32) @ rest).reshape(count, replicates, images)
        mixed += image.astype(np.float32)[:, None, :]
        mixed += subset.astype(np.float32)[:, :, None]
        return mixed


def draw(shape: Shape, rng: np.random.Generator, size: int) -> Array:
    """Mean 0, variance 1."""
    if shape == "failures":
        return 1 - rng.standard_exponential(size)
    if shape == "heavy":
        return rng.standard_t(3, size) / np.sqrt(3)
    return rng.standard_normal(size)


def quantiles(shape: Shape, count: int = 200_001) -> Array:
    """The middles of `count` equally likely slices of a law: its mean over them is the expectation."""
    middles = (np.arange(count) + 0.5) / count
    return 1 - stats.expon.isf(middles) if shape == "failures" else stats.t.ppf(middles, 3) / np.sqrt(3)


def square_root(matrix: Array) -> Array:
    """Lower triangular L with L L' = matrix; a zero pivot gives a column of zeros."""
    lower = np.zeros_like(matrix)
    for j in range(len(matrix)):
        left = matrix[j:, j] - lower[j:, :j] @ lower[j, :j]
        if left[0] > 1e-12:
            lower[j:, j] = left / np.sqrt(left[0])
    return lower


def population(arms: Sequence[str], accuracy: Array, image: Array, replicate: Array, rest: Array) -> Population:
    """The population with the nearest possible components, scores of variance 1: what is possible is left as it is."""
    parts = [possible(matrix) for matrix in (image, replicate, rest)]
    scale = 1 / np.sqrt(sum(np.diag(part) for part in parts))
    image, replicate, rest = (part * np.outer(scale, scale) for part in parts)
    return Population(tuple(arms), np.asarray(accuracy), image, replicate, rest)


def possible(matrix: Array) -> Array:
    """The nearest covariance matrix: eigenvalues below 0 become 0."""
    values, vectors = np.linalg.eigh(matrix)
    return matrix if values[0] >= 0 else (vectors * values.clip(0)) @ vectors.T


def moments(correct: NDArray[np.integer]) -> dict[str, Array]:
    """correct: (A, R, T) of 0 and 1. `accuracy` (A,), and (A, A) each: covariances of two entries of arms a and b that
    share the `image` alone, the `replicate` alone, or `both`. Unbiased; R >= 2, T >= 2.
    """
    c = correct.astype(np.float64)
    _, R, T = c.shape
    by_image, by_replicate, total = c.sum(axis=1), c.sum(axis=2), c.sum(axis=(1, 2))
    same = np.einsum("art,brt->ab", c, c)
    images, replicates, all_pairs = by_image @ by_image.T, by_replicate @ by_replicate.T, np.outer(total, total)
    neither = (all_pairs - images - replicates + same) / (R * (R - 1) * T * (T - 1))
    return {
        "accuracy": c.mean(axis=(1, 2)),
        "both": same / (R * T) - neither,
        "image": (images - same) / (T * R * (R - 1)) - neither,
        "replicate": (replicates - same) / (R * T * (T - 1)) - neither,
    }


def fit(arms: Sequence[str], known: dict[str, Array]) -> Population:
    """The population whose `moments` are `known`; components that come out below 0 are left so."""
    latent = {name: correlations(known["accuracy"], known[name]) for name in ("both", "image", "replicate")}
    np.fill_diagonal(latent["both"], 1)
    rest = latent["both"] - latent["image"] - latent["replicate"]
    return Population(tuple(arms), known["accuracy"], latent["image"], latent["replicate"], rest)


def correlations(accuracy: Array, covariances: Array) -> Array:
    """For each pair of arms, the correlation of normal scores at which being right has that covariance."""
    m, count = stats.norm.ppf(accuracy), len(accuracy)
    found = np.empty((count, count))
    for a in range(count):
        for b in range(count):
            solved = _to_correlation(m[a], m[b], covariances[a, b])
            found[a, b] = solved
    return found


def _to_correlation(h: float, k: float, covariance: float) -> float:
    difference: Callable[[float], float] = lambda rho: normal_covariance(h, k, rho) - covariance  # noqa: E731
    edge = 0.9999
    if difference(-edge) >= 0:
        return -edge
    return edge if difference(edge) <= 0 else float(optimize.brentq(difference, -edge, edge, xtol=1e-12))


NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)


def normal_covariance(h: float, k: float, rho: float) -> float:
    """Cov(x < h, y < k) of standard normals with correlation rho: the integral of their density from 0 to rho."""
    angle = np.arcsin(rho)  # r = sin(angle) takes the root out of the density
    theta = angle * (NODES + 1) / 2
    density = np.exp(-(h * h + k * k - 2 * h * k * np.sin(theta)) / (2 * np.cos(theta) ** 2)) / (2 * np.pi)
    return float(angle / 2 * (WEIGHTS * density).sum())
