"""How steps, learning rates and the recipe were chosen: every arm on the development part, which no study draws.

    python -m benchmarks.development gan --recipes relativistic relativistic_plain_reals
    python -m benchmarks.development gan --members 3
    python -m benchmarks.development gan --steps 16000 --shares 0.1 0.25 0.5
    python -m benchmarks.development gan --set-recipe default generator_rate=0.001 distort_reals.rotate=24
    python -m benchmarks.development gan --pool --budget 5021 --replicates 1 --per-class 5000 --arms gan
    python -m benchmarks.development classifier --set steps=1600 steps=3200 learning_rate=0.004
    python -m benchmarks.development classifier --arms real+classical --set-classical blur=0 blur=0.036

Subsets of `--budget` a class are drawn from the development part (400 a class); accuracy is measured on the rest of it.
Prints one row a setting and arm, and appends the replicates to docs/development.csv. GANs and classifiers that an
earlier call trained are taken from the cache. The official test set is never opened. Whether the settings chosen suit
a study's own conditions is for `python -m pipeline.tune`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.classifier.arms import ARMS, Arm
from pipeline.classifier.handmade import affine_copies, interpolated
from pipeline.classifier.replicate import train_replicate as train_classifier
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.compute import run_replicates
from pipeline.gan.networks.registry import new_generator
from pipeline.gan.recipe import load_recipe
from pipeline.gan.replicate import train_replicate as train_gan
from pipeline.gan.sampling import class_balanced
from pipeline.images import LabelledImages, join
from pipeline.seeds import derive
from pipeline.sources import read
from pipeline.stages.check import Params, to_params
from pipeline.stages.stage import PARAMS, read_params
from pipeline.subsets import DEVELOPMENT_SEED, development_part, disjoint_subsets
from pipeline.weights import arrays_to_network

OUTPUT = Path("docs/development.csv")


@dataclasses.dataclass(frozen=True)
class Fold:
    """One replicate on the development part: its real subset, and the rest to measure on."""

    subset: LabelledImages
    rest: LabelledImages


def folds(params: Params, budget: int, replicates: int, pool: bool = False) -> list[Fold]:
    """pool: subsets of the images that a study may draw, each measured on the whole development part; for budgets that
    this part is too small for.
    """
    train = read(params.data).train
    development = development_part(train.labels, params.split.development_per_class)
    part = train.subset(development)
    if pool:
        drawn = disjoint_subsets(train.labels, development, budget, replicates, DEVELOPMENT_SEED)
        return [Fold(train.subset(indices), part) for indices in drawn]
    none = np.empty(0, np.int64)
    subsets = disjoint_subsets(part.labels, none, budget, replicates, DEVELOPMENT_SEED)
    return [Fold(part.subset(s), part.subset(np.setdiff1d(np.arange(len(part)), s))) for s in subsets]


def generated(
    params: Params, recipe: str, changes: str, steps: int, parts: list[Fold], seed: int, members: int = 1
) -> list[LabelledImages]:
    """A synthetic set a fold, as stage generate makes it; `changes` of the recipe as in `with_changes`. members: GANs
    of other seeds that learn from the same subset, each giving its part of the set.
    """
    design, classes = with_changes(load_recipe(recipe), changes), parts[0].subset.classes
    keys = [(number, *([member] if member else [])) for number in range(len(parts)) for member in range(members)]
    jobs = [
        {"real": parts[key[0]].subset, "recipe": design, "steps": steps, "seed": derive(seed, "gan", *key)}
        for key in keys
    ]
    sets: list[list[LabelledImages]] = [[] for _ in parts]
    per_class = -(-params.generate.per_class // members)
    results = run_replicates(train_gan, jobs, params.compute, recipe, [steps] * len(jobs))
    for key, result in zip(keys, results, strict=True):
        generator = new_generator(parts[0].subset.shape, len(classes), design.networks)
        arrays_to_network(generator, result["weights"])
        sets[key[0]].append(class_balanced(generator, classes, per_class, derive(seed, "generate", *key)))
    return [join(parts_of_set) for parts_of_set in sets]


def accuracies(
    params: Params, arms: list[Arm], parts: list[Fold], synthetic: list[LabelledImages], setting: str, seed: int
) -> pd.DataFrame:
    """Accuracy in percent of each arm on each fold: columns setting, arm, replicate, accuracy."""
    config = params.arms

    def material(arm: Arm, number: int) -> Material:
        real, made_from = parts[number].subset, derive(seed, arm.name, number)
        sets = {
            "gan": lambda: synthetic[number],
            "copies": lambda: affine_copies(real, config.copies_per_class, config.classical, made_from),
            "interpolated": lambda: interpolated(real, config.interpolated_per_class, made_from),
        }
        return Material(
            real=real if arm.real else None,
            synthetic=sets[arm.synthetic]() if arm.synthetic else None,
            distortion=config.classical if arm.classical else None,
            synthetic_share=config.synthetic_share.of(arm.synthetic),
        )

    keys = [(arm, number) for arm in arms for number in range(len(parts))]
    jobs = [
        {
            "material": material(arm, number),
            "test_pixels": parts[number].rest.pixels,
            "config": params.classifier,
            "seed": derive(seed, "classifier", number),
        }
        for arm, number in keys
    ]
    results = run_replicates(train_classifier, jobs, params.compute, setting, [params.classifier.steps] * len(jobs))
    rows = [
        {
            "setting": setting,
            "arm": arm.name,
            "replicate": number,
            "accuracy": float((result["predictions"] == parts[number].rest.labels).mean() * 100),
        }
        for (arm, number), result in zip(keys, results, strict=True)
    ]
    return pd.DataFrame(rows)


def with_changes(config: Any, changes: str) -> Any:
    """`steps=3200,learning_rate=0.004` over a dataclass of numbers; `default` changes nothing. A dot leads into a part
    that is a dataclass itself: `distort_reals.rotate=24`.
    """
    for change in () if changes == "default" else changes.split(","):
        key, value = change.split("=")
        name, _, inner = key.partition(".")
        old = getattr(config, name)
        new = with_changes(old, f"{inner}={value}") if inner else type(old)(value)
        config = dataclasses.replace(config, **{name: new})
    return config


def describe(config: ClassifierConfig, changes: str) -> str:
    """Steps and learning rate, said in every row, and what else `changes` changes."""
    said = {"steps": str(config.steps), "learning_rate": str(config.learning_rate)}
    said |= {} if changes == "default" else dict(change.split("=") for change in changes.split(","))
    return ",".join(f"{key}={value}" for key, value in said.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.development", description=__doc__)
    parser.add_argument("what", choices=["gan", "classifier"])
    parser.add_argument("--recipes", nargs="+", default=["relativistic"], help="files of conf/gan")
    parser.add_argument("--set-recipe", nargs="+", default=["default"], help="changes of the recipe, one setting each")
    parser.add_argument("--members", type=int, default=1, help="GANs of each subset whose digits are mixed")
    parser.add_argument("--steps", type=int, help="GAN steps; gan.steps of params.yaml if left out")
    parser.add_argument("--set", nargs="+", default=["default"], help="changes of section classifier, one setting each")
    parser.add_argument("--set-classical", nargs="+", default=["default"], help="changes of arms.classical, one each")
    parser.add_argument(
        "--shares", nargs="+", type=float, help="generated part of a batch; that of params.yaml if left out"
    )
    parser.add_argument("--arms", nargs="+", default=[arm.name for arm in ARMS])
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--pool", action="store_true", help="learn from images that a study may draw, any budget")
    parser.add_argument("--per-class", type=int, help="generated digits; generate.per_class of params.yaml if left out")
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    params = to_params(read_params(PARAMS))
    if arguments.per_class:
        params = dataclasses.replace(
            params, generate=dataclasses.replace(params.generate, per_class=arguments.per_class)
        )
    parts = folds(params, arguments.budget, arguments.replicates, arguments.pool)
    arms = [arm for arm in ARMS if arm.name in arguments.arms]
    if arguments.what == "gan":
        arms = [arm for arm in arms if arm.synthetic == "gan"]
    steps, tables = arguments.steps or params.gan.steps, []
    if steps is None:
        parser.error("gan.steps of params.yaml is null: give --steps")
    for recipe, gan_changes in itertools.product(arguments.recipes, arguments.set_recipe):
        needed = any(arm.synthetic == "gan" for arm in arms)
        synthetic = (
            generated(params, recipe, gan_changes, steps, parts, arguments.seed, arguments.members) if needed else []
        )
        shares = arguments.shares or [params.arms.synthetic_share.gan]
        for changes, share, classical in itertools.product(arguments.set, shares, arguments.set_classical):
            config = with_changes(params.arms, f"synthetic_share.gan={share}")
            changed = dataclasses.replace(
                params,
                classifier=with_changes(params.classifier, changes),
                arms=dataclasses.replace(config, classical=with_changes(config.classical, classical)),
            )
            gans = f"{recipe} {gan_changes} {steps} steps" + (
                f" x {arguments.members}" if arguments.members > 1 else ""
            )
            gans += f", {params.generate.per_class} a class" if arguments.per_class else ""
            gans += ", learnt from the pool" if arguments.pool else ""
            gans += f"; seed {arguments.seed}" if arguments.seed != parser.get_default("seed") else ""
            said = f"share {share:g}; classifier {describe(changed.classifier, changes)}"
            # The default has not always blurred: a row says what it had.
            moved = [part for part in classical.split(",") if part != "default" and not part.startswith("blur=")]
            said += f"; classical {','.join([*moved, f'blur={changed.arms.classical.blur:g}'])}"
            setting = f"{gans}; {said}"
            table = accuracies(changed, arms, parts, synthetic, setting, arguments.seed)
            table = table.assign(budget=arguments.budget)
            table.to_csv(OUTPUT, mode="a", header=not OUTPUT.exists(), index=False, float_format="%.4f")
            tables.append(table)
    table = pd.concat(tables)
    summary = table.groupby(["setting", "arm"], sort=False)["accuracy"].agg(["mean", "std", "count"])
    print(summary.round(2).to_string())


if __name__ == "__main__":
    main()
