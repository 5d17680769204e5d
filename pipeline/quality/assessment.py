"""Everything that is measured of one replicate's synthetic digits, in one row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.batches import class_rounds, to_tensors
from pipeline.classifier.network import FEATURES, Classifier, images_to_features, images_to_logits
from pipeline.config import require
from pipeline.images import LabelledImages
from pipeline.quality.agreement import labels_to_agreement
from pipeline.quality.coverage import features_to_coverage
from pipeline.quality.fidelity import features_to_fidelity
from pipeline.quality.memorisation import images_to_memorisation
from pipeline.quality.spread import images_to_spread
from pipeline.seeds import derive


@dataclass(frozen=True)
class AssessConfig:
    """Section `assess`. images: of each kind in the Fréchet distance and in precision, recall, density and coverage.
    neighbours: k of the latter four. suspects: most suspicious digits kept, of each replicate.
    """

    images: int
    neighbours: int
    suspects: int

    def __post_init__(self) -> None:
        require(self.images >= 2 * FEATURES, f"images: must be at least {2 * FEATURES}, twice the features")
        require(0 < self.neighbours < self.images, f"neighbours: must lie between 0 and images, {self.images}")
        require(self.suspects > 0, "suspects: must be positive")


@dataclass(frozen=True)
class Assessment:
    """Of one replicate.

    numbers: agreement (percent that the oracle reads as their label); frechet and frechet_floor (NaN if images are too
    few); precision, recall, density, coverage; spread and spread_real; for the views pose and pixel closer_to_subset,
    near_copies and near_unused; exact_copies. agreement: of each class. synthetic, real: uint8 (K, C, H, W), the most
    suspicious digits and the nearest image of the real subset, with `distance` to it and `distance_unused` to the
    nearest image that the GAN never saw (K,).
    """

    numbers: dict[str, float]
    agreement: pd.DataFrame
    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8]
    distance: NDArray[np.float64]
    distance_unused: NDArray[np.float64]


def images_to_assessment(
    synthetic: LabelledImages,
    subset: LabelledImages,
    unseen: LabelledImages,
    oracle: Classifier,
    config: AssessConfig,
    seed: int,
) -> Assessment:
    """Measure `synthetic` against the real `subset` its GAN was trained on and against `unseen` training images.

    The oracle is audit-only: nothing measured here may choose, filter or train anything.
    """
    classes = len(subset.classes)
    agreement = labels_to_agreement(synthetic.labels, _predict(oracle, synthetic), synthetic.classes)
    numbers = {"agreement": float(np.average(agreement["agreement"], weights=agreement["synthetic"]))}

    # As many unseen images twice over: once to compare with, once for the real-against-real floor.
    each = min(-(-config.images // classes), _smallest_class(synthetic), _smallest_class(unseen) // 2)
    drawn = class_rounds(unseen.labels, 2 * each, derive(seed, "unseen")).reshape(classes, 2, each)
    fakes = synthetic.subset(class_rounds(synthetic.labels, each, derive(seed, "synthetic")))
    features = [
        _features(oracle, images)
        for images in (fakes, unseen.subset(drawn[:, 0].ravel()), unseen.subset(drawn[:, 1].ravel()))
    ]
    if len(fakes) >= 2 * FEATURES:
        fidelity = features_to_fidelity(*features)
        numbers |= {"frechet": fidelity["frechet"], "frechet_floor": fidelity["frechet_floor"]}
    else:
        numbers |= {"frechet": float("nan"), "frechet_floor": float("nan")}
    numbers |= features_to_coverage(features[1], features[0], config.neighbours)
    numbers["spread"] = images_to_spread(synthetic.pixels, synthetic.labels, classes).mean
    numbers["spread_real"] = images_to_spread(subset.pixels, subset.labels, classes).mean

    # Equally many of the subset and of unseen images, class by class: what no memorising looks like.
    fair = min(_smallest_class(subset), _smallest_class(unseen))
    trained_on = subset.subset(class_rounds(subset.labels, fair, derive(seed, "trained on")))
    controls = unseen.subset(class_rounds(unseen.labels, fair, derive(seed, "controls")))
    memory = images_to_memorisation(synthetic.pixels, trained_on.pixels, controls.pixels, config.suspects)
    for view in ("pose", "pixel"):
        for name in ("closer_to_subset", "near_copies", "near_unused"):
            numbers[f"{view}_{name}"] = memory.numbers[view][name]
    numbers["exact_copies"] = memory.numbers["exact"]["copies"]
    suspects = memory.suspects
    return Assessment(
        numbers,
        agreement,
        synthetic.pixels[suspects["synthetic"]],
        trained_on.pixels[suspects["real"]],
        suspects["distance"].to_numpy(),
        suspects["distance_unused"].to_numpy(),
    )


def _smallest_class(images: LabelledImages) -> int:
    return int(np.bincount(images.labels, minlength=len(images.classes)).min())


def _features(oracle: Classifier, images: LabelledImages) -> NDArray[np.float64]:
    pixels, _ = to_tensors(images, torch.device("cpu"))
    return images_to_features(oracle, pixels).double().numpy()


def _predict(oracle: Classifier, images: LabelledImages) -> NDArray[np.int64]:
    pixels, _ = to_tensors(images, torch.device("cpu"))
    predicted: NDArray[np.int64] = images_to_logits(oracle, pixels).argmax(1).numpy()
    return predicted
