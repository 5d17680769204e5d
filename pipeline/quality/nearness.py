"""How near images are to a real subset, on the scale of that subset's own distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.neighbors import NearestNeighbors

from pipeline.images import LabelledImages
from pipeline.quality.pose import images_to_pose

NEAR_PERCENTILE = 1.0


def images_to_nearness(images: LabelledImages, subset: LabelledImages) -> NDArray[np.float32]:
    """Distance of each image to the nearest of `subset` in the common pose, over what counts as near: (N,).

    Near is what one image of the subset in a hundred has as its distance to the nearest other one; only the subset is
    looked at. 0 is a copy. All 1 or more where the subset has fewer than two images.
    """
    flat, own = (images_to_pose(part.pixels).reshape(len(part), -1) for part in (images, subset))
    if len(own) < 2:
        return np.full(len(flat), np.inf, np.float32)
    others = NearestNeighbors(n_neighbors=2).fit(own).kneighbors(own)[0][:, 1]
    near = max(float(np.percentile(others, NEAR_PERCENTILE)), 1e-6)
    _, distances = pairwise_distances_argmin_min(flat, own)
    return (distances / near).astype(np.float32)
