"""Train the arms that use no generated digit, and predict the test images."""

from __future__ import annotations

from pipeline import workers  # noqa: F401, first: its server imports while this module does

# isort: split
from pipeline.classifier.arms import BASELINE_ARMS, Arm, ArmsConfig, to_variants, with_variants
from pipeline.classifier.handmade import affine_copies, interpolated
from pipeline.classifier.settings import ClassifierConfig
from pipeline.compute import ComputeConfig, in_workers
from pipeline.seeds import derive
from pipeline.stages.arms import Synthetic, train_arms
from pipeline.stages.reals import load_reals
from pipeline.stages.stage import Stage, run


def train_baseline(stage: Stage) -> None:
    config, seed = stage.config("arms", ArmsConfig), stage.value("study.seed")
    arms = with_variants(BASELINE_ARMS, to_variants({"baseline": stage.value("variants.baseline")}).baseline)
    reals = load_reals(stage)

    def own_seed(arm: Arm, replicate: int) -> int:
        return derive(seed, arm.of or arm.name, stage.budget or 0, replicate)  # a variant has the set that it varies

    between = [(arm, r) for arm in arms if arm.synthetic == "interpolated" for r in range(len(reals[0]))]
    made = in_workers(
        interpolated,
        [(reals[0][r], arm.per_class or config.interpolated_per_class, own_seed(arm, r)) for arm, r in between],
        stage.compute(ComputeConfig),
    )
    lines = dict(zip(between, made, strict=True))

    def synthetic(arm: Arm, replicate: int) -> Synthetic:
        if arm.synthetic == "copies":
            per_class = arm.per_class or config.copies_per_class
            real = reals[0][replicate]
            return affine_copies(real, per_class, config.distortion(arm), own_seed(arm, replicate)), None
        return lines.get((arm, replicate)), None

    train_arms(stage, arms, reals, synthetic, config, stage.config("classifier", ClassifierConfig), "baseline")


if __name__ == "__main__":
    run("train_baseline", train_baseline, per_budget=True)
