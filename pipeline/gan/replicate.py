"""A replicate of the GAN, or several at once: real subsets in, weights, history and picture grids out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.gan.recipe import Recipe
from pipeline.gan.training import new_gan, new_monitor, train, train_many
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
    capture: bool = False,
    bf16: bool = False,
) -> dict[str, Any]:
    """Train a GAN on `real` alone; `every` so many steps there is a record, by default about RECORDS of them.
    capture, bf16: as in `training.train`.

    Returns weights (the averaged generator's) and discriminator (NumPy arrays by name), history (records of `train`),
    grids (by step: uint8 (classes, GRID_COLUMNS, C, H, W), the same noise each time), frames (the same at
    `frame_steps`, stacked, as many columns as FRAME_WIDTH holds) and monitored (the last of these, more columns).
    """
    every = every or record_every(steps)
    replicate = _Replicate(real, recipe, steps, seed, device, every)
    for record in train(replicate.gan, real, recipe, steps, seed, every, replicate.monitor, capture, bf16):
        report(record)
        replicate.keep(record)
    return replicate.result()


def train_replicates(
    jobs: Sequence[Mapping[str, Any]],
    device: torch.device,
    reports: Sequence[Callable[[dict[str, float]], None]],
    capture: bool = False,
    bf16: bool = False,
) -> list[dict[str, Any]]:
    """`train_replicate(**job)` of several jobs, alike as `alike` says, at once: stacked, or plainly where it is one."""
    if len(jobs) == 1:
        return [train_replicate(**jobs[0], device=device, report=reports[0], capture=capture, bf16=bf16)]
    first = jobs[0]
    recipe, steps, every = first["recipe"], first["steps"], first.get("every") or record_every(first["steps"])
    replicates = [_Replicate(job["real"], recipe, steps, job["seed"], device, every) for job in jobs]
    for records in train_many(
        [replicate.gan for replicate in replicates],
        [job["real"] for job in jobs],
        recipe,
        steps,
        [job["seed"] for job in jobs],
        every,
        [replicate.monitor for replicate in replicates],
        capture,
        bf16,
    ):
        for number, record in records.items():
            reports[number](record)
            replicates[number].keep(record)
    return [replicate.result() for replicate in replicates]


def alike(job: Mapping[str, Any]) -> Hashable:
    """Jobs with the same can be trained at once."""
    real = job["real"]
    return real.shape, len(real.classes), job["recipe"], job["steps"], job.get("every")


class _Replicate:
    """A new GAN, and what is kept of its training."""

    def __init__(
        self, real: LabelledImages, recipe: Recipe, steps: int, seed: int, device: torch.device, every: int
    ) -> None:
        self.gan = new_gan(real.shape, len(real.classes), recipe, derive(seed, "weights"), device)
        self.monitor = new_monitor(self.gan, len(real.classes), seed)
        self.shape = (len(real.classes), -1, *real.shape)
        self.kept, self.framed = grid_steps(steps, every), frame_steps(steps, every)
        self.columns = max(1, min(GRID_COLUMNS, FRAME_WIDTH // real.shape[2]))
        self.history: list[dict[str, float]] = []
        self.grids: dict[int, NDArray[np.uint8]] = {}
        self.frames: list[NDArray[np.uint8]] = []
        self.monitored = np.empty(0, np.uint8)

    def keep(self, record: dict[str, float]) -> None:
        """The record, and what the monitor has just seen."""
        self.history.append(record)
        self.monitored = self.monitor.last.reshape(self.shape)
        if record["step"] in self.kept:
            self.grids[int(record["step"])] = self.monitored[:, :GRID_COLUMNS]
        if record["step"] in self.framed:
            self.frames.append(self.monitored[:, : self.columns])

    def result(self) -> dict[str, Any]:
        return {
            "weights": network_to_arrays(self.gan.average),
            "discriminator": network_to_arrays(self.gan.discriminator),
            "history": self.history,
            "grids": self.grids,
            "frames": np.stack(self.frames),
            "monitored": self.monitored,
        }
