"""Train one conditional GAN on each replicate's real subset."""

from __future__ import annotations

from pipeline import workers  # noqa: F401, first: its server imports while this module does

# isort: split
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.at_once import Many
from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
from pipeline.gan.health import history_to_health
from pipeline.gan.networks.registry import count_parameters, networks_to_mapping
from pipeline.gan.recipe import GanConfig, load_recipe
from pipeline.gan.replicate import RECORDS, alike, grid_steps, train_replicate, train_replicates
from pipeline.images import load
from pipeline.memory import within_memory
from pipeline.seeds import derive
from pipeline.split import load_pseudo_labels, load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_csv, write_json
from pipeline.weights import save_weights

FRAME_MILLISECONDS = 200
LAST_FRAME_MILLISECONDS = 2000


def train_gan(stage: Stage) -> None:
    config = stage.config("gan", GanConfig)
    recipe = load_recipe(config.recipe)
    train = load(Path("artifacts/data/train.npz"))
    split = load_split(Path(f"artifacts/splits/{stage.budget}.npz"))
    reals = load_pseudo_labels(Path(f"artifacts/pseudo/{stage.budget}.npz")).join(split, train)
    size = split.subsets.shape[1]  # labelled images of each replicate
    steps = config.length(size, recipe.batch_size)
    every = config.every(size, recipe.batch_size, RECORDS)
    jobs: list[dict[str, Any]] = [
        {
            "real": real,
            "recipe": recipe,
            "steps": steps,
            "seed": derive(stage.value("study.seed"), "gan", stage.budget or 0, replicate),
            "every": every,
        }
        for replicate, real in enumerate(reals)
    ]
    compute, many = stage.compute(ComputeConfig), Many(train_replicates, alike)
    stage.facts |= describe(compute, jobs, many)
    remedy = f"lower batch_size ({recipe.batch_size}) or the networks' widths in conf/gan/{config.recipe}.yaml"
    with within_memory(f"{remedy}, or compute.workers"):
        results = run_replicates(train_replicate, jobs, compute, stage.name, [steps] * len(jobs), many)
    stage.facts["milliseconds_per_step"] = milliseconds_per_step(results, steps)
    health = [
        history_to_health(replicate, result["history"], result["monitored"], job["real"])
        for replicate, (job, result) in enumerate(zip(jobs, results, strict=True))
    ]
    for line in filter(None, (state.warning() for state in health)):
        print(f"{stage.name}: {line}")
    with whole_folder(stage.path("gan")) as folder:
        for replicate, result in enumerate(results):
            save_weights(folder / f"generator-{replicate}.safetensors", result["weights"])
            save_weights(folder / f"discriminator-{replicate}.safetensors", result["discriminator"])
            for step, images in result["grids"].items():
                grid_to_png(images, folder / "grids" / f"replicate-{replicate}-step-{step:06d}.png")
            grids_to_animation(result["frames"], folder / "grids" / f"replicate-{replicate}.png")
        history = pd.DataFrame(
            [{"replicate": r, **record} for r, result in enumerate(results) for record in result["history"]]
        )
        write_csv(folder / "history.csv", history)
        write_csv(folder / "epochs.csv", history_to_epochs(history))
        write_json(folder / "inputs.json", [result["saw"] for result in results])
        write_json(folder / "health.json", {"replicates": [asdict(state) for state in health]})
        write_json(
            folder / "config.json",
            {
                "recipe": config.recipe,
                "steps": steps,
                "networks": networks_to_mapping(recipe.networks),
                "parameters": count_parameters(train.shape, len(train.classes), recipe.networks)._asdict(),
                "shape": list(train.shape),
                "classes": list(train.classes),
                "replicates": len(results),
                "grid_steps": grid_steps(steps, every),
            },
        )


def history_to_epochs(history: pd.DataFrame) -> pd.DataFrame:
    """The records as the tables of `dcgan64` have them: losses and scores by epoch, and the mean of both scores."""
    renamed = {"generator_loss": "Loss_g", "discriminator_loss": "Loss_d"}
    columns = ["replicate", "epoch", *renamed, "real_score", "fake_score"]
    table = history[columns].rename(columns=renamed)
    return table.assign(mean_score=(table["real_score"] + table["fake_score"]) / 2)


def grid_to_png(images: np.ndarray, path: Path) -> None:  # type: ignore[type-arg]
    """Write uint8 (rows, columns, C, H, W) as one picture, a row a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _picture(images).save(path)


def grids_to_animation(frames: np.ndarray, path: Path) -> None:  # type: ignore[type-arg]
    """Write uint8 (frames, rows, columns, C, H, W) as an animated PNG that repeats and rests on its last frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (_picture(images) for images in frames)
    durations = [FRAME_MILLISECONDS] * len(rest) + [LAST_FRAME_MILLISECONDS]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)


def _picture(images: np.ndarray) -> Image.Image:  # type: ignore[type-arg]
    rows, columns, channels, height, width = images.shape
    pixels = images.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    return Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)


if __name__ == "__main__":
    run("train_gan", train_gan, per_budget=True)
