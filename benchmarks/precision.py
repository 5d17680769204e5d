"""float32, tf32 and bf16 on a GPU, float32 and bf16 on a CPU: the seconds of a GAN's training, and its CAS.

    python -m benchmarks.precision
    python -m benchmarks.precision --rounds 10 --recipe relativistic_wide --steps 20000
    python -m benchmarks.precision --device cpu --rounds 2 --steps 200 --classifier-steps 200

On a GPU not measured yet. A round trains the GAN once in each precision, from the same weights with
the same draws, on a GPU with steps as CUDA graphs; each second round in the other order; a first, short training of
each does not count. CAS: the share of the rest of the development part that the study's classifier, trained in the same
precision on generated digits alone, reads rightly. Training amplifies rounding, so that the CAS of a round differ by
chance: read their mean difference beside its standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.development import Fold, folds
from benchmarks.peers import BUDGET, machine
from benchmarks.score import cas
from pipeline.bfloat16 import is_native
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.gan.recipe import Recipe, load_recipe
from pipeline.gan.training import new_gan, train
from pipeline.seeds import derive
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

Where = Literal["cpu", "cuda"]
Precision = Literal["float32", "tf32", "bf16"]
PRECISIONS: dict[Where, tuple[Precision, ...]] = {"cuda": ("float32", "tf32", "bf16"), "cpu": ("float32", "bf16")}
WARM_UP_STEPS = 50


class Trained(NamedTuple):
    """Of one training: seconds on the clock, CAS in percent."""

    seconds: float
    cas: float


def train_once(
    fold: Fold,
    params: Params,
    recipe: Recipe,
    steps: int,
    seed: int,
    where: Where,
    precision: Precision,
) -> Trained:
    device = resolve_device(ComputeConfig(device=where, precision=precision))
    gan = new_gan(fold.subset.shape, len(fold.subset.classes), recipe, derive(seed, "weights"), device)
    began = time.perf_counter()
    every, bf16 = max(1, steps // 40), precision == "bf16"
    for _ in train(gan, fold.subset, recipe, steps, seed, every, capture=True, bf16=bf16):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    score = cas(gan.average, fold.rest, params.classifier, params.generate.per_class, seed, bf16)
    return Trained(seconds, 100 * score)


def rounds_of(
    fold: Fold, params: Params, recipe: Recipe, steps: int, seeds: Sequence[int], where: Where
) -> list[dict[Precision, Trained]]:
    """The trainings of each seed, one a precision."""
    precisions = PRECISIONS[where]
    for precision in precisions:
        train_once(fold, params, recipe, min(steps, WARM_UP_STEPS), 0, where, precision)
    taken = []
    for number, seed in enumerate(seeds):
        order = precisions if number % 2 == 0 else precisions[::-1]
        taken.append({p: train_once(fold, params, recipe, steps, seed, where, p) for p in order})
        said = ", ".join(f"{p} {taken[-1][p].seconds:.1f} s, CAS {taken[-1][p].cas:.2f}" for p in precisions)
        print(f"round {number}: {said}", flush=True)
    return taken


def rounds_to_table(rounds: Sequence[dict[Precision, Trained]]) -> pd.DataFrame:
    """A row a precision; float32's seconds over its own, and CAS less float32's, round by round."""
    rows = []
    for precision in sorted(rounds[0], key=PRECISIONS["cuda"].index):
        seconds, scores = (np.array([each[precision][field] for each in rounds]) for field in (0, 1))
        plain_seconds, plain = (np.array([each["float32"][field] for each in rounds]) for field in (0, 1))
        gain, error = scores - plain, math.nan
        if len(rounds) > 1:
            error = float(gain.std(ddof=1)) / math.sqrt(len(rounds))
        rows.append(
            {
                "precision": precision,
                "trainings": len(rounds),
                "seconds": round(float(np.median(seconds)), 2),
                "faster": round(float(np.median(plain_seconds / seconds)), 2),
                "CAS, %": round(float(scores.mean()), 2),
                "over float32": "" if precision == "float32" else f"{gain.mean():+.2f} ± {error:.2f}",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--recipe", help="gan.recipe of params.yaml if left out")
    parser.add_argument("--steps", type=int, help="gan.steps of params.yaml if left out")
    parser.add_argument("--classifier-steps", type=int, help="classifier.steps of params.yaml if left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    arguments = parser.parse_args()
    params, where = to_params(read_params(PARAMS)), arguments.device
    steps, classifier_steps = arguments.steps or params.gan.steps, arguments.classifier_steps or params.classifier.steps
    if arguments.rounds < 1 or steps is None or min(steps, classifier_steps) < 1:
        parser.error("--rounds and --steps must be positive, and given where gan.steps of params.yaml is null")
    if where == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "benchmarks.precision: torch sees no GPU; --device cpu holds float32 against bf16\n")
    if where == "cpu":
        torch.set_num_threads(1)
    params = dataclasses.replace(params, classifier=dataclasses.replace(params.classifier, steps=classifier_steps))
    recipe = load_recipe(arguments.recipe or params.gan.recipe)
    native = is_native(torch.device(where))
    name = torch.cuda.get_device_name() if where == "cuda" else "CPU, one thread"
    said = f"bfloat16 {'native' if native else 'emulated'}; {steps} steps, the classifier's {classifier_steps}"
    print(f"{machine()}; {name}; {said}", flush=True)
    (fold,) = folds(params, BUDGET, 1)
    seeds = [derive(arguments.seed, "precision", number) for number in range(arguments.rounds)]
    print(rounds_to_table(rounds_of(fold, params, recipe, steps, seeds, where)).to_string(index=False))


if __name__ == "__main__":
    main()
