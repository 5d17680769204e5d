"""Replicates at once on one device, with stacked weights or in processes: time and memory by their number, over one.

    python -m benchmarks.at_once --capture                      # one GPU
    python -m benchmarks.at_once --replicates 1 2 --steps 20 --device cpu

The default GAN, and the classifier under classical augmentation, on the development part. stacked: R in one process.
processes: R processes side by side on the device, as joblib's workers are, each with one training (captured on a GPU).
They take turns with one alone, of as many steps as lie between two records of a study. Medians over the turns: "over
plain" of the seconds of R over those of one in the plain loop, "over one" over those of one as a study trains it there,
captured if they are, but not stacked, or a process. The first turn, in which graphs are captured, does not count.
Memory is what torch holds on a GPU; each process has some hundred MB of CUDA's own besides.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.development import folds
from benchmarks.loops import ClassifierTask, Device, GanTask, our_classifier, our_gan
from benchmarks.peers import BUDGET, machine
from benchmarks.turns import Training, take_turns
from pipeline.classifier import training as classifier_training
from pipeline.classifier.training import Material, new_classifier
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.gan import training as gan_training
from pipeline.gan.recipe import Recipe, load_recipe
from pipeline.gan.training import new_gan
from pipeline.images import LabelledImages
from pipeline.memory import is_out_of_memory
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

REPLICATES = (1, 2, 4, 8, 10, 16, 32)
Seconds = NDArray[np.float64]
Loop = Iterator[Any]  # a record each time that it is asked, and the steps up to there are made
Loops = Callable[[int | None], Loop]  # of the plain loop, or of so many at once


def gan_loops(
    real: LabelledImages, recipe: Recipe, turns: int, every: int, device: torch.device, capture: bool
) -> Loops:
    def loops(count: int | None) -> Loop:
        gans = [new_gan(real.shape, len(real.classes), recipe, seed, device) for seed in range(count or 1)]
        if count is None or count == 1:
            return gan_training.train(
                gans[0], real, recipe, turns * every, 0, every, capture=capture and count is not None
            )
        return gan_training.train_many(
            gans, [real] * count, recipe, turns * every, range(count), every, capture=capture
        )

    return loops


def classifier_loops(
    real: LabelledImages, params: Params, turns: int, every: int, device: torch.device, capture: bool
) -> Loops:
    config = dataclasses.replace(params.classifier, steps=turns * every)
    material = Material(real, None, params.arms.classical, 0.5)

    def loops(count: int | None) -> Loop:
        networks = [new_classifier(material, config, seed, device) for seed in range(count or 1)]
        if count is None or count == 1:
            return classifier_training.train(networks[0], material, config, 0, every, capture and count is not None)
        return classifier_training.train_many(networks, [material] * count, config, range(count), every, capture)

    return loops


def seconds_of(loop: Loop, device: torch.device) -> float:
    """Of the next turn. Reading its record back has waited for the device."""
    began = time.perf_counter()
    next(loop)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def measured(loops: Loops, count: int, turns: int, every: int, device: torch.device) -> dict[str, Any]:
    """One row: `count` stacked, one in the plain loop, and one captured if they are, by turns."""
    taking = [loops(None), loops(1), loops(count)]
    seconds = [[seconds_of(loop, device) for loop in taking] for _ in range(turns)][1:]
    plain, one, many = np.array(seconds).T
    row = to_row("stacked", count, every, plain, one, many)
    if device.type == "cuda":
        del taking
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        alone = loops(count)
        next(alone)
        row["peak memory, MB"] = round(torch.cuda.max_memory_reserved(device) / 2**20)
    return row


def measured_processes(
    function: Callable[..., Any], task: ClassifierTask | GanTask, count: int, turns: int
) -> dict[str, Any]:
    """One row: `count` processes side by side and one alone, by turns, each `function(task, pause)` on its own seed."""
    with ExitStack() as stack:
        members = []
        for seed in range(count + 1):
            members.append(Training(function, dataclasses.replace(task, seed=seed)))
            stack.callback(members[-1].end)
        taken = take_turns([members[:1], members[1:]], turns)
    one, many = (np.array([turn.seconds for turn in each[1:]]) for each in taken)
    row = to_row("processes", count, task.every, None, one, many)
    if taken[1][-1].reserved:
        row["peak memory, MB"] = round(taken[1][-1].reserved / 2**20)
    return row


def to_row(how: str, count: int, every: int, plain: Seconds | None, one: Seconds, many: Seconds) -> dict[str, Any]:
    """From the seconds of each turn: of one in the plain loop, if it ran, of one of the same kind, and of `count`."""
    return {
        "how": how,
        "replicates": count,
        "one, ms a step": round(float(np.median(one)) / every * 1000, 3),
        "at once, ms a step": round(float(np.median(many)) / every * 1000, 3),
        "over plain": "" if plain is None else round(float(np.median(many / plain)), 2),
        "over one": round(float(np.median(many / one)), 2),
        "each": round(float(np.median(many / one)) / count, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.at_once", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=["gan", "classifier"], default=["gan", "classifier"])
    parser.add_argument("--how", nargs="+", choices=["stacked", "processes"], default=["stacked", "processes"])
    parser.add_argument("--replicates", nargs="+", type=int, default=REPLICATES)
    parser.add_argument("--steps", type=int, default=100, help="of a turn")
    parser.add_argument("--turns", type=int, default=6, help="the first does not count")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--capture", action="store_true", help="steps as CUDA graphs, but for the plain loop's")
    parser.add_argument("--csv", type=Path, help="write the table there, too")
    arguments = parser.parse_args()
    if arguments.turns < 2 or arguments.steps < 1 or min(arguments.replicates) < 1:
        parser.error("--turns must be at least 2, --steps and --replicates positive")
    params = to_params(read_params(PARAMS))
    recipe = load_recipe(params.gan.recipe)
    device = resolve_device(ComputeConfig(device=arguments.device, precision=params.compute.precision))
    if device.type == "cpu":
        torch.set_num_threads(1)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{machine()}; {name}; steps {'captured' if arguments.capture else 'not captured'}", flush=True)
    (fold,) = folds(params, BUDGET, 1)
    length = (arguments.turns, arguments.steps, device, arguments.capture)
    kinds = {
        "gan": gan_loops(fold.subset, recipe, *length),
        "classifier": classifier_loops(fold.subset, params, *length),
    }
    steps = arguments.turns * arguments.steps
    on: Device = "cuda" if device.type == "cuda" else "cpu"
    config = dataclasses.replace(params.classifier, steps=steps)
    tasks: dict[str, tuple[Callable[..., Any], ClassifierTask | GanTask]] = {
        "gan": (our_gan, GanTask(fold.subset, recipe, steps, 0, arguments.steps, device=on)),
        "classifier": (
            our_classifier,
            ClassifierTask(fold.subset, params.arms.classical, config, 0, arguments.steps, device=on),
        ),
    }
    rows = []
    for what, how in itertools.product(arguments.what, arguments.how):
        for count in arguments.replicates:
            try:
                if how == "stacked":
                    row = measured(kinds[what], count, arguments.turns, arguments.steps, device)
                else:
                    row = measured_processes(*tasks[what], count, arguments.turns)
            except Exception as error:
                # A process of its own says it in its words.
                if not is_out_of_memory(error):
                    raise
                print(f"{what}, {how}: out of memory with {count} at once", flush=True)
                break
            rows.append({"what": what, **row})
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    table = pd.DataFrame(rows)
    print(f"\n{table.to_string(index=False)}\nload {os.getloadavg()[0]:.1f}")
    if arguments.csv is not None:
        facts = {"device": name, "torch": torch.__version__, "captured": arguments.capture}
        table.assign(**facts).to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
