"""Replicates at once on one device, with stacked weights: time and memory by their number, over one in the plain loop.

    python -m benchmarks.at_once --capture                      # one GPU
    python -m benchmarks.at_once --replicates 1 2 --steps 20 --device cpu

The default GAN, and the classifier under classical augmentation, on the development part. The plain loop and the
stacked one take turns of as many steps as lie between two records of a study; ratio: median, over the turns, of the
seconds of R at once over those of one. The first turn, in which graphs are captured, does not count.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.development import folds
from benchmarks.peers import BUDGET, machine
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
Loop = Iterator[Any]  # a record each time that it is asked, and the steps up to there are made
Loops = Callable[[int | None], Loop]  # of the plain loop, or of so many at once


def gan_loops(
    real: LabelledImages, recipe: Recipe, turns: int, every: int, device: torch.device, capture: bool
) -> Loops:
    def loops(count: int | None) -> Loop:
        gans = [new_gan(real.shape, len(real.classes), recipe, seed, device) for seed in range(count or 1)]
        if count is None:
            return gan_training.train(gans[0], real, recipe, turns * every, 0, every)
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
        if count is None:
            return classifier_training.train(networks[0], material, config, 0, every)
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
    """One row: `count` at once against one in the plain loop, by turns."""
    plain, many = loops(None), loops(count)
    seconds = [(seconds_of(plain, device), seconds_of(many, device)) for _ in range(turns)][1:]
    ones, groups = np.array(seconds).T
    row = {
        "replicates": count,
        "plain, ms a step": round(float(np.median(ones)) / every * 1000, 3),
        "at once, ms a step": round(float(np.median(groups)) / every * 1000, 3),
        "ratio": round(float(np.median(groups / ones)), 2),
        "each": round(float(np.median(groups / ones)) / count, 3),
    }
    if device.type == "cuda":
        del plain, many
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        alone = loops(count)
        next(alone)
        row["peak memory, MB"] = round(torch.cuda.max_memory_reserved(device) / 2**20)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.at_once", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=["gan", "classifier"], default=["gan", "classifier"])
    parser.add_argument("--replicates", nargs="+", type=int, default=REPLICATES)
    parser.add_argument("--steps", type=int, default=100, help="of a turn")
    parser.add_argument("--turns", type=int, default=6, help="the first does not count")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--capture", action="store_true", help="steps as CUDA graphs, those at once alone")
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
    rows = []
    for what in arguments.what:
        for count in arguments.replicates:
            try:
                row = measured(kinds[what], count, arguments.turns, arguments.steps, device)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                print(f"{what}: out of memory with {count} at once", flush=True)
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
