"""What each replicate of a budget is given: labelled images, and with them, if a study asks for it, unlabelled ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.images import LabelledImages, join, load_arrays, save_arrays
from pipeline.subsets import Indices, check_disjoint


@dataclass(frozen=True)
class Split:
    """What each of R replicates of a budget is given, as indices into the training images.

    subsets: its labelled images, (R, N). labels: as they were labelled, (R, N); with label noise some are wrong.
    unlabelled: its images without labels, (R, M). development: images that no replicate is given, (D,).
    """

    subsets: Indices
    labels: Indices
    unlabelled: Indices
    development: Indices

    def real(self, train: LabelledImages) -> list[LabelledImages]:
        """The real subset of each replicate."""
        return [
            LabelledImages(train.pixels[indices], labels, train.classes)
            for indices, labels in zip(self.subsets, self.labels, strict=True)
        ]

    def check(self) -> None:
        """Raise InputError if two replicates share an image, labelled or not, or one is given an excluded image."""
        check_disjoint(np.concatenate([self.subsets, self.unlabelled], axis=1), self.development)

    def save(self, path: Path) -> None:
        """Write one `.npz`, whole or not at all."""
        arrays = {"subsets": self.subsets, "labels": self.labels, "unlabelled": self.unlabelled}
        save_arrays(path, **arrays, development=self.development)


def load_split(path: Path) -> Split:
    """What `Split.save` wrote. Raises InputError that names the file if it is missing or damaged."""
    arrays = load_arrays(path)
    try:
        return Split(**arrays)
    except TypeError:
        raise InputError(f"{path}: not a split; delete it and run `dvc repro`") from None


@dataclass(frozen=True)
class PseudoLabels:
    """What each replicate's teacher reads in its unlabelled images: labels, (R, M), and which of them it is sure of."""

    labels: Indices
    sure: NDArray[np.bool_]

    def join(self, split: Split, train: LabelledImages) -> list[LabelledImages]:
        """The real subset of each replicate, followed by the unlabelled images that its teacher is sure of."""
        joined = []
        for replicate, real in enumerate(split.real(train)):
            sure = self.sure[replicate]
            pixels = train.pixels[split.unlabelled[replicate][sure]]
            joined.append(join([real, LabelledImages(pixels, self.labels[replicate][sure], train.classes)]))
        return joined

    def save(self, path: Path) -> None:
        """Write one `.npz`, whole or not at all."""
        save_arrays(path, labels=self.labels, sure=self.sure)


def load_pseudo_labels(path: Path) -> PseudoLabels:
    """What `PseudoLabels.save` wrote. Raises InputError that names the file if it is missing or damaged."""
    arrays = load_arrays(path)
    try:
        return PseudoLabels(**arrays)
    except TypeError:
        raise InputError(f"{path}: not pseudo-labels; delete it and run `dvc repro`") from None
