"""C_T, the three-sample test of data copying: do synthetic images hug the images that trained their generator?

Meehan, Chaudhuri and Dasgupta 2020. Take the distance of each synthetic and of each unused real image to its nearest
training image. If the generator copies, the former are smaller. Their Mann-Whitney statistic as a z-score, within
cells of image space, and averaged over cells by their share of the unused images, is C_T: far below 0 they lie too
near, far above 0 too far (the generator misses the data). The formula is that of the authors' code, `C_T` of
casey-meehan/data-copying.

Too near need not be copying: a generator that draws plain digits and no odd ones is near to everything, and one that
draws badly is far from everything while it copies some. So C_T stands beside its control, with training and unused
images changing places. As a z-score it grows with the number of images: compare it with its control, not between
budgets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import pairwise_distances_argmin_min

Sets = tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]
Cells = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def images_to_copying(images: Sets, cells: Cells) -> float:
    """C_T of (synthetic, training, unused) images, each (N, ...), in `cells`, a whole number for each image (N,).

    Neighbours are sought within an image's own cell, as the authors do. Without copying, and with images as good as
    real ones, C_T of k equally large cells is normal around 0 with a standard deviation of 1 / sqrt(k). Cells in which
    one of the three sets has no image do not count; NaN if none is left.
    """
    synthetic, training, unused = (part.reshape(len(part), -1) for part in images)
    scores, weights = [], []
    for cell in np.unique(cells[2]):
        own, reference, fresh = (
            part[of == cell] for part, of in zip((synthetic, training, unused), cells, strict=True)
        )
        if len(own) and len(reference):
            nearest = [pairwise_distances_argmin_min(part, reference)[1] for part in (own, fresh)]
            scores.append(distances_to_z(*nearest))
            weights.append(len(fresh))
    return float(np.average(scores, weights=weights)) if scores else float("nan")


def distances_to_z(synthetic: NDArray[np.floating], unused: NDArray[np.floating]) -> float:
    """Mann-Whitney's U of (N,) against (M,) distances as a z-score, continuity-corrected against its lower tail.

    U counts the pairs whose synthetic distance is the larger one, a tie being half. Around 0 if both are alike,
    negative if the synthetic ones are smaller. The variance is the paper's, with no correction for ties.
    """
    n, m = len(synthetic), len(unused)
    larger = rankdata(np.concatenate([synthetic, unused]))[:n].sum() - n * (n + 1) / 2
    return float((larger - n * m / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12))
