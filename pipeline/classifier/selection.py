"""Which generated images an arm takes, by what its own replicate knows of them and nothing else.

A filter keeps, of each class,

- agreeing: those that the teacher, a classifier of the same real subset, reads as their label;
- convincing: the half that the replicate's discriminator scores highest;
- novel: those farther from their nearest real image than one real image in a hundred is from its nearest other one
  (of the same subset, in the common pose of quality/pose.py).

A class of which none passes keeps the one that comes nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.arms import Arm, rare_classes
from pipeline.images import LabelledImages, join

NEAR_PERCENTILE = 1.0


@dataclass(frozen=True)
class Judgement:
    """Of N generated images; an array is empty where no arm asks for it.

    probabilities: float32 (N, K), the teacher's. score: float32 (N,), the discriminator's, of any scale. distance:
    float32 (N,), to the nearest image of the real subset, over what counts as near: below 1 is a near copy.
    """

    probabilities: NDArray[np.float32]
    score: NDArray[np.float32]
    distance: NDArray[np.float32]


FIELDS = tuple(field.name for field in fields(Judgement))


def select(
    generated: LabelledImages, real: LabelledImages, judgement: Judgement | None, arm: Arm
) -> tuple[LabelledImages, NDArray[np.float32] | None]:
    """The synthetic images of `arm`, and their targets (N, K) where these are soft.

    generated: a replicate's, at the arm's scale. real: its real subset. judgement: of `generated`; None where the arm
    asks for none.
    """
    kept = np.flatnonzero(_passes(generated, judgement, arm))
    if arm.per_class is not None:
        kept = np.concatenate([kept[generated.labels[kept] == k][: arm.per_class] for k in np.unique(generated.labels)])
    chosen = generated.subset(kept)
    targets = judgement.probabilities[kept] if judgement is not None and arm.labels == "soft" else None
    if arm.fill:
        rare = rare_classes(real)
        others = real.subset(~np.isin(real.labels, rare))
        inside = np.isin(chosen.labels, rare)
        chosen = join([chosen.subset(inside), others])
        if targets is not None:
            targets = np.concatenate([targets[inside], np.eye(len(real.classes), dtype=np.float32)[others.labels]])
    return chosen, targets


def _passes(generated: LabelledImages, judgement: Judgement | None, arm: Arm) -> NDArray[np.bool_]:
    """Mask (N,) of the images that the arm's filter keeps."""
    if arm.keep == "all" or judgement is None:
        return np.ones(len(generated), dtype=bool)
    labels = generated.labels
    match arm.keep:
        case "agreeing":
            rank = judgement.probabilities[np.arange(len(labels)), labels]
            passed = judgement.probabilities.argmax(1) == labels
        case "convincing":
            rank = judgement.score
            medians = [
                np.median(rank[labels == k]) if (labels == k).any() else 0 for k in range(len(generated.classes))
            ]
            passed = rank > np.array(medians)[labels]
        case "novel":
            rank = judgement.distance
            passed = rank > 1
    for label in np.unique(labels[~passed]):
        members = np.flatnonzero(labels == label)
        if not passed[members].any():
            passed[members[rank[members].argmax()]] = True
    return passed
