"""Train the arms that use generated digits, and predict the test images."""

from __future__ import annotations

from pathlib import Path

from pipeline.classifier.arms import GAN_ARMS, ArmsConfig
from pipeline.classifier.training import ClassifierConfig
from pipeline.images import load
from pipeline.stages.arms import load_subsets, train_arms
from pipeline.stages.stage import Stage, run


def train_augmented(stage: Stage) -> None:
    subsets = load_subsets(load(Path("artifacts/data/train.npz")), stage)
    generated = [load(stage.path("synthetic", f"replicate-{number}.npz")) for number in range(len(subsets))]
    train_arms(
        stage,
        GAN_ARMS,
        subsets,
        lambda _arm, replicate: generated[replicate],
        stage.config("arms", ArmsConfig),
        stage.config("classifier", ClassifierConfig),
        "augmented",
    )


if __name__ == "__main__":
    run("train_augmented", train_augmented, per_budget=True)
