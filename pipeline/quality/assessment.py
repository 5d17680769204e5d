"""Everything that is measured of one replicate's synthetic digits, in one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline.batches import class_rounds
from pipeline.classifier.network import FEATURES, Classifier, images_to_features, images_to_logits
from pipeline.images import LabelledImages, join
from pipeline.pixels import to_tensors
from pipeline.quality.agreement import labels_to_agreement
from pipeline.quality.coverage import features_to_class_coverage, features_to_coverage
from pipeline.quality.fidelity import features_to_fidelity
from pipeline.quality.kernel import features_to_class_kernel, features_to_kernel
from pipeline.quality.memorisation import images_to_memorisation
from pipeline.quality.settings import AssessConfig
from pipeline.quality.spread import images_to_spread
from pipeline.seeds import derive


@dataclass(frozen=True)
class Assessment:
    """Of one replicate.

    numbers: agreement (percent that the oracle reads as their label); frechet and frechet_floor (NaN if images are too
    few); kid and kid_floor; precision, recall, density, coverage; spread and spread_real; for the views pose and pixel
    closer_to_subset, distance_ratio, near_copies, near_unused, c_t and c_t_unused; exact_copies. classes: a row a
    class, with synthetic (how many images), agreement, kid, kid_floor, precision, recall, and precision_real,
    recall_real of real images against real ones, spread and spread_real (NaN where images are too few). synthetic,
    real, unused: uint8 (K, C, H, W), the most suspicious digits, the nearest image of the real subset, with `distance`
    to it (K,), and the nearest of as many images of each class that the GAN never saw (of fewer, where fewer are left),
    with `distance_unused` to it (K,).
    """

    numbers: dict[str, float]
    classes: pd.DataFrame
    synthetic: NDArray[np.uint8]
    real: NDArray[np.uint8]
    unused: NDArray[np.uint8]
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
    numbers |= features_to_kernel(*features)
    numbers |= features_to_coverage(features[1], features[0], config.neighbours)
    by_class = _features_to_classes(features, fakes.labels, synthetic.classes, config.neighbours)
    for kind, images in (("spread", synthetic), ("spread_real", subset)):
        spread = images_to_spread(images.pixels, images.labels, classes)
        numbers[kind], by_class[kind] = spread.mean, spread.per_class

    # Equally many of the subset and of unseen images, class by class: what no memorising looks like. Where classes are
    # uneven, or little is unseen, that leaves images of the subset out; a copy of one of these is a copy all the same.
    fair = min(_smallest_class(subset), _smallest_class(unseen))
    chosen = class_rounds(subset.labels, fair, derive(seed, "trained on"))
    trained_on, left_out = subset.subset(chosen), subset.subset(np.setdiff1d(np.arange(len(subset)), chosen))
    controls, fresh = _to_controls(unseen, subset, fair, derive(seed, "controls"))
    # Classes as the cells of C_T: a conditional GAN copies class by class, and every class has images of each kind,
    # which k-means on a few hundred images does not promise.
    cells = (synthetic.labels, trained_on.labels, controls.labels)
    further = (left_out.pixels, fresh.pixels)
    memory = images_to_memorisation(
        synthetic.pixels, trained_on.pixels, controls.pixels, config.suspects, cells, further
    )
    for view in ("pose", "pixel"):
        for name in ("closer_to_subset", "distance_ratio", "near_copies", "near_unused", "c_t", "c_t_unused"):
            numbers[f"{view}_{name}"] = memory.numbers[view][name]
    numbers["exact_copies"] = memory.numbers["exact"]["copies"]
    suspects = memory.suspects
    return Assessment(
        numbers,
        agreement.join(by_class.drop(columns="class")),
        synthetic.pixels[suspects["synthetic"]],
        join([trained_on, left_out]).pixels[suspects["real"]],
        join([controls, fresh]).pixels[suspects["unused"]],
        suspects["distance"].to_numpy(),
        suspects["distance_unused"].to_numpy(),
    )


def _features_to_classes(
    features: list[NDArray[np.float64]], labels: NDArray[np.int64], classes: Sequence[str], neighbours: int
) -> pd.DataFrame:
    """Kernel distance, precision and recall within each class, and what real images get in place of synthetic ones.

    features: of synthetic, of unused and of other unused images, (N, D) each; labels: (N,), of all three.
    """
    synthetic, unused, others = features
    table = features_to_class_kernel(synthetic, unused, others, labels, classes)
    for kind, suffix in ((synthetic, ""), (others, "_real")):
        coverage = features_to_class_coverage(unused, labels, kind, labels, classes, neighbours)
        table = table.assign(**{f"{name}{suffix}": coverage[name] for name in ("precision", "recall")})
    return table


def _to_controls(
    unseen: LabelledImages, subset: LabelledImages, fair: int, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """Of unseen images `fair` of each class, and those by which a class of the subset has more, as far as there are."""
    counts = np.minimum(*(np.bincount(images.labels, minlength=len(subset.classes)) for images in (subset, unseen)))
    drawn = class_rounds(unseen.labels, int(counts.max()), seed).reshape(len(subset.classes), -1)
    # No image twice: a class is used up before one of its images comes again.
    more = [row[fair:count] for row, count in zip(drawn, counts, strict=True)]
    return unseen.subset(drawn[:, :fair].ravel()), unseen.subset(np.concatenate(more))


def _smallest_class(images: LabelledImages) -> int:
    return int(np.bincount(images.labels, minlength=len(images.classes)).min())


def _features(oracle: Classifier, images: LabelledImages) -> NDArray[np.float64]:
    pixels, _ = to_tensors(images, torch.device("cpu"))
    return images_to_features(oracle, pixels).double().numpy()


def _predict(oracle: Classifier, images: LabelledImages) -> NDArray[np.int64]:
    pixels, _ = to_tensors(images, torch.device("cpu"))
    predicted: NDArray[np.int64] = images_to_logits(oracle, pixels).argmax(1).numpy()
    return predicted
