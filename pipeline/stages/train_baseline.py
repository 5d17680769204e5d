"""Train the arms that use no generated digit, and predict the test images."""

from __future__ import annotations

from pathlib import Path

from pipeline.classifier.arms import BASELINE_ARMS, Arm, ArmsConfig, affine_copies, interpolated
from pipeline.classifier.training import ClassifierConfig
from pipeline.images import LabelledImages, load
from pipeline.seeds import derive
from pipeline.stages.arms import load_subsets, train_arms
from pipeline.stages.stage import Stage, run


def train_baseline(stage: Stage) -> None:
    arms, seed = stage.config("arms", ArmsConfig), stage.value("study.seed")
    subsets = load_subsets(load(Path("artifacts/data/train.npz")), stage)

    def synthetic(arm: Arm, replicate: int) -> LabelledImages | None:
        real, own_seed = subsets[replicate], derive(seed, arm.name, stage.budget or 0, replicate)
        if arm.synthetic == "copies":
            return affine_copies(real, arms.copies_per_class, arms.classical, own_seed)
        if arm.synthetic == "interpolated":
            return interpolated(real, arms.interpolated_per_class, own_seed)
        return None

    train_arms(stage, BASELINE_ARMS, subsets, synthetic, arms, stage.config("classifier", ClassifierConfig), "baseline")


if __name__ == "__main__":
    run("train_baseline", train_baseline, per_budget=True)
