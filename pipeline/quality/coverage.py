"""Precision, recall, density and coverage: are synthetic images among the real ones, and do they reach all of them?

Precision and recall: Kynkäänniemi et al. 2019. Density and coverage: Naeem et al. 2020, who show that an outlier
inflates the first two. An image's ball reaches to its k-th nearest neighbour within its own set. Matches
`prdc.compute_prdc`, the code of the second paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from pipeline.errors import InputError


def features_to_coverage(
    real: NDArray[np.floating], synthetic: NDArray[np.floating], neighbours: int = 5
) -> dict[str, float]:
    """PRDC of synthetic against real features, (N, D) and (M, D), each set with more images than `neighbours`.

    precision: share of synthetic images within some real image's ball.
    recall: share of real images within some synthetic image's ball.
    density: mean number of real balls around a synthetic image, over `neighbours`; 1 is ideal, and it may exceed 1.
    coverage: share of real images with a synthetic image in their ball.

    All four depend on N and M: compare only values from equally large sets. Real images in place of synthetic ones are
    likely to get a little more than a perfect generator, if the network that gives the features was trained on them.

    Raises InputError if a set is too small.
    """
    real_radii, synthetic_radii = _radii(real, neighbours), _radii(synthetic, neighbours)
    balls = np.zeros(len(synthetic))  # how many real balls each synthetic image lies in
    covered, recalled = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    start = 0
    for distances in pairwise_distances_chunked(synthetic, real, working_memory=64):  # (some synthetic, N), MiB
        rows = slice(start, start + len(distances))
        inside = distances < real_radii
        balls[rows] = inside.sum(axis=1)
        covered |= inside.any(axis=0)
        recalled |= (distances < synthetic_radii[rows, None]).any(axis=0)
        start = rows.stop
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(balls.mean() / neighbours),
        "coverage": float(covered.mean()),
    }


def features_to_class_coverage(
    real: NDArray[np.floating],
    real_labels: NDArray[np.int64],
    synthetic: NDArray[np.floating],
    synthetic_labels: NDArray[np.int64],
    classes: Sequence[str],
    neighbours: int = 5,
) -> pd.DataFrame:
    """PRDC within each class; labels (N,) and (M,) index `classes`.

    Returns one row a class: class, precision, recall, density, coverage; NaN where a set has too few of its images.
    """
    rows = []
    for label, name in enumerate(classes):
        mine, theirs = real[real_labels == label], synthetic[synthetic_labels == label]
        enough = min(len(mine), len(theirs)) > neighbours
        numbers = features_to_coverage(mine, theirs, neighbours) if enough else {}
        rows.append({"class": name, **numbers})
    return pd.DataFrame(rows, columns=["class", "precision", "recall", "density", "coverage"]).astype(
        dict.fromkeys(["precision", "recall", "density", "coverage"], np.float64)
    )


def _radii(features: NDArray[np.floating], neighbours: int) -> NDArray[np.floating]:
    """Distance of each image (N,) to its k-th nearest other image of the same set."""
    if not 1 <= neighbours < len(features):
        raise InputError(
            f"{neighbours} nearest neighbours need more than {neighbours} images a set, got {len(features)}"
        )
    # Asked with no argument, kneighbors does not count an image as its own neighbour.
    distances, _ = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(features).kneighbors()
    return distances[:, -1]
