"""One replicate of the GAN: a real subset in, weights, history and picture grids out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pipeline.gan.recipe import Recipe
from pipeline.gan.training import new_gan, new_monitor, train
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.weights import network_to_arrays

RECORDS = 40  # records over a training
GRIDS = 5  # picture grids over a training, spaced by a factor of about two
GRID_COLUMNS = 10


def grid_steps(steps: int) -> list[int]:
    """The steps at which a picture grid is kept: the last record and those at a half, a quarter, ... of it."""
    every = record_every(steps)
    last = -(-steps // every)
    return sorted({min(steps, max(1, last // 2**k) * every) for k in range(GRIDS)})


def record_every(steps: int) -> int:
    return max(1, steps // RECORDS)


def train_replicate(
    real: LabelledImages,
    recipe: Recipe,
    steps: int,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """Train a GAN on `real` alone.

    Returns weights (the averaged generator's, NumPy arrays by name), history (records of `train`), grids (by step:
    uint8 (classes, GRID_COLUMNS, C, H, W), the same noise each time) and monitored (the last of these, more columns).
    """
    gan = new_gan(real.shape, len(real.classes), recipe, derive(seed, "weights"), device)
    monitor = new_monitor(gan, len(real.classes), seed)
    history, grids, kept = [], {}, grid_steps(steps)
    for record in train(gan, real, recipe, steps, seed, record_every(steps)):
        report(record)
        history.append(record)
        if record["step"] in kept:
            images = monitor.images().reshape(len(real.classes), -1, *real.shape)
            grids[int(record["step"])] = images[:, :GRID_COLUMNS]
    monitored = monitor.images().reshape(len(real.classes), -1, *real.shape)
    return {"weights": network_to_arrays(gan.average), "history": history, "grids": grids, "monitored": monitored}
