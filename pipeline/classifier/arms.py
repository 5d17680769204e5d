"""Arms: what the classifier is trained on. An arm is data; one loop trains them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from pipeline.batches import class_rounds, to_bytes, to_tensors
from pipeline.config import require
from pipeline.images import LabelledImages
from pipeline.transforms import Distortion, distort


@dataclass(frozen=True)
class Arm:
    """Where an arm's images come from, and whether each batch is distorted afresh (classical augmentation).

    synthetic: which synthetic set stands beside the real images, or instead of them if `real` is false.
    """

    name: str
    real: bool = True
    synthetic: Literal["gan", "copies", "interpolated"] | None = None
    classical: bool = False


ARMS = (
    Arm("real"),
    Arm("real+classical", classical=True),
    Arm("real+copies", synthetic="copies"),
    Arm("real+interpolated", synthetic="interpolated"),
    Arm("real+gan", synthetic="gan"),
    Arm("real+gan+classical", synthetic="gan", classical=True),
    Arm("gan", real=False, synthetic="gan"),
)
BASELINE_ARMS = tuple(arm for arm in ARMS if arm.synthetic != "gan")
GAN_ARMS = tuple(arm for arm in ARMS if arm.synthetic == "gan")


@dataclass(frozen=True)
class ArmsConfig:
    """synthetic_share: part of a mixed batch that is synthetic. copies_per_class, interpolated_per_class: size of the
    two synthetic sets made without a GAN. classical: the distortion of the classical arms and of the copies.
    """

    synthetic_share: float
    copies_per_class: int
    interpolated_per_class: int
    classical: Distortion = field(default_factory=Distortion)

    def __post_init__(self) -> None:
        require(0 < self.synthetic_share < 1, "synthetic_share: must lie between 0 and 1")
        require(self.copies_per_class > 0, "copies_per_class: must be positive")
        require(self.interpolated_per_class > 0, "interpolated_per_class: must be positive")


def affine_copies(real: LabelledImages, per_class: int, distortion: Distortion, seed: int) -> LabelledImages:
    """A fixed set of `per_class` distorted copies a class: what a GAN that only launders augmentation would give."""
    chosen = real.subset(class_rounds(real.labels, per_class, seed))
    pixels, _ = to_tensors(chosen, torch.device("cpu"))
    moved = distort(pixels, distortion, torch.Generator().manual_seed(seed))
    return LabelledImages(to_bytes(moved), chosen.labels, real.classes)


def interpolated(real: LabelledImages, per_class: int, seed: int) -> LabelledImages:
    """`per_class` images a class on the lines between a real digit and its near neighbours of the same class.

    SMOTE (Chawla et al. 2002) as imbalanced-learn has it; a class with a single image gives copies of it.
    """
    from imblearn.over_sampling import SMOTE  # takes seconds to import, and one arm needs it

    labels, counts = np.unique(real.labels, return_counts=True)
    if counts.min() < 2:
        return real.subset(class_rounds(real.labels, per_class, seed))
    wanted = {int(label): int(count) + per_class for label, count in zip(labels, counts, strict=True)}
    smote = SMOTE(sampling_strategy=wanted, random_state=seed % 2**32, k_neighbors=int(min(5, counts.min() - 1)))
    flat, drawn = smote.fit_resample(real.pixels.reshape(len(real), -1).astype(np.float32), real.labels)[:2]
    pixels = flat[len(real) :].round().clip(0, 255).astype(np.uint8).reshape(-1, *real.shape)
    return LabelledImages(pixels, drawn[len(real) :].astype(np.int64), real.classes)
