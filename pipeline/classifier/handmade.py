"""Synthetic sets that are made without a GAN: distorted copies, and images between two real ones."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.batches import class_rounds
from pipeline.distortion import Distortion
from pipeline.images import LabelledImages
from pipeline.pixels import to_bytes, to_tensors
from pipeline.transforms import distort


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
