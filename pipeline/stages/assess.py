"""Measure the synthetic digits with the audit-only oracle, for the report alone."""

from __future__ import annotations

from pipeline import workers  # noqa: F401, first: its server imports while this module does

# isort: split
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.compute import ComputeConfig, run_replicates
from pipeline.images import load, save_arrays
from pipeline.memory import within_memory
from pipeline.provenance import file_to_digest
from pipeline.quality.replicate import assess_replicate
from pipeline.quality.settings import AssessConfig
from pipeline.seeds import derive
from pipeline.split import load_pseudo_labels, load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_csv, write_json

TRAIN, ORACLE = Path("artifacts/data/train.npz"), Path("artifacts/oracle")


def assess(stage: Stage) -> None:
    config = stage.config("assess", AssessConfig)
    split = load_split(Path(f"artifacts/splits/{stage.budget}.npz"))
    reals = load_pseudo_labels(Path(f"artifacts/pseudo/{stage.budget}.npz")).join(split, load(TRAIN))
    # config.json holds the oracle's shape.
    read = {"train": TRAIN, "oracle": ORACLE / "weights.safetensors", "oracle_config": ORACLE / "config.json"}
    shared = {name: file_to_digest(path) for name, path in read.items()}
    jobs: list[dict[str, Any]] = []
    for replicate, subset in enumerate(reals):
        synthetic = stage.path("synthetic", f"replicate-{replicate}.npz")
        jobs.append(
            {
                "synthetic": synthetic,
                "train": TRAIN,
                "oracle": ORACLE,
                "digests": {"synthetic": file_to_digest(synthetic), **shared},
                "subset": subset,
                "given": np.concatenate([split.subsets[replicate], split.unlabelled[replicate]]),
                "config": config,
                "seed": derive(stage.value("study.seed"), "assess", stage.budget or 0, replicate),
            }
        )
    # On CPUs of this machine, whose disk holds the images.
    here = replace(stage.cpus(ComputeConfig), backend="local")
    with within_memory("lower assess.images or compute.workers"):
        results = run_replicates(assess_replicate, jobs, here, stage.name, [1] * len(jobs))
    for replicate, result in enumerate(results):
        numbers = result["numbers"]
        print(
            f"{stage.name}: replicate {replicate}, the oracle agrees with {numbers['agreement']:.1f} % of the labels, "
            f"Fréchet distance {numbers['frechet']:.1f} (floor {numbers['frechet_floor']:.1f})"
        )
    with whole_folder(stage.path("quality")) as folder:
        numbers = pd.DataFrame([result["numbers"] for result in results])
        write_csv(folder / "quality.csv", numbers.rename_axis("replicate").reset_index())
        classes = pd.concat({number: result["classes"] for number, result in enumerate(results)}, names=["replicate"])
        write_csv(folder / "classes.csv", classes.reset_index("replicate"))
        # The most suspicious of all replicates first.
        ratios = [result["distance"] / np.maximum(result["distance_unused"], 1e-12) for result in results]
        order = np.argsort(np.concatenate(ratios), kind="stable")[: config.suspects]
        names = ("synthetic", "real", "unused", "distance", "distance_unused")
        arrays = {name: np.concatenate([result[name] for result in results])[order] for name in names}
        save_arrays(folder / "suspects.npz", **arrays)
        made = {path.name: file_to_digest(path) for path in sorted(folder.iterdir())}
        saw = [{**job["digests"], **result["saw"]} for job, result in zip(jobs, results, strict=True)]
        write_json(folder / "inputs.json", {"replicates": saw, "files": made})


if __name__ == "__main__":
    run("assess", assess, per_budget=True)
