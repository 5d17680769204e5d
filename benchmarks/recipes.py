"""Every GAN recipe that fits the data, on the same development subsets and for as many images, in one table.

    python -m benchmarks.recipes --images 140000
    python -m benchmarks.recipes --images 140000 --recipes relativistic dcgan --replicates 2
    python -m benchmarks.recipes --images 6400 --set data.source=folder data.root=faces data.image_size=64

Each recipe is a DVC experiment of its own (`dvc exp show` lists them) with `data.part=development`: none is tested on
the official test images, so that a winner may become the default. One that is there already is not run again, so that a
sweep that was stopped goes on. Prints the table, writes it to --output, and draws it beside.

Seconds are those of one replicate on one core of this machine: of some steps of every recipe, taken by turns after the
experiments, times their number. What else the machine did during an experiment does not show in them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from dvc.exceptions import InvalidArgumentError
from dvc.utils.hydra import apply_overrides
from matplotlib.figure import Figure

from benchmarks.loops import Pause
from benchmarks.peers import machine
from benchmarks.turns import Training, take_turns
from pipeline.batches import class_rounds
from pipeline.config import from_mapping
from pipeline.errors import InputError, one_line
from pipeline.gan.networks.registry import count_parameters
from pipeline.gan.recipe import RECIPES, Recipe, load_recipe
from pipeline.gan.training import new_gan, train
from pipeline.images import LabelledImages
from pipeline.report.theme import ARM_COLOURS, STYLE
from pipeline.sources import DataConfig, read
from pipeline.stages.stage import PARAMS, read_params

OUTPUT = Path("docs/recipes.csv")
TIMED_IMAGES = 1024  # a turn
TURNS = 3
HEAVY = 100_000_000  # parameters; such a pair needs gigabytes and a GPU


@dataclass(frozen=True)
class Sweep:
    """images: that each discriminator sees of the real subset, a GAN and replicate. seed: of all studies alike.
    changes: of other params, KEY=VALUE as `dvc exp run --set-param` takes them.
    """

    images: int
    budget: int
    replicates: int
    seed: int
    changes: tuple[str, ...] = ()

    def name(self, name: str, recipe: Recipe) -> str:
        """Of the experiment; every param that makes it another one."""
        params = changed_params(self.overrides(name, recipe))
        digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:8]
        return f"recipe-{name}-{self.images}-{self.budget}x{self.replicates}-{self.seed}-{digest}"

    def overrides(self, name: str, recipe: Recipe) -> list[str]:
        return [
            *self.changes,
            "data.part=development",
            f"study.seed={self.seed}",
            f"study.budgets=[{self.budget}]",
            f"study.replicates={self.replicates}",
            f"compare.primary.budget={self.budget}",
            f"gan.recipe={name}",
            "gan.epochs=null",
            f"gan.steps={-(-self.images // recipe.batch_size)}",
        ]


def changed_params(changes: Sequence[str]) -> dict[str, Any]:
    """params.yaml as DVC changes it for an experiment. Raises InputError if that cannot be done."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(PARAMS, folder)
        try:
            apply_overrides(copy, list(changes))
        except InvalidArgumentError as error:
            raise InputError(f"--set {' '.join(changes)}: {one_line(error.__cause__ or error)}") from None
        return read_params(Path(copy))


def fitting(shape: tuple[int, int, int], classes: int, names: list[str], heavy: bool) -> dict[str, Recipe]:
    """The recipes among `names` that make images of `shape`; why the others do not is printed."""
    found = {}
    for name in names:
        recipe = load_recipe(name)
        try:
            size = sum(count_parameters(shape, classes, recipe.networks))
        except InputError as error:
            print(f"{name}: left out ({error})")
            continue
        if size > HEAVY and not heavy:
            print(f"{name}: left out ({size:,} parameters want a GPU; --heavy takes it in)")
            continue
        found[name] = recipe
    return found


def run_experiment(name: str, overrides: list[str]) -> None:
    """Run it beside the checkout, unless it is there. Exits with one line if it fails, below DVC's own."""
    if experiment_commit(name):
        print(f"{name}: there already")
        return
    print(f"{name}: {' '.join(overrides)}", flush=True)
    changes = [word for override in overrides for word in ("--set-param", override)]
    done = subprocess.run(["dvc", "exp", "run", "--temp", "--name", name, *changes], stdout=sys.stderr)
    if done.returncode:
        sys.exit(f"{name}: failed; its last lines are above")


def experiment_commit(name: str) -> str | None:
    lines = _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    commits = [line.split(" ", 1)[0] for line in lines if line.endswith(f"/{name}")]
    return commits[-1] if commits else None


class Timed(NamedTuple):
    """A training of `steps` a turn."""

    real: LabelledImages
    recipe: Recipe
    steps: int


def train_by_turns(task: Timed, pause: Pause) -> None:
    gan = new_gan(task.real.shape, len(task.real.classes), task.recipe, 1)
    for _ in train(gan, task.real, task.recipe, task.steps * (1 + TURNS), 1, task.steps):
        pause(gan.average)


def seconds_per_image(recipes: dict[str, Recipe], real: LabelledImages) -> dict[str, float]:
    """Median of TURNS turns of each, after one that is not counted; on one core."""
    tasks = [Timed(real, recipe, -(-TIMED_IMAGES // recipe.batch_size)) for recipe in recipes.values()]
    trainings = [Training(train_by_turns, task) for task in tasks]
    try:
        taken = take_turns([[training] for training in trainings], 1 + TURNS)
    finally:
        for training in trainings:
            training.end()
    return {
        name: statistics.median(turn.seconds for turn in turns[1:]) / (task.steps * task.recipe.batch_size)
        for name, task, turns in zip(recipes, tasks, taken, strict=True)
    }


def experiment_to_row(name: str, sweep: Sweep, recipe: Recipe, parameters: int, each: float) -> dict[str, Any]:
    """What the table says of one recipe; accuracies in percent, deltas in points. each: seconds an image."""
    commit = experiment_commit(sweep.name(name, recipe))
    metrics = json.loads(_git("show", f"{commit}:results/metrics.json"))
    budget = str(sweep.budget)
    accuracy, delta = metrics["accuracy"][budget], metrics["delta"][budget]
    health = pd.DataFrame(json.loads(_artifact(commit, f"artifacts/gan/{budget}/health.json"))["replicates"])
    quality = pd.read_csv(io.StringIO(_artifact(commit, f"artifacts/quality/{budget}/quality.csv")))
    steps = -(-sweep.images // recipe.batch_size)
    on_real, on_classical = delta["real+gan_vs_real"], delta["real+gan+classical_vs_real+classical"]
    return {
        "recipe": name,
        "parameters": parameters,
        "steps": steps,
        "seconds": round(each * steps * recipe.batch_size),
        "cas": accuracy["gan"]["mean"],
        "cas_sd": accuracy["gan"]["sd"],
        "coverage": quality["coverage"].mean(),
        "spread": health["spread"].mean(),
        "spread_real": health["spread_real"].mean(),
        "healthy": f"{int(health['healthy'].sum())} of {len(health)}",
        "real": accuracy["real"]["mean"],
        "delta": on_real["delta"],
        "ci_low": on_real["ci_low"],
        "ci_high": on_real["ci_high"],
        "delta_on_classical": on_classical["delta"],
    }


def draw(table: pd.DataFrame, path: Path) -> None:
    """CAS, and what real+gan adds to real with its interval, a row a recipe, the best CAS at the top."""
    ordered = table.sort_values("cas")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 0.8 + 0.36 * len(ordered)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.errorbar(ordered["cas"], ordered["recipe"], xerr=ordered["cas_sd"], fmt="o", color=ARM_COLOURS["gan"])
        left.axvline(ordered["real"].mean(), color=ARM_COLOURS["real"], linestyle="--", linewidth=1)
        left.set_xlabel("accuracy on generated digits alone (CAS), %; dashed: real ones")
        bounds = [ordered["delta"] - ordered["ci_low"], ordered["ci_high"] - ordered["delta"]]
        right.errorbar(ordered["delta"], ordered["recipe"], xerr=bounds, fmt="o", color=ARM_COLOURS["real+gan"])
        right.axvline(0, color=ARM_COLOURS["real"], linewidth=1)
        right.set_xlabel("real+gan over real, points")
        figure.savefig(path, dpi=110, facecolor="white")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def _artifact(commit: str | None, path: str) -> str:
    import dvc.api

    text: str = dvc.api.read(path, rev=commit)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--images", type=int, required=True, help="real images that each discriminator sees")
    parser.add_argument("--recipes", nargs="+", help="files of conf/gan; all that fit if left out")
    parser.add_argument("--budget", type=int, default=50)
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="other params, of every experiment")
    parser.add_argument("--heavy", action="store_true", help="also recipes of more than 100 million parameters")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    names = arguments.recipes or sorted(path.stem for path in RECIPES.glob("*.yaml"))
    try:
        data = from_mapping(DataConfig, changed_params(arguments.set)["data"], "data")
        changes = list(arguments.set)
        if data.source != "mnist":
            # An experiment runs in a folder of its own, which holds what Git tracks.
            changes.append(f'data.root="{Path(data.root).expanduser().resolve()}"')
        sweep = Sweep(arguments.images, arguments.budget, arguments.replicates, arguments.seed, tuple(changes))
        images = read(data).train
        shape, classes = images.shape, len(images.classes)
        recipes = fitting(shape, classes, names, arguments.heavy)
        if not recipes:
            raise InputError(f"no recipe makes images of {shape[1]}x{shape[2]} with {shape[0]} channels; see above")
        if sweep.replicates < 2:
            raise InputError("--replicates: an interval needs at least 2")
    except InputError as error:
        sys.exit(str(error))
    for name, recipe in recipes.items():
        run_experiment(sweep.name(name, recipe), sweep.overrides(name, recipe))
    few = images.subset(class_rounds(images.labels, min(sweep.budget, np.bincount(images.labels).min()), sweep.seed))
    each = seconds_per_image(recipes, few)
    rows = [
        experiment_to_row(name, sweep, recipe, sum(count_parameters(shape, classes, recipe.networks)), each[name])
        for name, recipe in recipes.items()
    ]
    table = pd.DataFrame(rows).sort_values("cas", ascending=False)
    table.to_csv(arguments.output, index=False, float_format="%.4g")
    draw(table, arguments.output.with_suffix(".png"))
    print(machine())
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
