"""Train the arms that use generated digits, and predict the test images."""

from __future__ import annotations

from pipeline import workers  # noqa: F401, first: its server imports while this module does

# isort: split
from pipeline.classifier.arms import GAN_ARMS, Arm, ArmsConfig, to_variants, with_variants
from pipeline.classifier.settings import ClassifierConfig
from pipeline.stages.arms import Synthetic, train_arms
from pipeline.stages.generated import load_selected
from pipeline.stages.reals import load_reals
from pipeline.stages.stage import Stage, run


def train_augmented(stage: Stage) -> None:
    arms = with_variants(GAN_ARMS, to_variants({"generated": stage.value("variants.generated")}).generated)
    reals = load_reals(stage)

    def synthetic(arm: Arm, replicate: int) -> Synthetic:
        return load_selected(stage.budget or 0, replicate, arm, reals[0][replicate])

    config, classifier = stage.config("arms", ArmsConfig), stage.config("classifier", ClassifierConfig)
    train_arms(stage, arms, reals, synthetic, config, classifier, "augmented")


if __name__ == "__main__":
    run("train_augmented", train_augmented, per_budget=True)
