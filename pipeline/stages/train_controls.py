"""Train the non-neural controls that are asked for on fixed sets, and predict the test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.classifier.arms import ArmsConfig
from pipeline.controls import ARMS, ControlsConfig, train_control
from pipeline.images import load, load_arrays, save_arrays
from pipeline.seeds import derive
from pipeline.stages.reals import load_reals
from pipeline.stages.stage import Stage, run, whole_folder, write_json


def train_controls(stage: Stage) -> None:
    config, arms = stage.config("controls", ControlsConfig), stage.config("arms", ArmsConfig)
    seed, budget = stage.value("study.seed"), stage.budget or 0
    results: list[dict[str, Any]] = []
    keys = []
    if config.models:
        # Imported here: most studies train no control, and need not wait for torch.
        from pipeline.classifier.handmade import affine_copies, interpolated
        from pipeline.compute import ComputeConfig, describe, run_replicates

        jobs = []
        subsets, _ = load_reals(stage)
        test_pixels = load_arrays(Path("artifacts/data/test_images.npz"))["pixels"]
        # As many synthetic images in every arm: what the smallest of the three sets has of a class.
        per_class = min(stage.value("generate.per_class"), arms.copies_per_class, arms.interpolated_per_class)
        for replicate, real in enumerate(subsets):
            # The very sets that the arms of the same names have.
            copies_seed, lines_seed = (derive(seed, f"real+{k}", budget, replicate) for k in ("copies", "interpolated"))
            sets = {
                "real": real,
                "copies": affine_copies(real, arms.copies_per_class, arms.classical, copies_seed),
                "interpolated": interpolated(real, arms.interpolated_per_class, lines_seed),
                "gan": load(stage.path("synthetic", f"replicate-{replicate}.npz")),
            }
            for model in config.models:
                own_seed = derive(seed, "controls", model, budget, replicate)  # the same for all arms
                for arm, kinds in ARMS.items():
                    own = {kind: images if kind in kinds else None for kind, images in sets.items()}
                    job = {"model": model, "config": config, **own, "per_class": per_class}
                    jobs.append({**job, "test_pixels": test_pixels, "seed": own_seed})
                    keys.append(f"{model}/{arm}")
        compute = stage.cpus(ComputeConfig)
        stage.facts |= describe(compute, jobs)
        results = run_replicates(train_control, jobs, compute, stage.name, [1] * len(jobs))
    made: dict[str, list[dict[str, Any]]] = {}
    for key, result in zip(keys, results, strict=True):
        made.setdefault(key, []).append(result)
    with whole_folder(stage.path("controls")) as folder:
        predictions = {key: np.stack([result["predictions"] for result in own]) for key, own in made.items()}
        save_arrays(folder / "predictions.npz", **predictions)
        write_json(folder / "inputs.json", {key: [result["saw"] for result in own] for key, own in made.items()})


if __name__ == "__main__":
    run("train_controls", train_controls, per_budget=True)
