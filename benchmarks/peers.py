"""Our training loops beside those that a person would write or pick, on this machine, by turns.

    python -m benchmarks.peers
    python -m benchmarks.peers --what gan --rounds 3 --steps 300
    python -m benchmarks.peers --what classifier gan  # without the seconds to a fixed CAS, which are a long run
    python -m benchmarks.peers --device cuda          # all of them on a GPU: not measured yet

Each system trains the project's own classifier (on real images under classical augmentation) and the default GAN, on 50
digits a class of the development part: the same networks, first weights, batch size and number of steps. `ours` and
`common` are in benchmarks/loops.py, `lightning` in benchmarks/lightning_loop.py; each has one thread, the others two
workers besides that load their images, or none. `ours, two at once` are two replicates side by side, as a study runs
them. Systems take turns of a few steps, and a ratio is of two turns of one go-round. Every round is a fresh training on
a seed of its own; its first turn, in which it starts, counts for the time to an accuracy and for nothing else.

cas: the same GANs, looked at after each turn, off the clock: a classifier that sees generated digits alone reads the
rest of the development part. Looking is about half of the work. A round is printed when it ends; none is kept.
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

from benchmarks.development import folds
from benchmarks.loops import (
    ClassifierTask,
    Device,
    GanTask,
    common_classifier,
    common_gan,
    lightning_classifier,
    lightning_gan,
    our_classifier,
    our_gan,
)
from benchmarks.score import accuracy, cas
from benchmarks.turns import Training, Turn, side_by_side, take_turns
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.errors import InputError
from pipeline.gan.recipe import load_recipe
from pipeline.seeds import derive
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

BUDGET = 50
OURS, LIGHTNING = "ours", "lightning, 2 workers"
LOOKED_AT = 200  # generated digits a class, and steps of the classifier that reads them: enough to tell CAS apart
LOOKED_STEPS = 800


class Length(NamedTuple):
    """steps: of a training. every: of a turn. target: accuracy on the rest of the development part, or CAS."""

    steps: int
    every: int
    target: float | None


LENGTHS = {"classifier": Length(800, 80, 0.96), "gan": Length(240, 40, None), "cas": Length(2000, 250, 0.85)}


class System(NamedTuple):
    """function: a loop. copies: how many run side by side. workers: of the DataLoader, where there is one."""

    function: Callable[..., Any]
    copies: int = 1
    workers: int = 2


def systems(what: str) -> dict[str, System]:
    """By name; `lightning` only where it is installed. cas: one of each, for a round of them is long."""
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
    if importlib.util.find_spec("lightning") is not None:
        found[LIGHTNING] = System(lightning)
    if what == "cas":
        return {name: each for name, each in found.items() if each.copies == 1 and each.workers}
    return found


def one_round(
    what: str, params: Params, steps: int, every: int, seed: int, device: Device = "cpu"
) -> tuple[dict[str, list[Turn]], dict[str, int]]:
    """Turns of each system, the first included, and the peak of its memory in the first, bytes above its start."""
    (fold,) = folds(params, BUDGET, 1)
    task: ClassifierTask | GanTask
    measure: Callable[[Any], float] | None = None
    if what == "classifier":
        config = dataclasses.replace(params.classifier, steps=steps)
        task = ClassifierTask(fold.subset, params.arms.classical, config, seed, every, device=device)
        measure = functools.partial(accuracy, images=fold.rest)
    else:
        task = GanTask(fold.subset, load_recipe(params.gan.recipe), steps, seed, every, device=device)
    if what == "cas":
        reader = dataclasses.replace(params.classifier, steps=LOOKED_STEPS)
        measure = functools.partial(cas, images=fold.rest, config=reader, per_class=LOOKED_AT, seed=seed)
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
            turns[name] = [side_by_side([member.wait() for member in members])]
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
    measured: str = "accuracy",
) -> pd.DataFrame:
    """A row a system. rounds: the turns of each, the first one included. images: that a system sees in a turn. target:
    of what was `measured`.

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
        reserved = max(taken[name][0].reserved for taken in rounds)  # of the first turn: nobody has looked yet
        if reserved:
            row["GPU memory, MB"] = f"{reserved / 1e6:.0f}"
        if target is not None:
            needed = [seconds_to(target, taken[name]) for taken in rounds]
            row[f"s to {measured} {target:.0%}" if measured == "CAS" else f"s to {target:.0%}"] = (
                f"{np.median(needed):.1f} ({min(needed):.1f} to {max(needed):.1f})"
            )
            row[f"{measured} at the end, %"] = round(
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
    parser.add_argument("--what", nargs="+", choices=[*LENGTHS], default=[*LENGTHS])
    parser.add_argument("--rounds", type=int, default=3)
    lengths = {
        name: ", ".join(f"{getattr(each, name)} ({what})" for what, each in LENGTHS.items())
        for name in ("steps", "every")
    }
    parser.add_argument("--steps", type=int, help=f"of each training; {lengths['steps']} if left out")
    parser.add_argument("--every", type=int, help=f"steps of a turn; {lengths['every']} if left out")
    parser.add_argument("--target", type=float, help="accuracy or CAS to which the seconds are counted, as a share")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    try:
        where = resolve_device(ComputeConfig(device=arguments.device))
    except InputError as error:
        parser.error(str(error))
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU, a thread a training"
    print(f"{machine()}; {name}", flush=True)
    for what in arguments.what:
        usual = LENGTHS[what]
        steps, every = arguments.steps or usual.steps, arguments.every or usual.every
        target = usual.target if usual.target is None else arguments.target or usual.target
        size = params.classifier.batch_size if what == "classifier" else load_recipe(params.gan.recipe).batch_size
        copies = {name: system.copies for name, system in systems(what).items()}
        print(f"\n{what}: {arguments.rounds} x {steps} steps of {size} images, turns of {every} steps", flush=True)
        rounds: list[dict[str, list[Turn]]] = []
        peaks: dict[str, int] = dict.fromkeys(copies, 0)
        for number in range(arguments.rounds):
            seed = derive(arguments.seed, "gan" if what == "cas" else what, number)
            taken, memory = one_round(what, params, steps, every, seed, arguments.device)
            rounds.append(taken)
            peaks = {name: max(peaks[name], memory[name]) for name in peaks}
            if what == "cas":
                print_round(number, taken)
        measured = "CAS" if what == "cas" else "accuracy"
        table = turns_to_table(rounds, peaks, copies, every * size, target, measured)
        print(table.to_string(index=False), flush=True)
        if LIGHTNING not in copies:
            print("lightning: not installed")
    print(f"load {os.getloadavg()[0]:.1f}")


def print_round(number: int, taken: Mapping[str, Sequence[Turn]]) -> None:
    """The seconds of training and the CAS of each system at each of its turns."""
    for name, turns in taken.items():
        seconds = np.cumsum([turn.seconds for turn in turns])
        said = ", ".join(f"{s:.1f} s {turn.measured:.1%}" for s, turn in zip(seconds, turns, strict=True))
        print(f"round {number}, {name}: {said}", flush=True)


if __name__ == "__main__":
    main()
