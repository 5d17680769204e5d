"""How cost grows with replicates, budgets, image size and the synthetic set, on the development part.

    python -m benchmarks.growth
    python -m benchmarks.growth --what synthetic --sizes 1000 10000 100000

replicates: tiny classifiers through `run_replicates`, in one process and in two by turns, whose results must be equal;
several pairs a row, each second one in the other order; throughput is the median of their ratios, with the range.
budgets, images: milliseconds a step of our loops by turns. synthetic: seconds and memory of a set that is generated and
written to disk as stage `generate` does it, with the size of its file.
Images above 28 pixels are those at hand, resized.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from benchmarks.development import folds
from benchmarks.loops import ClassifierTask, GanTask, Pause, our_classifier, our_gan
from benchmarks.peers import BUDGET, machine
from benchmarks.turns import Training, take_turns
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.training import Material
from pipeline.compute import ComputeConfig, Result, run_replicates
from pipeline.gan.recipe import Recipe, load_recipe
from pipeline.gan.sampling import class_balanced_parts
from pipeline.gan.training import new_gan
from pipeline.images import LabelledImages, save_parts
from pipeline.pixels import to_bytes, to_tensors
from pipeline.seeds import derive
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

BUDGETS = (5, 50, 200)
SIDES = (28, 64, 128)
REPLICATES = (1, 2, 4, 8, 16, 32)
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def resized(images: LabelledImages, side: int) -> LabelledImages:
    pixels, _ = to_tensors(images, torch.device("cpu"))
    moved = F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False)
    return LabelledImages(to_bytes(moved), images.labels, images.classes)


def steps_to_milliseconds(
    function: Callable[..., Any], tasks: Mapping[int, ClassifierTask | GanTask], turns: int
) -> dict[int, tuple[float, float]]:
    """Of each task: median milliseconds a step, and the median ratio to the first task in the same go-round."""
    with ExitStack() as stack:
        sets = []
        for task in tasks.values():
            training = Training(function, task)
            stack.callback(training.end)
            sets.append([training])
        take_turns(sets, 1)  # they start
        taken = take_turns(sets, turns)
    seconds = np.array([[turn.seconds for turn in each] for each in taken])
    every = next(iter(tasks.values())).every
    return {
        key: (float(np.median(row)) / every * 1000, float(np.median(row / seconds[0])))
        for key, row in zip(tasks, seconds, strict=True)
    }


def growth_of_steps(
    sets: Mapping[int, LabelledImages], params: Params, recipe: Recipe, what: str, turns: int
) -> pd.DataFrame:
    """Milliseconds a step on each of `sets`, of a classifier and of a GAN."""
    every = 10
    steps = every * (turns + 1)
    config = dataclasses.replace(params.classifier, steps=steps)
    classifiers = {key: ClassifierTask(real, params.arms.classical, config, 1, every) for key, real in sets.items()}
    gans = {key: GanTask(real, recipe, steps, 1, every) for key, real in sets.items()}
    columns = {
        "classifier": steps_to_milliseconds(our_classifier, classifiers, turns),
        "gan": steps_to_milliseconds(our_gan, gans, turns),
    }
    rows = []
    for key in sets:
        row: dict[str, float] = {what: key}
        for name, found in columns.items():
            row |= {f"{name}, ms a step": round(found[key][0], 1), f"{name}, ratio": round(found[key][1], 2)}
        rows.append(row)
    return pd.DataFrame(rows)


def run_timed(jobs: Sequence[Mapping[str, Any]], workers: int, steps: int) -> tuple[float, list[Result]]:
    """Seconds and results of `run_replicates`, nothing kept from before; its processes are there already."""
    config = ComputeConfig(device="cpu", workers=workers)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):  # finished replicates are kept where it runs
        began = time.perf_counter()
        results = run_replicates(train_replicate, jobs, config, f"{len(jobs)} in {workers}", [steps] * len(jobs))
        return time.perf_counter() - began, results


def same_results(one: Sequence[Result], other: Sequence[Result]) -> bool:
    """Predictions and weights, byte by byte, and losses."""
    return all(
        np.array_equal(a["predictions"], b["predictions"])
        and a["history"] == b["history"]
        and all(np.array_equal(a["weights"][name], b["weights"][name]) for name in a["weights"])
        for a, b in zip(one, other, strict=True)
    )


def growth_of_replicates(counts: Sequence[int], params: Params, steps: int, pairs: int) -> pd.DataFrame:
    """Seconds in one process and in two, by turns, medians of `pairs`; the throughput of two over one, pair by pair;
    whether all results are the same.
    """
    (fold,) = folds(params, BUDGET, 1)
    config = dataclasses.replace(params.classifier, steps=steps)
    material = Material(fold.subset, None, params.arms.classical, 0.5)
    few = fold.rest.pixels[:100]

    def jobs(count: int) -> list[dict[str, Any]]:
        common = {"material": material, "test_pixels": few, "config": config}
        return [{**common, "seed": derive(1, "growth", number)} for number in range(count)]

    run_timed(jobs(2), 2, steps)  # the processes start and import torch
    rows = []
    for count in counts:
        seconds, same = [], True
        for number in range(pairs):
            order = (1, 2) if number % 2 == 0 else (2, 1)
            found = {workers: run_timed(jobs(count), workers, steps) for workers in order}
            (alone, one), (together, two) = found[1], found[2]
            seconds.append((alone, together))
            same = same and same_results(one, two)
        rows.append(pairs_to_row(count, seconds, same))
    return pd.DataFrame(rows)


def pairs_to_row(count: int, seconds: Sequence[tuple[float, float]], same: bool) -> dict[str, Any]:
    """seconds: of each pair, in one process and in two."""
    alone, together = np.array(seconds).T
    ratios = alone / together
    return {
        "replicates": count,
        "1 process, s": round(float(np.median(alone)), 1),
        "2 processes, s": round(float(np.median(together)), 1),
        "throughput, 2 over 1": f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
        "pairs": len(ratios),
        "same results": same,
    }


@dataclasses.dataclass(frozen=True)
class SyntheticTask:
    """A set of `size` digits from the untrained generator of `recipe`, as large and as fast as a trained one."""

    real: LabelledImages
    recipe: Recipe
    size: int


def make_synthetic(task: SyntheticTask, pause: Pause) -> None:
    gan = new_gan(task.real.shape, len(task.real.classes), task.recipe, 1)
    parts = class_balanced_parts(gan.average, task.real.classes, task.size // len(task.real.classes), 1)
    with tempfile.TemporaryDirectory() as folder:
        save_parts(Path(folder, "set.npz"), parts, task.size)
    pause(gan.average)


def growth_of_synthetic(sizes: Sequence[int], params: Params, recipe: Recipe) -> pd.DataFrame:
    """Seconds and peak memory above the start of each size, in a process of its own."""
    (fold,) = folds(params, BUDGET, 1)
    measured = []
    for size in sizes:
        training = Training(make_synthetic, SyntheticTask(fold.subset, recipe, size))
        try:
            training.go()
            peak = training.peak()
            measured.append((size, training.wait().seconds, peak / 1e6))
        finally:
            training.end()
    rows = [{"digits": str(n), "seconds": round(s, 1), "memory, MB": round(m)} for n, s, m in measured]
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parts = ["replicates", "budgets", "images", "synthetic"]
    parser.add_argument("--what", nargs="+", choices=parts, default=parts)
    parser.add_argument("--replicates", nargs="+", type=int, default=REPLICATES)
    parser.add_argument("--steps", type=int, default=60, help="of each replicate")
    parser.add_argument("--pairs", type=int, default=5, help="of runs in one process and in two, each number")
    parser.add_argument("--turns", type=int, default=7, help="of 10 steps, of each budget and image size")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="of the synthetic set")
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    recipe = load_recipe(params.gan.recipe)
    print(machine(), flush=True)

    def show(name: str, table: pd.DataFrame) -> None:
        print(f"\n{name}\n{table.to_string(index=False)}", flush=True)

    if "replicates" in arguments.what:
        show("replicates", growth_of_replicates(arguments.replicates, params, arguments.steps, arguments.pairs))
    if "budgets" in arguments.what:
        sets = {budget: folds(params, budget, 1)[0].subset for budget in BUDGETS}
        show("images a class", growth_of_steps(sets, params, recipe, "images a class", arguments.turns))
    if "images" in arguments.what:
        (fold,) = folds(params, BUDGET, 1)
        sets = {side: resized(fold.subset, side) for side in SIDES}
        show("side of an image", growth_of_steps(sets, params, recipe, "side", arguments.turns))
    if "synthetic" in arguments.what:
        show("synthetic set", growth_of_synthetic(arguments.sizes, params, recipe))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
