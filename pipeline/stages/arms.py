"""What the two classifier stages share: every arm of every replicate, paired by subset, seed and test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.classifier.arms import Arm, ArmsConfig
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.training import ClassifierConfig, Material
from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
from pipeline.images import LabelledImages, load_arrays, save_arrays
from pipeline.memory import within_memory
from pipeline.seeds import derive
from pipeline.stages.stage import Stage, whole_folder, write_csv, write_json
from pipeline.subsets import check_disjoint


def load_subsets(train: LabelledImages, stage: Stage) -> list[LabelledImages]:
    """This budget's real subsets, one a replicate; checked once more to be disjoint."""
    split = load_arrays(Path(f"artifacts/splits/{stage.budget}.npz"))
    check_disjoint(split["subsets"], split["development"])
    return [train.subset(indices) for indices in split["subsets"]]


def train_arms(
    stage: Stage,
    arms: Sequence[Arm],
    subsets: Sequence[LabelledImages],
    synthetic: Callable[[Arm, int], LabelledImages | None],
    config: ArmsConfig,
    classifier: ClassifierConfig,
    kind: str,
) -> None:
    """Train each of `arms` on each subset; write predictions (R, T) by arm and the training history.

    synthetic: the synthetic set of an arm and a replicate, or None. kind: the folder of the artifacts.
    """
    test_pixels = load_arrays(Path("artifacts/data/test_images.npz"))["pixels"]
    keys = [(arm, replicate) for arm in arms for replicate in range(len(subsets))]
    jobs = [
        {
            "material": Material(
                real=subsets[replicate] if arm.real else None,
                synthetic=synthetic(arm, replicate),
                distortion=config.classical if arm.classical else None,
                synthetic_share=config.synthetic_share,
            ),
            "test_pixels": test_pixels,
            "config": classifier,
            # One seed for all arms of a replicate: they start from the same weights.
            "seed": derive(stage.value("study.seed"), "classifier", stage.budget or 0, replicate),
        }
        for arm, replicate in keys
    ]
    compute = stage.compute(ComputeConfig)
    stage.facts |= describe(compute, len(jobs))
    with within_memory("lower classifier.batch_size, classifier.width or compute.workers"):
        results = run_replicates(train_replicate, jobs, compute, stage.name, classifier.steps * len(jobs))
    stage.facts["milliseconds_per_step"] = milliseconds_per_step(results, classifier.steps)
    stage.facts["milliseconds_per_step_by_arm"] = {
        arm.name: milliseconds_per_step(
            [result for (trained, _), result in zip(keys, results, strict=True) if trained is arm], classifier.steps
        )
        for arm in arms
    }
    with whole_folder(stage.path(kind)) as folder:
        predictions = {
            arm.name: np.stack([r["predictions"] for (a, _), r in zip(keys, results, strict=True) if a is arm])
            for arm in arms
        }
        save_arrays(folder / "predictions.npz", **predictions)
        saw = {arm.name: [r["saw"] for (a, _), r in zip(keys, results, strict=True) if a is arm] for arm in arms}
        write_json(folder / "inputs.json", saw)
        history = [
            {"arm": arm.name, "replicate": replicate, **record}
            for (arm, replicate), result in zip(keys, results, strict=True)
            for record in result["history"]
        ]
        write_csv(folder / "history.csv", pd.DataFrame(history))
