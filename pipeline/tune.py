"""Do the classifier's settings suit this study? Measured where the test set stays shut; the page prints it.

    python -m pipeline.tune
    python -m pipeline.tune --set steps=500 steps=6000 label_smoothing=0.3,learning_rate=0.015 blur=0.036 --budget 20 50
    python -m pipeline.tune --adopt

A baseline that is trained too briefly, too long, at the wrong rate or under too tame an augmentation flatters whatever
is held against it. The study of params.yaml as it stands, with its label noise, shift and rare classes, is therefore
tried under other settings of section `classifier` and other distortions (arms.classical), the same for all arms: on
fresh subsets of what a study may draw, tested on the development part (data.part: validation), in a folder of its own.
Adds each setting's accuracies to docs/tuning.csv. Nothing else here changes. Stopped and called again, it takes
finished trainings from the cache.

--adopt trains nothing: at each budget it gives each arm the best of the settings that were measured there for all, in
arms.own_settings of params.yaml, for studies that their shared settings do not suit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from pipeline.adoption import adopt
from pipeline.compute import describe
from pipeline.config import from_mapping
from pipeline.distortion import Distortion
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load_arrays
from pipeline.report import words
from pipeline.report.tables import tuning_to_text
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, processor, read_params, write_csv
from pipeline.trials import (
    CLASSIFIER,
    DISTORTION,
    MACHINE,
    TRIALS,
    params_to_settings,
    read_trials,
    variant_definitions,
)
from pipeline.tuning import tuning_check

CACHE, RECIPES = Path(".cache"), Path("conf")  # lent to the folder of the trial
SEED = 20260202  # of the trial's subsets, weights and noise, whatever the study's is
REPLICATES = 4
FIRST = ("split", "train_teacher", "train_gan", "generate", "judge")  # what all settings of a trial share
CLASSIFIERS = ("train_baseline", "train_augmented")
DISTANCES = ("rotate", "scale", "shear", "translate", "elastic")  # of a distortion; blur is tried by itself
MOST = {"rotate": 180.0, "scale": 0.9}  # that can be tried
BLUR = 1 / 28  # largest standard deviation, share of the side


def default_changes(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A sixth, a third and twice of the steps; half and twice of the learning rate; distortions two thirds and four
    thirds as far, and with blur, or without where there is some.
    """
    steps, rate = params["classifier"]["steps"], params["classifier"]["learning_rate"]
    distortion = asdict(from_mapping(Distortion, params["arms"]["classical"], "arms.classical"))
    distances = {key: distortion[key] for key in DISTANCES if distortion[key]}
    factors = (2 / 3, 4 / 3) if distances else ()
    return [
        *({"steps": max(1, round(steps * factor))} for factor in (1 / 6, 1 / 3, 2)),
        *({"learning_rate": rate * factor} for factor in (0.5, 2)),
        *(
            {key: min(round(value * factor, 4), MOST.get(key, math.inf)) for key, value in distances.items()}
            for factor in factors
        ),
        {"blur": 0.0 if distortion["blur"] else round(BLUR, 3)},
    ]


def to_changes(text: str) -> dict[str, Any]:
    """`steps=500,label_smoothing=0.3` as a dict. Raises InputError where it is no such list."""
    changes = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not (key and separator):
            raise InputError(f"--set {text}: expected KEY=VALUE, or several of these with commas between")
        changes[key] = YAML(typ="safe").load(value)
    return changes


def to_trial(
    params: Mapping[str, Any], budget: int, replicates: int, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The params of one trial: all arms with the shared settings and `changes` of these, keys of section `classifier`
    or of arms.classical; without, the study's own, for what comes before the arms. Raises InputError naming a key or
    value that is wrong.
    """
    distortions = {field.name for field in fields(Distortion)}
    moved = {key: value for key, value in (changes or {}).items() if key in distortions}
    other = {key: value for key, value in (changes or {}).items() if key not in distortions}
    arms = params["arms"] | {"classical": params["arms"]["classical"] | moved}
    data = params["data"] | {"part": "validation", "root": str(Path(params["data"]["root"]).expanduser().resolve())}
    primary = params["compare"]["primary"] | {"budget": budget}
    trial = dict(params) | {
        "data": data,
        "study": {"seed": SEED, "budgets": [budget], "replicates": replicates},
        "split": params["split"] | {"fewer_replicates": True},
        "classifier": params["classifier"] | other,
        "arms": arms if changes is None else arms | {"own_settings": []},
        "compare": params["compare"] | {"primary": primary},
    }
    to_params(trial)
    return trial


def trials(params: Mapping[str, Any], budget: int, replicates: int, grid: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Try each setting of `grid` and add it to docs/tuning.csv; yields what is tried next.

    Raises InputError where a stage ended with another status than 0; it has said why.
    """
    CACHE.mkdir(exist_ok=True)
    machine = params_to_machine(params)
    with tempfile.TemporaryDirectory(prefix="tune-") as temporary:
        folder = Path(temporary)
        for lent in (CACHE, RECIPES):
            (folder / lent).symlink_to(lent.resolve())
        for number, changes in enumerate(grid):
            yield ", ".join(f"{key} {value}" for key, value in changes.items()) or "the shared settings"
            if number == 0:
                write_params(folder, to_trial(params, budget, replicates))
                run_stages(folder, ("prepare",))
                run_stages(folder, FIRST, budget)
            trial = to_trial(params, budget, replicates, changes)
            write_params(folder, trial)
            run_stages(folder, CLASSIFIERS, budget)
            setting = {CLASSIFIER + key: value for key, value in trial["classifier"].items()}
            setting |= {DISTORTION + key: value for key, value in trial["arms"]["classical"].items()}
            regime = {"budget": budget, "seed": SEED, **params_to_settings(params, budget)}
            accuracies = read_accuracies(folder / "artifacts", budget)
            definitions = variant_definitions(params, budget)
            accuracies.insert(1, "variant", [definitions.get(arm, "") for arm in accuracies["arm"]])
            put_in(TRIALS, pd.DataFrame(regime | setting | {MACHINE: machine}, index=accuracies.index).join(accuracies))


def write_params(folder: Path, params: Mapping[str, Any]) -> None:
    (folder / PARAMS).write_text(json.dumps(params), encoding="utf-8")  # JSON is YAML


def run_stages(folder: Path, names: Sequence[str], budget: int | None = None) -> None:
    """Each stage in turn by its own command, in `folder`."""
    code = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))}
    of_budget = [] if budget is None else ["--budget", str(budget)]
    for name in names:
        command = [sys.executable, "-m", f"pipeline.stages.{name}", *of_budget, "--params", str(PARAMS)]
        status = subprocess.run(command, cwd=folder, env=code, check=False).returncode
        if status == 130:
            raise KeyboardInterrupt
        if status:
            raise InputError(f"stage {name} ended with status {status}")


def read_accuracies(artifacts: Path, budget: int) -> pd.DataFrame:
    """In percent, a row an arm and replicate: columns arm, replicate, accuracy."""
    labels = load_arrays(artifacts / "data/test_labels.npz")["labels"]
    rows = []
    for kind in ("baseline", "augmented"):
        folder = artifacts / kind / str(budget)
        predictions = load_arrays(folder / "predictions.npz")
        for arm in read_json(folder / "arms.json"):
            correct = (predictions[arm] == labels).mean(axis=1) * 100
            rows += [
                {"arm": arm, "replicate": number, "accuracy": float(value)} for number, value in enumerate(correct)
            ]
    return pd.DataFrame(rows)


def params_to_machine(params: Mapping[str, Any]) -> str:
    """What trains a study: the GPU or the processor of this machine, or `dask CPU` where a cluster does."""
    compute = to_params(params).compute
    device = str(describe(compute, [])["device"])
    if compute.backend != "local":
        return f"{compute.backend} {device}"
    return processor() if device == "CPU" else device


def put_in(path: Path, table: pd.DataFrame) -> None:
    """Write `table` into the CSV at `path`; rows of the same everything but accuracy give way to it, others stay."""
    with tempfile.TemporaryDirectory(prefix="tune-") as folder:
        new = Path(folder) / path.name
        write_csv(new, table)
        # Compared as they are written: a number, a text and what is missing look alike only there.
        tables = [pd.read_csv(part, dtype=str, keep_default_na=False) for part in (path, new) if part.exists()]
    whole = pd.concat(tables, ignore_index=True).fillna("")
    keys = [name for name in whole.columns if name != "accuracy"]
    latest = whole.groupby(keys, sort=False)["accuracy"].last().reset_index()
    write_csv(path, latest[list(whole.columns)])


def tune(params: Mapping[str, Any], budgets: Sequence[int], replicates: int, grid: Sequence[Mapping[str, Any]]) -> None:
    """Try every setting of `grid` at every budget, and print the check as the page has it."""
    for budget, changes in itertools.product(budgets, grid):  # all that is wrong is said before anything runs
        to_trial(params, budget, replicates, changes)
    for budget in budgets:
        for number, said in enumerate(trials(params, budget, replicates, grid), 1):
            print(f"tune@{budget}: setting {number} of {len(grid)}: {said}", flush=True)
        check = tuning_check(read_trials(), params, budget, machine=params_to_machine(params))
        print(
            "\n".join(
                [f"\nAt {budget} images a class:", tuning_to_text(check).to_string(index=False), *words.tuned(check)]
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set",
        nargs="+",
        metavar="KEY=VALUE",
        help="changes of section classifier or of arms.classical, one setting each, several keys of one with commas "
        "between; if left out a sixth, a third and twice of the steps, half and twice of the learning rate, "
        "distortions two thirds and four thirds as far, and with or without blur",
    )
    parser.add_argument(
        "--budget",
        nargs="+",
        type=int,
        help="that of the primary contrast if left out; for --adopt all that were measured",
    )
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument(
        "--adopt", action="store_true", help="write each arm's best measured setting to params.yaml; trains nothing"
    )
    arguments = parser.parse_args()
    try:
        params = read_params(PARAMS)
        to_params(params)
        if arguments.adopt:
            if arguments.set:
                raise InputError("--adopt: takes what was measured; leave --set out")
            said = adopt(params, arguments.budget, params_to_machine(params))
            print("\n".join(f"tune: {line}" for line in said))
            return
        budgets = arguments.budget or [params["compare"]["primary"]["budget"]]
        grid = [
            {},
            *([to_changes(text) for text in arguments.set] if arguments.set else default_changes(params)),
        ]
        tune(params, budgets, arguments.replicates, grid)
    except InputError as error:
        parser.exit(2, f"tune: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "tune: interrupted; the same command takes up where it stopped\n")


if __name__ == "__main__":
    main()
