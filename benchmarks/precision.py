"""float32 against tf32 on a GPU: the seconds of a GAN's training, and its CAS, both ways.

    python -m benchmarks.precision
    python -m benchmarks.precision --rounds 10 --recipe relativistic_wide --steps 20000

Unmeasured so far: no GPU was at hand. A round trains the GAN twice from the same weights with the same draws, steps as
CUDA graphs, once in each precision, each second round in the other order; a first, short training of each does not
count. CAS: the share of the rest of the development part that the study's classifier, trained in the same precision on
generated digits alone, reads rightly. Training amplifies rounding, so that the two CAS of a round differ by chance:
read their mean difference beside its standard error. bf16 is no value of compute.precision, and is not measured.
"""

from __future__ import annotations

import argparse
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
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.gan.recipe import Recipe, load_recipe
from pipeline.gan.training import new_gan, train_many
from pipeline.seeds import derive
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params

Precision = Literal["float32", "tf32"]
PRECISIONS: tuple[Precision, ...] = ("float32", "tf32")
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
    where: Literal["cpu", "cuda"],
    precision: Precision,
) -> Trained:
    device = resolve_device(ComputeConfig(device=where, precision=precision))
    gan = new_gan(fold.subset.shape, len(fold.subset.classes), recipe, derive(seed, "weights"), device)
    began = time.perf_counter()
    for _ in train_many([gan], [fold.subset], recipe, steps, [seed], max(1, steps // 40), capture=True):
        pass
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - began
    score = cas(gan.average, fold.rest, params.classifier, params.generate.per_class, seed)
    return Trained(seconds, 100 * score)


def rounds_of(
    fold: Fold, params: Params, recipe: Recipe, steps: int, seeds: Sequence[int], where: Literal["cpu", "cuda"]
) -> list[dict[Precision, Trained]]:
    """Both trainings of each seed."""
    for precision in PRECISIONS:
        train_once(fold, params, recipe, min(steps, WARM_UP_STEPS), 0, where, precision)
    taken = []
    for number, seed in enumerate(seeds):
        order = PRECISIONS if number % 2 == 0 else PRECISIONS[::-1]
        taken.append({p: train_once(fold, params, recipe, steps, seed, where, p) for p in order})
        said = ", ".join(f"{p} {taken[-1][p].seconds:.1f} s, CAS {taken[-1][p].cas:.2f}" for p in PRECISIONS)
        print(f"round {number}: {said}", flush=True)
    return taken


def rounds_to_table(rounds: Sequence[dict[Precision, Trained]]) -> pd.DataFrame:
    """A row a precision; float32's seconds over its own, and CAS less float32's, round by round."""
    rows = []
    for precision in PRECISIONS:
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
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    steps = arguments.steps or params.gan.steps
    if arguments.rounds < 1 or steps is None or steps < 1:
        parser.error("--rounds and --steps must be positive, and given where gan.steps of params.yaml is null")
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks.precision: a CPU computes in float32 alone; run this on a machine with a GPU\n")
    recipe = load_recipe(arguments.recipe or params.gan.recipe)
    if recipe.networks.draws:
        parser.error(f"{recipe.networks.name}: its networks draw random numbers, and cannot be captured; name another")
    print(f"{machine()}; {torch.cuda.get_device_name()}; {steps} steps", flush=True)
    (fold,) = folds(params, BUDGET, 1)
    seeds = [derive(arguments.seed, "precision", number) for number in range(arguments.rounds)]
    print(rounds_to_table(rounds_of(fold, params, recipe, steps, seeds, "cuda")).to_string(index=False))


if __name__ == "__main__":
    main()
