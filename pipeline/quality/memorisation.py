"""Has the generator learnt digits, or learnt these digits by heart?

If it copies nothing, a synthetic image is as likely to lie nearer to an unused real image as to one that trained the
generator, given equally many of both (share of records closer to training than to holdout: Platzer & Reutterer 2021).
So every number here has the unused images as its control: a small distance alone proves nothing, plain shapes are near
to everything.

Two views. `pixel` sees images as they are. `pose` first brings each to a common pose, because a generator trained on
augmented images can return a moved copy: of affine copies of 500 MNIST digits (10 degrees, 8 % shift, 10 % scale, 5
degrees shear) 62 % lie nearer to the 500 than to 500 unused digits in pixels, 66 % in a classifier's 64 features, 92 %
over shifts of up to two pixels, and 99 % in the common pose, which also costs less than the shifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin_min

from pipeline.errors import InputError
from pipeline.quality.copying import Cells, images_to_copying
from pipeline.quality.pose import images_to_pose

NEAR_PERCENTILE = 1.0


@dataclass(frozen=True)
class Memorisation:
    """numbers: what `images_to_memorisation` counted, by view. suspects: the pairs that a person should look at."""

    numbers: dict[str, dict[str, float]]
    suspects: pd.DataFrame


@dataclass(frozen=True)
class Distances:
    """To nearest neighbours, root mean square over pixels in [0, 1], of N synthetic and of M unused real images."""

    to_subset: NDArray[np.float64]  # (N,)
    to_unused: NDArray[np.float64]  # (N,)
    unused_to_subset: NDArray[np.float64]  # (M,)
    nearest_real: NDArray[np.intp]  # (N,), index into the subset
    nearest_unused: NDArray[np.intp]  # (N,), index into the unused images

    @property
    def ratio(self) -> NDArray[np.float64]:
        """(N,), to the subset over to the unused images; small is suspicious."""
        tiny = 1e-6  # far below one grey level; two distances of 0 give 1
        return (self.to_subset + tiny) / (self.to_unused + tiny)


def images_to_memorisation(
    synthetic: NDArray[np.uint8],
    subset: NDArray[np.uint8],
    unused: NDArray[np.uint8],
    suspects: int = 16,
    cells: Cells | None = None,
    further: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> Memorisation:
    """Compare synthetic images with the real subset that trained their generator and with as many unused real images.

    All uint8 (N, C, H, W); `subset` and `unused` disjoint, equally large and with the same number of images a class.
    cells: of the synthetic, subset and unused images, for C_T; without them there is but one cell. further: images of
    the subset, and unused ones, that had to be left out of these to make them equally many. Copies and suspects are
    sought among them, too; all else would take an unequal number for copying.

    numbers["pixel"] and numbers["pose"] are what `distances_to_numbers` says of that view, with `c_t` (copying.py) and
    `c_t_unused`: the same with subset and unused images changing places, which no copying lowers. numbers["exact"] has
    `copies`: how many synthetic images equal one of the subset in every pixel. suspects: `distances_to_suspects` in the
    common pose; indices that are too large for the subset, or the unused images, go on among the further ones.

    Raises InputError if subset and unused images differ in number or overlap, or if a set is empty.
    """
    if len(subset) != len(unused):
        raise InputError(f"memorising is judged against equally many unused images: {len(subset)} and {len(unused)}")
    if not len(synthetic) or not len(subset):
        raise InputError(f"no memorising to judge in {len(synthetic)} synthetic and {len(subset)} real images")
    left_out, unused_left_out = further or (subset[:0], unused[:0])
    of_subset = {image.tobytes() for image in (*subset, *left_out)}
    shared = sum(image.tobytes() in of_subset for image in (*unused, *unused_left_out))
    if shared:
        raise InputError(f"{shared} of the unused images are in the real subset, too; they must be disjoint")

    sets = (synthetic, subset, unused)
    cells_synthetic, cells_subset, cells_unused = cells or tuple(np.zeros(len(images), np.int64) for images in sets)
    views = {
        "pixel": [np.divide(images, 255, dtype=np.float32) for images in sets],
        "pose": [images_to_pose(images) for images in sets],
    }
    distances = {view: images_to_distances(*seen) for view, seen in views.items()}
    numbers = {"exact": {"copies": float(sum(image.tobytes() in of_subset for image in synthetic))}}
    for view, (ours, theirs, fresh) in views.items():
        numbers[view] = distances_to_numbers(distances[view]) | {
            "c_t": images_to_copying((ours, theirs, fresh), (cells_synthetic, cells_subset, cells_unused)),
            "c_t_unused": images_to_copying((ours, fresh, theirs), (cells_synthetic, cells_unused, cells_subset)),
        }
    whole = distances["pose"]
    if len(left_out) or len(unused_left_out):
        posed, near, far = views["pose"]
        near = np.concatenate([near, images_to_pose(left_out)])
        far = np.concatenate([far, images_to_pose(unused_left_out)])
        whole = images_to_distances(posed, near, far)
    return Memorisation(numbers, distances_to_suspects(whole, suspects))


def images_to_distances(
    synthetic: NDArray[np.float32], subset: NDArray[np.float32], unused: NDArray[np.float32]
) -> Distances:
    """Images (N, C, H, W) in [0, 1] to their nearest distances, in blocks: never all pairs in memory at once."""
    flat, flat_subset, flat_unused = (images.reshape(len(images), -1) for images in (synthetic, subset, unused))
    pixels = flat.shape[1]
    nearest_real, to_subset = pairwise_distances_argmin_min(flat, flat_subset)
    nearest_unused, to_unused = pairwise_distances_argmin_min(flat, flat_unused)
    _, unused_to_subset = pairwise_distances_argmin_min(flat_unused, flat_subset)
    return Distances(
        to_subset / np.sqrt(pixels),
        to_unused / np.sqrt(pixels),
        unused_to_subset / np.sqrt(pixels),
        nearest_real,
        nearest_unused,
    )


def distances_to_numbers(distances: Distances) -> dict[str, float]:
    """One view in numbers.

    closer_to_subset: share of synthetic images nearer to the subset than to the unused images, a tie being half. 0.5 is
        none learnt by heart, 1 is all.
    distance_ratio: median over synthetic images of the ratio of both distances; 1 is none learnt by heart.
    near_distance: less than this is near. One unused image in a hundred is as near to a subset it has no part in.
    near_copies, near_unused: how many synthetic images are near to the subset, and near to the unused images. Without
        memorising they are alike; only their difference speaks. With one copy in ten, moved a little, 5 % against 1 %.

    5,000 fresh MNIST digits in place of synthetic ones differ from that, between draws of subset and unused images, by
    a standard deviation of 0.014 in the share with 500 of each, 0.027 with 100, 0.035 with 50 (`python -m
    benchmarks.share_noise`), and by 0.5 % of the images in the difference with 500 of each, 0.8 % with 100.
    """
    near = float(np.percentile(distances.unused_to_subset, NEAR_PERCENTILE))
    closer = distances.to_subset < distances.to_unused
    tied = distances.to_subset == distances.to_unused
    return {
        "closer_to_subset": float((closer + 0.5 * tied).mean()),
        "distance_ratio": float(np.median(distances.ratio)),
        "near_distance": near,
        "near_copies": float((distances.to_subset < near).sum()),
        "near_unused": float((distances.to_unused < near).sum()),
    }


def distances_to_suspects(distances: Distances, count: int) -> pd.DataFrame:
    """The `count` synthetic images of smallest ratio, most suspicious first.

    Columns: synthetic, real and unused (indices into the synthetic images, the subset and the unused images), distance,
    distance_unused, ratio.
    """
    worst = np.argsort(distances.ratio, kind="stable")[:count]
    return pd.DataFrame(
        {
            "synthetic": worst,
            "real": distances.nearest_real[worst],
            "unused": distances.nearest_unused[worst],
            "distance": distances.to_subset[worst],
            "distance_unused": distances.to_unused[worst],
            "ratio": distances.ratio[worst],
        }
    )
