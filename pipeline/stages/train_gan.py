"""Train one conditional GAN on each replicate's real subset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
from pipeline.gan.health import history_to_health
from pipeline.gan.recipe import GanConfig, load_recipe
from pipeline.gan.replicate import grid_steps, train_replicate
from pipeline.images import load, load_arrays
from pipeline.seeds import derive
from pipeline.stages.stage import Stage, run, whole_folder, write_csv, write_json
from pipeline.weights import save_weights


def train_gan(stage: Stage) -> None:
    config = stage.config("gan", GanConfig)
    recipe = load_recipe(config.recipe)
    train = load(Path("artifacts/data/train.npz"))
    subsets = load_arrays(Path(f"artifacts/splits/{stage.budget}.npz"))["subsets"]
    jobs: list[dict[str, Any]] = [
        {
            "real": train.subset(indices),
            "recipe": recipe,
            "steps": config.steps,
            "seed": derive(stage.value("study.seed"), "gan", stage.budget or 0, replicate),
        }
        for replicate, indices in enumerate(subsets)
    ]
    compute = stage.compute(ComputeConfig)
    stage.facts |= describe(compute, len(jobs))
    results = run_replicates(train_replicate, jobs, compute, stage.name, config.steps * len(jobs))
    stage.facts["milliseconds_per_step"] = milliseconds_per_step(results, config.steps)
    health = [
        history_to_health(replicate, result["history"], result["monitored"], job["real"])
        for replicate, (job, result) in enumerate(zip(jobs, results, strict=True))
    ]
    for line in filter(None, (state.warning() for state in health)):
        print(f"{stage.name}: {line}")
    with whole_folder(stage.path("gan")) as folder:
        for replicate, result in enumerate(results):
            save_weights(folder / f"generator-{replicate}.safetensors", result["weights"])
            for step, images in result["grids"].items():
                grid_to_png(images, folder / "grids" / f"replicate-{replicate}-step-{step:06d}.png")
        history = [{"replicate": r, **record} for r, result in enumerate(results) for record in result["history"]]
        write_csv(folder / "history.csv", pd.DataFrame(history))
        write_json(folder / "inputs.json", [result["saw"] for result in results])
        write_json(folder / "health.json", {"replicates": [asdict(state) for state in health]})
        write_json(
            folder / "config.json",
            {
                "recipe": config.recipe,
                "steps": config.steps,
                "networks": asdict(recipe.networks),
                "shape": list(train.shape),
                "classes": list(train.classes),
                "replicates": len(results),
                "grid_steps": grid_steps(config.steps),
            },
        )


def grid_to_png(images: np.ndarray, path: Path) -> None:  # type: ignore[type-arg]
    """Write uint8 (rows, columns, C, H, W) as one picture, a row a class."""
    rows, columns, channels, height, width = images.shape
    picture = images.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.squeeze(-1) if channels == 1 else picture).save(path)


if __name__ == "__main__":
    run("train_gan", train_gan, per_budget=True)
