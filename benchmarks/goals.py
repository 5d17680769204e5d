"""A named study, stage by stage without DVC: seconds and memory of each, and the goals for one GPU.

    python -m benchmarks.goals quick --set study.replicates=10         # 50 a class, all arms: within 60 s
    python -m benchmarks.goals full                                    # within 10 minutes; its oracle to 99.5 % in 10 s
    python -m benchmarks.goals full --stages check prepare train_oracle
    python -m benchmarks.goals full_mnist                              # a GAN to a CAS of 98.5 within 60 s; oracle too

Measured in benchmarks/RESULTS.md. The study is merged into a copy of params.yaml, and runs in a folder of its own
(--folder keeps it), so that nothing is finished beforehand and nothing here is changed. Seconds are those inside a
stage, as its record has them; its start comes on top, and stands in the last line. Memory: what torch has held on the
GPU, of the stage's own process (on several GPUs workers hold more), and the largest process. Stage report is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ruamel.yaml import YAML

from benchmarks import measured_stage
from benchmarks.peers import machine
from pipeline.errors import InputError
from pipeline.images import load_arrays
from pipeline.stages.stage import PARAMS, read_params
from pipeline.studies import STUDIES, merge_study

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("report",)
PRELOADED = ("pipeline.classifier.arms", "pipeline.comparison", "pipeline.compute", "pipeline.quality.assessment")


def prepared(folder: Path, study: str, changes: Sequence[str]) -> dict[str, Any]:
    """`folder` as a study wants it: params with `study` and `changes` (`gan.steps=100`) merged, recipes and images.

    Returns the params. Raises InputError for an unknown study, key or value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; name another folder")
    params = folder / PARAMS
    params.write_bytes((ROOT / PARAMS).read_bytes())
    (folder / STUDIES).symlink_to(ROOT / STUDIES)
    (folder / "datasets").symlink_to(ROOT / "datasets")
    here = Path.cwd()
    os.chdir(folder)  # a recipe is checked where it lies
    try:
        merge_study(study)
        if changes:
            Path("changes").mkdir()
            Path("changes/changes.yaml").write_text(json.dumps(to_sections(changes)), encoding="utf-8")  # JSON is YAML
            merge_study("changes", studies=Path("changes"))
        return read_params(PARAMS)
    finally:
        os.chdir(here)


def to_sections(changes: Sequence[str]) -> dict[str, Any]:
    """`gan.steps=100` and the like as nested sections."""
    sections: dict[str, Any] = {}
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator:
            raise InputError(f"--set {change}: expected KEY=VALUE")
        *outer, last = key.split(".")
        place = sections
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = YAML(typ="safe").load(value)
    return sections


def commands(budgets: Sequence[int], chosen: Sequence[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """(Name, arguments) of each stage of dvc.yaml in its order, those of a budget one budget after the other."""
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    unknown = sorted(set(chosen or ()) - set(stages))
    if unknown:
        raise InputError(f"--stages: no stage {unknown[0]}; known stages: {', '.join(stages)}")
    kept = [name for name in stages if (name in chosen if chosen else name not in LEFT_OUT)]
    of_budgets = [name for name in kept if "matrix" in stages[name]]
    last = kept.index(of_budgets[-1]) if of_budgets else len(kept)
    for number, name in enumerate(kept):
        if name not in of_budgets and number < last:
            yield name, [name]
    for budget in budgets:
        for name in of_budgets:
            yield f"{name}@{budget}", [name, "--budget", str(budget)]
    for number, name in enumerate(kept):
        if name not in of_budgets and number > last:
            yield name, [name]


def run_study(folder: Path, budgets: Sequence[int], chosen: Sequence[str] | None) -> pd.DataFrame:
    """A row a stage: stage, seconds (of its record; NaN for check, which writes none), clock, and memory in MiB.

    Raises InputError if a stage ends with another status than 0; it has said why.
    """
    # Each stage is a process, forked from one that has imported torch and the rest once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([measured_stage.__name__, *PRELOADED])
    rows = []
    for name, arguments in commands(budgets, chosen):
        began = time.perf_counter()
        given = ["memory.json", *arguments, "--params", str(PARAMS)]
        process = context.Process(target=measured_stage.run_in, args=(folder, given))
        process.start()
        process.join()
        clock = time.perf_counter() - began
        if process.exitcode != 0:
            raise InputError(f"stage {name} ended with status {process.exitcode}")
        record = folder / "artifacts/runs" / f"{name}.json"
        seconds = json.loads(record.read_text())["seconds"] if record.exists() else math.nan
        memory = json.loads((folder / "memory.json").read_text())
        rows.append({"stage": name, "seconds": seconds, "clock": round(clock, 2), **memory})
    return pd.DataFrame(rows)


def judged(study: str, params: Mapping[str, Any], table: pd.DataFrame, scores: Mapping[str, float]) -> list[str]:
    """A line for each goal that this study was run for. scores: percent, of `oracle` and `cas` what there is."""
    seconds = table.set_index("stage")["seconds"]
    total, lines = float(seconds.sum()), []

    def line(goal: str, found: str, met: bool) -> None:
        lines.append(f"{goal}: {found}: {'met' if met else 'NOT met'}")

    whole = "compare" in seconds
    if study == "full_mnist" and "cas" in scores:
        spent = float(sum(seconds[name] for name in seconds.index if name.startswith("train_gan@")))
        found = f"CAS {scores['cas']:.2f} %, stage train_gan {spent:.1f} s"
        line("a GAN of all digits to CAS 98.5 % within 60 s", found, scores["cas"] >= 98.5 and spent <= 60)
    if study == "quick" and whole and params["study"]["replicates"] >= 10:
        line("50 a class, 10 replicates, all arms, within 60 s", f"{total:.1f} s", total <= 60)
    if study == "full" and whole:
        line("study `full` within 10 minutes", f"{total:.1f} s", total <= 600)
    if study in ("full", "full_mnist") and "oracle" in scores:
        found = f"{scores['oracle']:.2f} %, {seconds['train_oracle']:.1f} s"
        line("the oracle to 99.5 % within 10 s", found, scores["oracle"] >= 99.5 and seconds["train_oracle"] <= 10)
    return lines


def read_scores(folder: Path) -> dict[str, float]:
    """In percent: accuracy of the `oracle` on the test images, and the least mean `cas` of a budget."""
    scores = {}
    oracle, accuracies = folder / "artifacts/oracle/predictions.npz", folder / "results/accuracies.csv"
    if oracle.exists():
        labels = load_arrays(folder / "artifacts/data/test_labels.npz")["labels"]
        scores["oracle"] = 100 * float((load_arrays(oracle)["predictions"] == labels).mean())
    if accuracies.exists():
        table = pd.read_csv(accuracies)
        scores["cas"] = float(table[table["arm"] == "gan"].groupby("budget")["accuracy"].mean().min())
    return scores


def read_accuracies(folder: Path) -> pd.DataFrame | None:
    """In percent, mean over replicates: a row an arm, a column a budget; None where `compare` has not run."""
    path = folder / "results/accuracies.csv"
    if not path.exists():
        return None
    return pd.read_csv(path).pivot_table("accuracy", "arm", "budget", sort=False).round(2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument("study", help="a file of conf/, without its ending")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the params")
    parser.add_argument("--stages", nargs="+", help="these alone, as dvc.yaml names them; all but report if left out")
    parser.add_argument("--folder", type=Path, help="run there, and keep it; a temporary one if left out")
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        try:
            params = prepared(folder, arguments.study, arguments.set)
            print(f"{machine()}; {where}; {arguments.study} {' '.join(arguments.set)}", flush=True)
            table = run_study(folder, params["study"]["budgets"], arguments.stages)
        except InputError as error:
            parser.exit(2, f"benchmarks.goals: {error}\n")
        scores, accuracies = read_scores(folder), read_accuracies(folder)
    print(f"\n{table.to_string(index=False)}")
    memory = f", at most {table['device'].max():.0f} MiB on the GPU" if "device" in table else ""
    print(f"{table['seconds'].sum():.1f} s in stages, {table['clock'].sum():.1f} s with their start{memory}")
    if accuracies is not None:
        print(accuracies.to_string())
    for line in judged(arguments.study, params, table, scores):
        print(line)


if __name__ == "__main__":
    main()
