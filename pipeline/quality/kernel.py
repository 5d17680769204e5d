"""Kernel distance between two sets of features (KID): how far the synthetic images are from unused real ones.

Binkowski et al. 2018, on the features that the caller gives instead of Inception's: the unbiased squared maximum mean
discrepancy under the kernel (x·y / D + 1)³. Unlike the Fréchet distance it is not biased for few images, so that it can
be had of single classes; but around 0 it may fall below. Equals `poly_mmd` of torchmetrics on equally many images,
over all pairs at once where the paper averages over blocks: as unbiased, and less noisy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError

BLOCK = 1000  # rows of a kernel matrix in memory at once


def features_to_kernel(
    synthetic: NDArray[np.floating], unused: NDArray[np.floating], others: NDArray[np.floating]
) -> dict[str, float]:
    """Kernel distance of synthetic images to unused real ones, and its floor.

    synthetic, unused, others: features (N, D), (M, D), (K, D). `unused` and `others` are disjoint real images that
    trained no generator. Returns `kid` (synthetic to unused) and `kid_floor` (others to unused: 0 but for noise; where
    both sets trained the network that gives the features, a perfect generator is likely to stay a little above it).
    Raises InputError as `features_to_kernel_distance` does.
    """
    return {
        "kid": features_to_kernel_distance(synthetic, unused),
        "kid_floor": features_to_kernel_distance(others, unused),
    }


def features_to_class_kernel(
    synthetic: NDArray[np.floating],
    unused: NDArray[np.floating],
    others: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Kernel distance within each class; `labels` (N,) index `classes` and hold for all three sets.

    Returns one row a class: class, kid, kid_floor; NaN for a class with fewer than two images.
    """
    rows = []
    for label, name in enumerate(classes):
        mine = labels == label
        numbers = features_to_kernel(synthetic[mine], unused[mine], others[mine]) if mine.sum() > 1 else {}
        rows.append({"class": name, **numbers})
    table = pd.DataFrame(rows, columns=["class", "kid", "kid_floor"])
    return table.astype({"kid": np.float64, "kid_floor": np.float64})


def features_to_kernel_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Unbiased MMD² of a (N, D) and b (M, D); an image's kernel with itself does not count.

    Raises InputError if a set has fewer than two images, or if the sets differ in D or a value is not finite.
    """
    if a.ndim != 2 or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2:
        shapes = f"{a.shape} and {b.shape}"
        raise InputError(f"the kernel distance compares (N, D) features of two images or more a set, got {shapes}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("features hold NaN or infinity; the network that made them has diverged")
    x, y = a.astype(np.float64), b.astype(np.float64)
    return _within(x) + _within(y) - 2 * _sum(x, y) / (len(x) * len(y))


def _within(features: NDArray[np.float64]) -> float:
    """Mean kernel of an image with another image of its set."""
    count, width = features.shape
    own = ((features**2).sum(axis=1) / width + 1) ** 3
    return float((_sum(features, features) - own.sum()) / (count * (count - 1)))


def _sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Sum over all pairs of an image of `a` and one of `b`."""
    blocks = np.split(a, range(BLOCK, len(a), BLOCK))
    return float(sum(((block @ b.T / a.shape[1] + 1) ** 3).sum() for block in blocks))
