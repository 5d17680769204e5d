"""Train the arms that use no generated digit, and predict the test images."""

from __future__ import annotations

from pipeline.classifier.arms import (
    BASELINE_ARMS,
    Arm,
    ArmsConfig,
    affine_copies,
    interpolated,
    to_variants,
    with_variants,
)
from pipeline.classifier.training import ClassifierConfig
from pipeline.seeds import derive
from pipeline.stages.arms import Synthetic, train_arms
from pipeline.stages.reals import load_reals
from pipeline.stages.stage import Stage, run


def train_baseline(stage: Stage) -> None:
    config, seed = stage.config("arms", ArmsConfig), stage.value("study.seed")
    arms = with_variants(BASELINE_ARMS, to_variants({"baseline": stage.value("variants.baseline")}).baseline)
    reals = load_reals(stage)

    def synthetic(arm: Arm, replicate: int) -> Synthetic:
        # A variant has the set of the arm that it varies.
        real, own_seed = reals[0][replicate], derive(seed, arm.of or arm.name, stage.budget or 0, replicate)
        if arm.synthetic == "copies":
            return affine_copies(real, arm.per_class or config.copies_per_class, config.classical, own_seed), None
        if arm.synthetic == "interpolated":
            return interpolated(real, arm.per_class or config.interpolated_per_class, own_seed), None
        return None, None

    train_arms(stage, arms, reals, synthetic, config, stage.config("classifier", ClassifierConfig), "baseline")


if __name__ == "__main__":
    run("train_baseline", train_baseline, per_budget=True)
