"""Channels-last memory and torch.compile on a CPU against the plain step, by turns: what is free, and what is not.

    python -m benchmarks.free_lunch
    python -m benchmarks.free_lunch --what gan --turns 15

The classifier under classical augmentation and the default GAN on 50 digits a class of the development part, each way a
process of one thread, with the same weights and draws. plain: memory in torch's usual order, nothing compiled. A ratio
is of two turns of one go-round, above 1 where a way is faster than plain. The first turn of a way, in which it
compiles, counts for that alone: its seconds over a usual turn's are the cost, from an empty cache. The GAN is not
compiled: torch.compile cannot differentiate twice what it has compiled, and the penalties need that.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.development import folds
from benchmarks.loops import ClassifierTask, GanTask, Pause, our_gan
from benchmarks.peers import BUDGET, machine
from benchmarks.turns import Training, Turn, take_turns
from pipeline.adam import Adam
from pipeline.classifier.network import uniform_to_mask
from pipeline.classifier.training import draw, learning_rate_factor, smoothed_cross_entropy
from pipeline.gan.recipe import load_recipe
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

PLAIN = "plain"


class Way(NamedTuple):
    """How a task is trained. backend: of torch.compile, empty for none."""

    task: Any
    channels_last: bool = False
    backend: str = ""


def train_classifier(way: Way, pause: Pause) -> nn.Module:
    """The step of `pipeline.classifier.training.train`, with its two free choices left open."""
    task: ClassifierTask = way.task
    config, order = task.config, torch.channels_last if way.channels_last else torch.contiguous_format
    network = task.network().to(memory_format=order)
    network.train()
    weights = list(network.parameters())
    optimiser = Adam(weights, (0.9, 0.99), config.weight_decay)

    def loss_of(images: Tensor, targets: Tensor, uniform: Tensor) -> Tensor:
        logits = network(images.contiguous(memory_format=order), uniform_to_mask(uniform, config.dropout))
        return smoothed_cross_entropy(logits, targets, None, config.label_smoothing)

    with tempfile.TemporaryDirectory() as cache:
        if way.backend:
            # An empty cache, and no processes beside this one: what each replicate of a study would pay.
            os.environ |= {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
            loss_of = torch.compile(loss_of, backend=way.backend)
        drawn = draw(task.material, config, task.seed, torch.device("cpu"))
        for step, (images, targets, _, uniform) in enumerate(drawn, 1):
            rate = config.learning_rate * learning_rate_factor(step - 1, config.steps)
            optimiser.step(torch.autograd.grad(loss_of(images, targets, uniform), weights), rate)
            if step % task.every == 0 or step == config.steps:
                pause(network)
    return network


def train_gan(way: Way, pause: Pause) -> nn.Module:
    """Our loop, in a process of its own; without channels-last, what puts images in that order leaves them alone."""
    if way.channels_last:
        return our_gan(way.task, pause)
    for name, module in list(sys.modules.items()):
        if name.startswith("pipeline.gan.") and hasattr(module, "channels_last"):
            vars(module)["channels_last"] = lambda images: images
    return our_gan(Contiguous(**vars(way.task)), pause)


class Contiguous(GanTask):
    def networks(self) -> Any:
        gan = super().networks()
        for player in vars(gan).values():
            player.to(memory_format=torch.contiguous_format)
        return gan


def ways(what: str, task: Any) -> dict[str, tuple[Callable[..., Any], Way]]:
    """By name, `PLAIN` first."""
    function = train_classifier if what == "classifier" else train_gan
    found = {PLAIN: Way(task), "channels-last": Way(task, True)}
    if what == "classifier":
        found |= {"compiled": Way(task, False, "inductor"), "channels-last, compiled": Way(task, True, "inductor")}
    return {name: (function, way) for name, way in found.items()}


def timed(systems: Mapping[str, tuple[Callable[..., Any], Way]], turns: int) -> dict[str, list[Turn]]:
    """The turns of each, the first included."""
    with ExitStack() as stack:
        sets = []
        for function, way in systems.values():
            training = Training(function, way)
            stack.callback(training.end)
            sets.append([training])
        return dict(zip(systems, take_turns(sets, turns), strict=True))


def turns_to_table(taken: Mapping[str, Sequence[Turn]], every: int, batch_size: int) -> pd.DataFrame:
    """A row a way, from its turns of `every` steps, the first included; medians, and the range of the middle 80 %."""
    plain, rows = np.array([turn.seconds for turn in taken[PLAIN]]), []
    for name, turns in taken.items():
        seconds = np.array([turn.seconds for turn in turns])
        low, middle, high = np.quantile(plain[1:] / seconds[1:], [0.1, 0.5, 0.9])
        usual, usual_plain = float(np.median(seconds[1:])), float(np.median(plain[1:]))
        row: dict[str, Any] = {
            "way": name,
            "images/s": round(every * batch_size / usual),
            "over plain": "1" if name == PLAIN else f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "turns": len(seconds) - 1,
        }
        if "compiled" in name:
            cost = float(seconds[0]) - usual
            gain = (usual_plain - usual) / every  # seconds a step
            row |= {
                "compiling, s": f"{cost:.1f}",
                "pays after, steps": str(math.ceil(cost / gain)) if gain > 0 else "never",
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.free_lunch", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=["classifier", "gan"], default=["classifier", "gan"])
    parser.add_argument("--turns", type=int, default=16, help="the first does not count")
    parser.add_argument("--every", type=int, default=40, help="steps of a turn")
    arguments = parser.parse_args()
    if arguments.turns < 2 or arguments.every < 1:
        parser.error("--turns must be at least 2, --every positive")
    params, steps = to_params(read_params(PARAMS)), arguments.turns * arguments.every
    recipe = load_recipe(params.gan.recipe)
    print(machine(), flush=True)
    (fold,) = folds(params, BUDGET, 1)
    for what in arguments.what:
        task: ClassifierTask | GanTask
        if what == "classifier":
            config = dataclasses.replace(params.classifier, steps=steps)
            task = ClassifierTask(fold.subset, params.arms.classical, config, 1, arguments.every)
        else:
            task = GanTask(fold.subset, recipe, steps, 1, arguments.every)
        taken = timed(ways(what, task), arguments.turns)
        table = turns_to_table(taken, arguments.every, task.batch_size)
        print(f"\n{what}: turns of {arguments.every} steps of {task.batch_size} images\n{table.to_string(index=False)}")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
