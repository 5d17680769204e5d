"""Fréchet distance between two sets of features: how far the synthetic images are from unused real ones.

Heusel et al. 2017 (FID), on the features that the caller gives instead of Inception's. Its estimate is biased upwards
for few images, so it only means something beside its floor: as many real images against as many other real ones. If
the network that gives the features was trained on both of these, as the project's oracle was, the floor lies a little
lower than where fresh images of the same kind come to lie, and so than what a perfect generator is likely to get.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError


@dataclass(frozen=True)
class Gaussian:
    """Mean (D,) and covariance (D, D) of a set of features, float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def features_to_fidelity(
    synthetic: NDArray[np.floating], unused: NDArray[np.floating], others: NDArray[np.floating]
) -> dict[str, float]:
    """Fréchet distance of synthetic images to unused real ones, and its floor.

    synthetic, unused, others: features (N, D), the same N. `unused` and `others` are disjoint real images that trained
    no generator. Returns `frechet` (synthetic to unused), `frechet_floor` (others to unused; so near a
    perfect generator comes at best, not to 0), `images` (N) and `features` (D). Distances are in squared feature units.

    Raises InputError if the sets differ in shape or N < 2 D: the covariances would be (nearly) singular.
    """
    if not synthetic.shape == unused.shape == others.shape:
        raise InputError(
            f"the Fréchet distance compares equally many images, got features of shape "
            f"{synthetic.shape}, {unused.shape} and {others.shape}"
        )
    images, features = synthetic.shape
    if images < 2 * features:
        raise InputError(
            f"the Fréchet distance over {features} features needs at least {2 * features} images a set, got {images}"
        )
    reference = features_to_statistics(unused)
    return {
        "frechet": statistics_to_distance(features_to_statistics(synthetic), reference),
        "frechet_floor": statistics_to_distance(features_to_statistics(others), reference),
        "images": float(images),
        "features": float(features),
    }


def features_to_statistics(features: NDArray[np.floating]) -> Gaussian:
    """features (N, D) to their mean and unbiased covariance. Raises InputError if N < 2 or a value is not finite."""
    if features.ndim != 2 or len(features) < 2:
        raise InputError(f"features must be (N, D) with N of at least 2, got shape {features.shape}")
    if not np.isfinite(features).all():
        raise InputError("features hold NaN or infinity; the network that made them has diverged")
    wide = features.astype(np.float64)
    return Gaussian(wide.mean(axis=0), np.cov(wide, rowvar=False).reshape(wide.shape[1], wide.shape[1]))


def statistics_to_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^1/2), at least 0; A and B may be singular."""
    # tr (A B)^1/2 is the sum of the singular values of A^1/2 B^1/2. Roots of symmetric matrices are safe where sqrtm of
    # the product A B is not: a feature that never fires leaves A singular, and sqrtm may then return noise or NaN.
    overlap = np.linalg.norm(_root(a.covariance) @ _root(b.covariance), "nuc")
    gap = a.mean - b.mean
    return max(0.0, float(gap @ gap + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap))


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
