"""One replicate of the GAN: a real subset in, weights, history and picture grids out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pipeline.gan.recipe import Recipe
from pipeline.gan.training import new_gan, new_monitor, train
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.weights import network_to_arrays

RECORDS = 40  # records over a training
GRIDS = 5  # picture grids over a training, spaced by a factor of about two
FRAMES = 20  # of the animated grid over a training, evenly spaced
GRID_COLUMNS = 10
FRAME_WIDTH = 320  # pixels at most, so that an animation of larger images stays small: fewer columns


def record_every(steps: int) -> int:
    return max(1, steps // RECORDS)


def grid_steps(steps: int, every: int | None = None) -> list[int]:
    """The steps at which a picture grid is kept: the last record and those at a half, a quarter, ... of it.

    every: steps between two records, `record_every` if left out.
    """
    every = every or record_every(steps)
    last = -(-steps // every)
    return sorted({min(steps, max(1, last // 2**k) * every) for k in range(GRIDS)})


def frame_steps(steps: int, every: int | None = None) -> list[int]:
    """The steps at which the animated grid has a frame: records, evenly spaced, first and last included."""
    every = every or record_every(steps)
    last = -(-steps // every)
    chosen = np.linspace(1, last, min(FRAMES, last)).round().astype(int)
    return [min(steps, int(record) * every) for record in chosen]


def train_replicate(
    real: LabelledImages,
    recipe: Recipe,
    steps: int,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
    every: int | None = None,
) -> dict[str, Any]:
    """Train a GAN on `real` alone; `every` so many steps there is a record, by default about RECORDS of them.

    Returns weights (the averaged generator's) and discriminator (NumPy arrays by name), history (records of `train`),
    grids (by step: uint8 (classes, GRID_COLUMNS, C, H, W), the same noise each time), frames (the same at
    `frame_steps`, stacked, as many columns as FRAME_WIDTH holds) and monitored (the last of these, more columns).
    """
    every = every or record_every(steps)
    gan = new_gan(real.shape, len(real.classes), recipe, derive(seed, "weights"), device)
    monitor = new_monitor(gan, len(real.classes), seed)
    history, grids, frames = [], {}, []
    kept, framed = grid_steps(steps, every), frame_steps(steps, every)
    monitored, columns = np.empty(0, np.uint8), max(1, min(GRID_COLUMNS, FRAME_WIDTH // real.shape[2]))
    for record in train(gan, real, recipe, steps, seed, every, monitor):
        report(record)
        history.append(record)
        monitored = monitor.last.reshape(len(real.classes), -1, *real.shape)
        if record["step"] in kept:
            grids[int(record["step"])] = monitored[:, :GRID_COLUMNS]
        if record["step"] in framed:
            frames.append(monitored[:, :columns])
    return {
        "weights": network_to_arrays(gan.average),
        "discriminator": network_to_arrays(gan.discriminator),
        "history": history,
        "grids": grids,
        "frames": np.stack(frames),
        "monitored": monitored,
    }
