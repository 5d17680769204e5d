"""How much the share of digits nearer to the training images differs by luck, for the page's word on copying.

    python -m benchmarks.share_noise

Fresh digits of MNIST stand in for synthetic ones, so that there is nothing to find: of 10,000 others a real subset and
as many unused ones are drawn, equally many of each class, again and again. Prints a row a size of the subset: the mean
share of the fresh digits that are nearer to the subset (0.5 but for chance) and its standard deviation between draws,
in the common pose and by pixels. Half a minute, most of it the distances.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from pipeline.images import LabelledImages
from pipeline.quality.pose import images_to_pose
from pipeline.sources import read
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

SIZES = (50, 100, 200, 500, 1000)  # images of a subset
POOL, FRESH = 10_000, 5_000  # as many fresh digits as a study generates by default
DRAWS = 300


def distances_to_shares(
    distances: NDArray[np.floating], labels: NDArray[np.int64], per_class: int, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The share of fresh digits nearer to a subset than to as many unused digits, a tie being half: (draws,).

    distances: of the pool's digits to the fresh ones, (P, F); labels: of the pool's, (P,). Subset and unused digits:
    `per_class` of each class of the pool, with none in common.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = np.empty(draws)
    for draw in range(draws):
        picked = np.stack([rng.choice(own, 2 * per_class, replace=False) for own in members])
        near, far = (distances[part.ravel()].min(0) for part in np.split(picked, 2, axis=1))
        shares[draw] = (near < far).mean() + (near == far).mean() / 2
    return shares


def images_to_table(
    images: LabelledImages, sizes: tuple[int, ...], pool: int, fresh: int, draws: int, seed: int
) -> pd.DataFrame:
    """A row a size: images, and for both views the mean share and its standard deviation."""
    rng = np.random.default_rng(seed)
    chosen = images.subset(rng.permutation(len(images))[: pool + fresh])
    rows = {size: {"images": float(size)} for size in sizes}
    for view, seen in (("pose", images_to_pose(chosen.pixels)), ("pixel", chosen.pixels.astype(np.float32) / 255)):
        flat = seen.reshape(len(seen), -1)
        distances = euclidean_distances(flat[:pool], flat[pool:])
        for size in sizes:
            per_class = size // len(images.classes)
            shares = distances_to_shares(distances, chosen.labels[:pool], per_class, draws, rng)
            rows[size] |= {view: float(shares.mean()), f"{view}, sd": float(shares.std(ddof=1))}
    return pd.DataFrame(list(rows.values()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=DRAWS)
    arguments = parser.parse_args()
    train = read(to_params(read_params(PARAMS)).data).train
    table = images_to_table(train, SIZES, POOL, FRESH, arguments.draws, arguments.seed)
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
