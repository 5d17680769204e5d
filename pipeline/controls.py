"""Non-neural controls: does synthetic data help classifiers that learn nothing like a CNN?

Nearest neighbours, a support vector machine and a random forest on raw pixels, each trained on the same fixed sets: the
real subset, and with it distorted copies, interpolated images or GAN images, as many of each kind; or GAN images alone.
They see a set once and whole, so there are no batches to mix or to distort afresh; `real+copies` is what classical
augmentation can be to them. scikit-learn is imported only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.comparison import Predictions, differences_to_interval, holm
from pipeline.config import require
from pipeline.images import LabelledImages, join
from pipeline.verdict import CompareConfig, interval_to_verdict

Model = Literal["knn", "svm", "forest"]

NAMES = {"knn": "nearest neighbours", "svm": "support vector machine", "forest": "random forest"}

# Arm -> what it is trained on: the real images or not, and synthetic sets in equal parts.
ARMS: dict[str, tuple[str, ...]] = {
    "real": ("real",),
    "real+copies": ("real", "copies"),
    "real+interpolated": ("real", "interpolated"),
    "real+gan": ("real", "gan"),
    "real+copies+gan": ("real", "copies", "gan"),
    "gan": ("gan",),
}
# Beside every arm against `real`: do GAN images know anything that distorted copies do not?
MORE = [("real+copies+gan", "real+copies")]


@dataclass(frozen=True)
class ControlsConfig:
    """Section `controls` of params.yaml; what has a default here need not stand there.

    models: which to train. neighbours: of k-NN, each weighted by 1 / distance. penalty: C of the SVM; its RBF kernel's
    gamma is 1 / (pixels x their variance), scikit-learn's "scale". trees: of the forest, each split over the square
    root of the pixels. Fixed beforehand at usual values for raw digits, and the same for every arm.
    """

    models: tuple[Model, ...]
    neighbours: int = 3
    penalty: float = 10.0
    trees: int = 300

    def __post_init__(self) -> None:
        require(len(set(self.models)) == len(self.models), "models: each must be named once")
        require(self.neighbours > 0, "neighbours: must be positive")
        require(self.penalty > 0, "penalty: must be positive")
        require(self.trees > 0, "trees: must be positive")


def train_control(
    model: Model,
    config: ControlsConfig,
    real: LabelledImages | None,
    copies: LabelledImages | None,
    interpolated: LabelledImages | None,
    gan: LabelledImages | None,
    per_class: int,
    test_pixels: NDArray[np.uint8],
    seed: int,
    device: object,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """Fit `model` on those sets that are given, of the synthetic ones `per_class` images a class in all; only then
    read the classes of `test_pixels` (uint8 (T, C, H, W), no labels). For `compute.run_replicates`.

    Returns predictions (uint16 (T,)) and trained, the number of images. Runs on a CPU, whatever `device` is.
    """
    from threadpoolctl import threadpool_limits

    sets = [images for images in (copies, interpolated, gan) if images is not None]
    parts = [first_of_each(images, share) for images, share in zip(sets, shares(per_class, len(sets)), strict=True)]
    images = join(parts if real is None else [real, *parts])
    with threadpool_limits(1):  # as many processes as cores run beside this one
        fitted = new_model(model, config, seed).fit(_flat(images.pixels), images.labels)
        predictions = fitted.predict(_flat(test_pixels)).astype(np.uint16)
    report({"step": 1})
    return {"predictions": predictions, "trained": len(images)}


def new_model(model: Model, config: ControlsConfig, seed: int) -> Any:
    """The scikit-learn estimator; what it draws at random comes from `seed`."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    match model:
        case "knn":
            return KNeighborsClassifier(config.neighbours, weights="distance", algorithm="brute")
        case "svm":
            return SVC(C=config.penalty, kernel="rbf", gamma="scale", cache_size=500)
        case "forest":
            return RandomForestClassifier(config.trees, random_state=seed % 2**32, n_jobs=1)


def shares(per_class: int, sets: int) -> list[int]:
    """`per_class` in `sets` parts that differ by one at most."""
    return [per_class // sets + (i < per_class % sets) for i in range(sets)]


def first_of_each(images: LabelledImages, count: int) -> LabelledImages:
    """The first `count` images of each class, in their order."""
    places = [np.flatnonzero(images.labels == label)[:count] for label in range(len(images.classes))]
    return images.subset(np.sort(np.concatenate(places)))


def _flat(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, C, H, W) to (N, C * H * W) in [0, 1]."""
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


# What they gave


COLUMNS = ["budget", "model", "arm", "reference", "replicates", "accuracy_mean", "accuracy_sd", "delta"]
COLUMNS += ["ci_low", "ci_high", "wins", "losses", "p_holm", "verdict"]
Tables = Mapping[int, Mapping[str, NDArray[np.integer]]]  # budget -> "model/arm" -> predictions (R, T)


def controls_to_deltas(
    tables: Tables, labels: NDArray[np.integer], classes: Sequence[str], config: CompareConfig
) -> pd.DataFrame:
    """Columns `COLUMNS`, as in results/deltas.csv and with the same interval: every model's arms against the same
    model's `real`, and `MORE`. p_holm: adjusted over all these rows, a family of their own. Empty without models.
    """
    pairs, rows = [*((arm, "real") for arm in ARMS if arm != "real"), *MORE], []
    for budget, by_key in sorted(tables.items()):
        for model in dict.fromkeys(key.split("/")[0] for key in by_key):
            study = Predictions({budget: {arm: by_key[f"{model}/{arm}"] for arm in ARMS}}, labels, classes)
            for arm, reference in pairs:
                correct = study.correct(budget, arm)
                d = correct - study.correct(budget, reference)
                delta, low, high, _ = differences_to_interval(d, config.confidence)
                p = differences_to_interval(d, config.confidence, held=True).p
                accuracies, gains = pd.Series(100 * correct.mean(axis=1)), d.sum(axis=1)
                row = [budget, model, arm, reference, len(d), accuracies.mean(), accuracies.std()]
                row += [100 * delta, 100 * low, 100 * high, int((gains > 0).sum()), int((gains < 0).sum()), p]
                rows.append(row)
    deltas = pd.DataFrame(rows, columns=COLUMNS[:-1])
    deltas["p_holm"] = holm(deltas["p_holm"].to_numpy(float))
    bounds = zip(deltas["ci_low"], deltas["ci_high"], deltas["p_holm"], strict=True)
    deltas["verdict"] = [interval_to_verdict(low, high, p, config) for low, high, p in bounds]
    return deltas


# What they saw


def control_breaks(
    budget: int,
    saw: Mapping[str, Sequence[Mapping[str, str]]],
    replicates: Sequence[Mapping[str, str]],
    test_pixels: str,
) -> Iterator[str]:
    """A line for each training that was handed other images than its replicate's, as provenance.py has it for the arms.

    saw: "model/arm" -> digests of what each replicate's training was handed. replicates: digests `real` and `synthetic`
    of each, and test_pixels of the test images, as results/provenance.json lists them.
    """
    for key, table in saw.items():
        arm, here = key.split("/")[1], f"budget {budget}, control {key}"
        if len(table) != len(replicates):
            yield f"{here}: trained for {len(table)} replicates, but the split has {len(replicates)}"
            continue
        for r, (handed, own) in enumerate(zip(table, replicates, strict=True)):
            place = f"{here}, replicate {r}"
            if "real" not in ARMS[arm]:
                if "real" in handed:
                    yield f"{place}: it saw real images; its arm takes none"
            elif handed.get("real") != own["real"]:
                others = [f"replicate {i}" for i, other in enumerate(replicates) if other["real"] == handed.get("real")]
                yield f"{place}: it saw {f'the real subset of {others[0]}' if others else 'images of no subset'}"
            if handed.get("gan") != (own["synthetic"] if "gan" in ARMS[arm] else None):
                yield f"{place}: it saw other synthetic digits than its replicate's"
            if handed.get("test_pixels") != test_pixels:
                yield f"{place}: it predicted other images than the test images"
