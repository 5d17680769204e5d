"""Our training loops beside those that a person would write or pick, on this machine, by turns.

    python -m benchmarks.peers
    python -m benchmarks.peers --what gan --rounds 3 --steps 300

Each system trains the project's own classifier (on real images under classical augmentation) and the default GAN, on 50
digits a class of the development part: the same networks, first weights, batch size and number of steps. `ours` and
`common` are in benchmarks/loops.py, `lightning` in benchmarks/lightning_loop.py; each has one thread, the others two
workers besides that load their images, or none. `ours, two at once` are two replicates side by side, as a study runs
them. Systems take turns of a few steps, and a ratio is of two turns of one go-round. Every round is a fresh training on
a seed of its own; its first turn, in which it starts, counts for the time to an accuracy and for nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.development import folds
from benchmarks.loops import (
    ClassifierTask,
    GanTask,
    common_classifier,
    common_gan,
    lightning_classifier,
    lightning_gan,
    our_classifier,
    our_gan,
)
from benchmarks.turns import Training, Turn, take_turns
from pipeline.batches import to_tensors
from pipeline.classifier.network import images_to_logits
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

BUDGET = 50
OURS = "ours"
TARGET = 0.96  # accuracy on the rest of the development part


class System(NamedTuple):
    """function: a loop. copies: how many run side by side. workers: of the DataLoader, where there is one."""

    function: Callable[..., Any]
    copies: int = 1
    workers: int = 2


def systems(what: str) -> dict[str, System]:
    """By name; `lightning` only where it is installed."""
    if what == "classifier":
        ours, common, lightning = our_classifier, common_classifier, lightning_classifier
    else:
        ours, common, lightning = our_gan, common_gan, lightning_gan  # type: ignore[assignment]
    found = {
        OURS: System(ours),
        "ours, two at once": System(ours, copies=2),
        "common, 2 workers": System(common),
        "common, no workers": System(common, workers=0),
    }
    if importlib.util.find_spec("lightning") is None:
        return found
    return found | {"lightning, 2 workers": System(lightning)}


def accuracy(network: nn.Module, images: LabelledImages) -> float:
    """Share of `images` that a classifier reads rightly."""
    pixels, labels = to_tensors(images, torch.device("cpu"))
    return float((images_to_logits(network, pixels).argmax(1) == labels).float().mean())  # type: ignore[arg-type]


def one_round(
    what: str, params: Params, steps: int, every: int, seed: int
) -> tuple[dict[str, list[Turn]], dict[str, int]]:
    """Turns of each system, the first included, and the peak of its memory in the first, bytes above its start."""
    (fold,) = folds(params, BUDGET, 1)
    task: ClassifierTask | GanTask
    measure = None
    if what == "classifier":
        config = dataclasses.replace(params.classifier, steps=steps)
        task = ClassifierTask(fold.subset, params.arms.classical, config, seed, every)
        measure = functools.partial(accuracy, images=fold.rest)
    else:
        task = GanTask(fold.subset, load_recipe(params.gan.recipe), steps, seed, every)
    turns: dict[str, list[Turn]] = {}
    peaks: dict[str, int] = {}
    with ExitStack() as stack:
        sets = []
        for name, (function, copies, workers) in systems(what).items():
            given = dataclasses.replace(task, workers=workers)
            members = [Training(function, given, None if copy else measure) for copy in range(copies)]
            for member in members:
                stack.callback(member.end)
            for member in members:
                member.go()
            peaks[name] = sum(member.peak() for member in members) if copies == 1 else 0
            first = [member.wait() for member in members]
            turns[name] = [Turn(max(turn.seconds for turn in first), first[0].measured)]
            sets.append(members)
        for name, taken in zip(turns, take_turns(sets, -(-steps // every) - 1), strict=True):
            turns[name] += taken
    return turns, peaks


def turns_to_ratios(ours: Sequence[float], other: Sequence[float], copies: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    """Our speed over another's, turn by turn, from the seconds of each: above 1 where ours is faster."""
    return np.asarray(other) / np.asarray(ours) / copies


def seconds_to(target: float, turns: Sequence[Turn]) -> float:
    """Seconds of training up to the first pause at which `target` was reached; infinity if it never was."""
    total = 0.0
    for turn in turns:
        total += turn.seconds
        if turn.measured >= target:
            return total
    return float("inf")


def turns_to_table(
    rounds: Sequence[Mapping[str, Sequence[Turn]]],
    peaks: Mapping[str, int],
    copies: Mapping[str, int],
    images: int,
    target: float | None,
) -> pd.DataFrame:
    """A row a system. rounds: the turns of each, the first one included. images: that a system sees in a turn.

    Medians over all turns but the first of each round, with the range of the middle 80 % of them.
    """
    rows = []
    for name in rounds[0]:
        pairs = [
            (ours.seconds, other.seconds)
            for taken in rounds
            for ours, other in zip(taken[OURS][1:], taken[name][1:], strict=True)
        ]
        ours, other = np.array(pairs).T
        ratios = turns_to_ratios(ours, other, copies[name])
        low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
        row = {
            "system": name,
            "images/s": round(float(np.median(images * copies[name] / other))),
            "ours is faster": "1" if name == OURS else f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "turns": len(pairs),
            "memory, MB": f"{peaks[name] / 1e6:.0f}" if peaks[name] else "",
        }
        if target is not None:
            needed = [seconds_to(target, taken[name]) for taken in rounds]
            row[f"s to {target:.0%}"] = f"{np.median(needed):.1f} ({min(needed):.1f} to {max(needed):.1f})"
            row["accuracy at the end, %"] = round(
                100 * float(np.mean([taken[name][-1].measured for taken in rounds])), 2
            )
        rows.append(row)
    return pd.DataFrame(rows)


def machine() -> str:
    """What it ran on, and with which versions."""
    versions = [f"Python {platform.python_version()}"]
    for name in ("torch", "torchvision", "lightning"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return f"{', '.join(versions)}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=["classifier", "gan"], default=["classifier", "gan"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each training; 800 of a classifier and 240 of a GAN if left out")
    parser.add_argument("--every", type=int, help="steps of a turn; 80 and 40 if left out")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    print(machine(), flush=True)
    for what in arguments.what:
        steps = arguments.steps or (800 if what == "classifier" else 240)
        every = arguments.every or (80 if what == "classifier" else 40)
        seeds = [derive(arguments.seed, what, number) for number in range(arguments.rounds)]
        rounds, memory = zip(*(one_round(what, params, steps, every, seed) for seed in seeds), strict=True)
        peaks = {name: max(each[name] for each in memory) for name in memory[0]}
        copies = {name: system.copies for name, system in systems(what).items()}
        size = params.classifier.batch_size if what == "classifier" else load_recipe(params.gan.recipe).batch_size
        target = TARGET if what == "classifier" else None
        print(f"\n{what}: {arguments.rounds} x {steps} steps of {size} images, turns of {every} steps")
        print(turns_to_table(rounds, peaks, copies, every * size, target).to_string(index=False), flush=True)
        if "lightning, 2 workers" not in copies:
            print("lightning: not installed")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
