"""Every GAN recipe that fits the data, on the same development subsets and for as many images, in one table.

    python -m benchmarks.recipes --images 140000
    python -m benchmarks.recipes --images 140000 --recipes relativistic dcgan --replicates 2

Each recipe is a DVC experiment of its own (`dvc exp show` lists them) with `data.part=development`: none is tested on
the official test images, so that a winner may become the default. One that is there already is not run again, so that a
sweep that was stopped goes on. Prints the table, writes it to --output, and draws it beside.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from pipeline.errors import InputError
from pipeline.gan.networks.registry import count_parameters
from pipeline.gan.recipe import RECIPES, Recipe, load_recipe
from pipeline.report.theme import ARM_COLOURS, STYLE
from pipeline.sources import read
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

OUTPUT = Path("docs/recipes.csv")
HEAVY = 100_000_000  # parameters; such a pair needs gigabytes and a GPU


@dataclass(frozen=True)
class Sweep:
    """images: that each discriminator sees of the real subset, a GAN and replicate. seed: of all studies alike."""

    images: int
    budget: int
    replicates: int
    seed: int

    def name(self, recipe: str) -> str:
        """Of the experiment; everything that makes it another one."""
        return f"recipe-{recipe}-{self.images}-{self.budget}x{self.replicates}-{self.seed}"

    def overrides(self, name: str, recipe: Recipe) -> list[str]:
        return [
            "data.part=development",
            f"study.seed={self.seed}",
            f"study.budgets=[{self.budget}]",
            f"study.replicates={self.replicates}",
            f"compare.primary.budget={self.budget}",
            f"gan.recipe={name}",
            "gan.epochs=null",
            f"gan.steps={-(-self.images // recipe.batch_size)}",
        ]


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


def experiment_to_row(name: str, sweep: Sweep, recipe: Recipe, parameters: int) -> dict[str, Any]:
    """What the table says of one recipe; accuracies in percent, deltas in points."""
    commit = experiment_commit(sweep.name(name))
    metrics = json.loads(_git("show", f"{commit}:results/metrics.json"))
    budget = str(sweep.budget)
    accuracy, delta = metrics["accuracy"][budget], metrics["delta"][budget]
    record = json.loads(_artifact(commit, f"artifacts/runs/train_gan@{budget}.json"))
    health = pd.DataFrame(json.loads(_artifact(commit, f"artifacts/gan/{budget}/health.json"))["replicates"])
    quality = pd.read_csv(io.StringIO(_artifact(commit, f"artifacts/quality/{budget}/quality.csv")))
    steps = -(-sweep.images // recipe.batch_size)
    on_real, on_classical = delta["real+gan_vs_real"], delta["real+gan+classical_vs_real+classical"]
    return {
        "recipe": name,
        "parameters": parameters,
        "steps": steps,
        "seconds": round(record["milliseconds_per_step"] * steps / 1000, 1),
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
        figure.savefig(path, dpi=110)


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
    parser.add_argument("--heavy", action="store_true", help="also recipes of more than 100 million parameters")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    sweep = Sweep(arguments.images, arguments.budget, arguments.replicates, arguments.seed)
    names = arguments.recipes or sorted(path.stem for path in RECIPES.glob("*.yaml"))
    try:
        images = read(to_params(read_params(PARAMS)).data).train
        shape, classes = images.shape, len(images.classes)
        recipes = fitting(shape, classes, names, arguments.heavy)
    except InputError as error:
        sys.exit(str(error))
    for name, recipe in recipes.items():
        run_experiment(sweep.name(name), sweep.overrides(name, recipe))
    rows = [
        experiment_to_row(name, sweep, recipe, sum(count_parameters(shape, classes, recipe.networks)))
        for name, recipe in recipes.items()
    ]
    table = pd.DataFrame(rows).sort_values("cas", ascending=False)
    table.to_csv(arguments.output, index=False, float_format="%.4g")
    draw(table, arguments.output.with_suffix(".png"))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


if __name__ == "__main__":
    main()
