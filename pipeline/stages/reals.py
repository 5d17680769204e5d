"""The real subsets that classifiers are trained on, one a replicate."""

from __future__ import annotations

from pathlib import Path

from pipeline.images import LabelledImages, load
from pipeline.split import load_pseudo_labels, load_split
from pipeline.stages.stage import Stage


def load_reals(stage: Stage) -> tuple[list[LabelledImages], list[LabelledImages]]:
    """This budget's real subsets, one a replicate, checked once more to be disjoint; and the same, each with the
    unlabelled images that its teacher is sure of.
    """
    train = load(Path("artifacts/data/train.npz"))
    split = load_split(Path(f"artifacts/splits/{stage.budget}.npz"))
    split.check()
    return split.real(train), load_pseudo_labels(Path(f"artifacts/pseudo/{stage.budget}.npz")).join(split, train)
