"""What the two classifier stages share: every arm of every replicate, paired by subset, seed and test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.at_once import Many
from pipeline.classifier.arms import Arm, ArmsConfig, rare_classes
from pipeline.classifier.replicate import alike, train_replicate, train_replicates
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
from pipeline.errors import InputError
from pipeline.images import LabelledImages, load_arrays, save_arrays
from pipeline.memory import within_memory
from pipeline.seeds import derive
from pipeline.stages.stage import Stage, whole_folder, write_csv, write_json

Synthetic = tuple[LabelledImages | None, NDArray[np.float32] | None]  # a set, and targets in place of its labels


def train_arms(
    stage: Stage,
    arms: Sequence[Arm],
    reals: tuple[Sequence[LabelledImages], Sequence[LabelledImages]],
    synthetic: Callable[[Arm, int], Synthetic],
    config: ArmsConfig,
    classifier: ClassifierConfig,
    kind: str,
) -> None:
    """Train each of `arms` on each subset; write predictions (R, T) by arm, what each arm was, and training histories.

    reals: as `load_reals` gives them. synthetic: the synthetic set of an arm and a replicate. classifier: the settings
    of all arms that have none of their own. kind: the folder of the artifacts. Raises InputError where a share of a
    batch rounds to no image.
    """
    budget = stage.budget or 0
    test_pixels = load_arrays(Path("artifacts/data/test_images.npz"))["pixels"]
    keys = [(arm, replicate) for arm in arms for replicate in range(len(reals[0]))]
    materials = [
        arm_to_material(arm, reals[arm.pseudo][replicate], synthetic(arm, replicate), config) for arm, replicate in keys
    ]
    settings = {arm: config.settings(arm.name, classifier, budget) for arm in arms}
    for arm, material in zip(arms, materials[:: len(reals[0])], strict=True):
        size, share = settings[arm].batch_size, material.synthetic_share
        if any(count == 0 for _, count in material.phases(settings[arm].steps, size)[0][1]):
            raise InputError(f"{arm.name}: {share} of a batch of {size} leaves no synthetic or no real image")
    jobs = [
        {
            "material": material,
            "test_pixels": test_pixels,
            "config": settings[arm],
            # One seed for all arms of a replicate: they start from the same weights.
            "seed": derive(stage.value("study.seed"), "classifier", budget, replicate),
        }
        for (arm, replicate), material in zip(keys, materials, strict=True)
    ]
    compute, many = stage.compute(ComputeConfig), Many(train_replicates, alike)
    stage.facts |= describe(compute, jobs, many)
    with within_memory("lower classifier.batch_size, classifier.width or compute.workers"):
        steps = [settings[arm].steps for arm, _ in keys]
        results = run_replicates(train_replicate, jobs, compute, stage.name, steps, many)
    stage.facts["milliseconds_per_step"] = milliseconds_per_step(results, sum(steps) / len(steps))
    stage.facts["milliseconds_per_step_by_arm"] = {
        arm.name: milliseconds_per_step(
            [result for (trained, _), result in zip(keys, results, strict=True) if trained is arm], settings[arm].steps
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
        specs = {
            arm.name: config.record(arm, classifier, budget)
            | {"phases": phases_by_origin(arm, material, settings[arm])}
            for arm, material in zip(arms, materials[:: len(reals[0])], strict=True)
        }
        write_json(folder / "arms.json", specs)
        history = [
            {"arm": arm.name, "replicate": replicate, **record}
            for (arm, replicate), result in zip(keys, results, strict=True)
            for record in result["history"]
        ]
        write_csv(folder / "history.csv", pd.DataFrame(history))


def phases_by_origin(arm: Arm, material: Material, config: ClassifierConfig) -> list[dict[str, Any]]:
    """Of each phase of a training its steps, and the images of a batch by origin: `real`, `gan`, and so on.

    Where an arm fills up rare classes, the others' places in what is called synthetic hold real images; as all classes
    have their share of these places, the numbers are means over batches.
    """
    phases = []
    for steps, sets in material.phases(config.steps, config.batch_size):
        batch: dict[str, float] = {}
        for images, count in sets:
            if images is material.real:
                batch["real"] = batch.get("real", 0) + count
                continue
            made: float = count
            if arm.fill and material.real is not None:
                made = round(count * len(rare_classes(material.real)) / len(material.real.classes), 3)
                batch["real"] = round(batch.get("real", 0) + count - made, 3)
            batch[str(arm.synthetic)] = made
        phases.append({"steps": steps, "batch": batch})
    return phases


def arm_to_material(arm: Arm, real: LabelledImages, synthetic: Synthetic, config: ArmsConfig) -> Material:
    """What a classifier of `arm` sees in one replicate."""
    images, targets = synthetic
    return Material(
        real=real if arm.real else None,
        synthetic=images,
        distortion=config.distortion(arm) if arm.classical else None,
        synthetic_share=config.mixed_share(arm),
        weight=arm.weight,
        targets=targets,
        order=arm.order,
        batches=arm.batches,
    )
