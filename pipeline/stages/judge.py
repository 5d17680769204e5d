"""What each replicate may know of its generated digits: its teacher's reading, its discriminator's score, nearness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.classifier.arms import to_variants
from pipeline.classifier.selection import FIELDS
from pipeline.images import load, save_arrays
from pipeline.memory import within_memory
from pipeline.provenance import file_to_digest
from pipeline.split import load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_json


def judge(stage: Stage) -> None:
    variants = to_variants({"generated": stage.value("variants.generated")})
    keeps = {variant.keep for variant in variants.generated}
    subsets = load_split(Path(f"artifacts/splits/{stage.budget}.npz")).real(load(Path("artifacts/data/train.npz")))
    jobs: list[dict[str, Any]] = []
    judges: list[dict[str, str]] = []
    for replicate, real in enumerate(subsets):
        files = {}
        if variants.needs_teacher:
            files["teacher"] = stage.path("teacher", f"weights-{replicate}.safetensors")
        if "convincing" in keeps:
            files["discriminator"] = stage.path("gan", f"discriminator-{replicate}.safetensors")
        judges.append({name: file_to_digest(path) for name, path in files.items()})
        synthetic = stage.path("synthetic", f"replicate-{replicate}.npz")
        read = [synthetic, *(path.with_name("config.json") for path in files.values())]
        jobs.append(
            {
                "synthetic": synthetic,
                "teacher": files.get("teacher"),
                "discriminator": files.get("discriminator"),
                "near": real if "novel" in keeps else None,
                "digests": [*judges[-1].values(), *map(file_to_digest, read)],
            }
        )
    asked, results = variants.needs_judgement, [dict.fromkeys(FIELDS, np.empty(0, np.float32))] * len(jobs)
    if asked:
        # Imported here: most studies judge nothing, and need not wait for torch.
        from pipeline.compute import ComputeConfig, run_replicates
        from pipeline.judgement import judge_replicate

        # On CPUs of this machine, whose disk holds the digits.
        here = replace(stage.cpus(ComputeConfig), backend="local")
        with within_memory("lower generate.per_class or compute.workers"):
            results = run_replicates(judge_replicate, jobs, here, stage.name, [1] * len(jobs))
    with whole_folder(stage.path("judged")) as folder:
        for replicate, result in enumerate(results):
            save_arrays(folder / f"replicate-{replicate}.npz", **{name: result[name] for name in FIELDS})
        write_json(folder / "inputs.json", judges)
    print(f"{stage.name}: {'judged' if asked else 'no arm asks what is thought of generated digits'}")


if __name__ == "__main__":
    run("judge", judge, per_budget=True)
