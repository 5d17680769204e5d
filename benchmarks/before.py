"""What a study costs against an earlier revision of this repository, by turns on the same machine.

    python -m benchmarks.before 5e33e19^

Each revision is a clone with params of its own. A step: data and split are made once, then the stages of the oracle,
the GANs and the classifiers train by turns with the other's, a short and a long time each; a step is the difference of
both over the difference of their steps, so that start-up does not count. Both take the step that their own recipe,
width and batch size make; what differs in the studies' lengths is left out. Two processes, as a study has on two cores.
A study: `dvc repro` from nothing, by turns as well, with all trainings of the short length; of a study with today's
lengths the steps that this leaves out are added, as they were measured. The CAS: both train GANs of as many steps, and
today's classifier, trained on the digits of either, reads the development part, which no GAN was given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import machine
from pipeline.classifier.arms import ARMS, BASELINE_ARMS
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.training import Material
from pipeline.compute import run_replicates
from pipeline.images import LabelledImages, load
from pipeline.seeds import derive
from pipeline.sources import read
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params
from pipeline.subsets import development_part

STAGES = {"oracle": "train_oracle", "gan": "train_gan", "classifier": "train_baseline"}
BUDGET, REPLICATES = 50, 2


class Revision:
    """A clone at one revision, with its data and split made."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        for words in (["clone", "--quiet", "--shared", ".", str(folder)], ["-C", str(folder), "checkout", "-q", name]):
            subprocess.run(["git", *words], check=True)
        self.params = read_params(folder / PARAMS)
        self.params["study"] |= {"budgets": [BUDGET], "replicates": REPLICATES}
        self.run("prepare", 1)
        self.run("split", 1)
        if (folder / "pipeline/stages/train_teacher.py").exists():
            self.run("train_teacher", 1)

    def write(self, file: str, steps: int, replicates: int = REPLICATES) -> None:
        """A params file whose trainings take `steps`."""
        self.params["study"]["replicates"] = replicates
        for section in STAGES:
            self.params[section]["steps"] = steps
        (self.folder / file).write_text(json.dumps(self.params))  # JSON is YAML
        shutil.rmtree(self.folder / ".cache", ignore_errors=True)

    def call(self, *command: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        words = [sys.executable, "-m", *command]
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or "?").splitlines()[-1]
            sys.exit(f"benchmarks.before: {command[0]} at {self.name}: {last}")

    def run(self, stage: str, steps: int) -> float:
        """Seconds inside a stage."""
        self.write("before.json", steps)
        whole = stage in ("prepare", "train_oracle")
        budget, name = ([], stage) if whole else (["--budget", str(BUDGET)], f"{stage}@{BUDGET}")
        self.call(f"pipeline.stages.{stage}", "--params", "before.json", *budget)
        return float(json.loads((self.folder / f"artifacts/runs/{name}.json").read_text())["seconds"])

    def step(self, section: str, short: int, long: int) -> float:
        """Milliseconds a step, of one training of those that run side by side."""
        trainings = {"oracle": 1, "gan": REPLICATES, "classifier": REPLICATES * len(BASELINE_ARMS)}[section]
        seconds = self.run(STAGES[section], long) - self.run(STAGES[section], short)
        return 1000 * seconds / (long - short) / (trainings / _side_by_side(trainings))

    def digits(self, steps: int, replicates: int) -> list[LabelledImages]:
        """What its GANs generate, a set a replicate."""
        self.write("before.json", steps, replicates)
        for stage in ("split", "train_teacher", "train_gan", "generate"):
            if (self.folder / f"pipeline/stages/{stage}.py").exists():
                self.call(f"pipeline.stages.{stage}", "--params", "before.json", "--budget", str(BUDGET))
        return [load(self.folder / f"artifacts/synthetic/{BUDGET}/replicate-{r}.npz") for r in range(replicates)]

    def study(self, steps: int, replicates: int) -> float:
        """Seconds of `dvc repro`, DVC's own included."""
        self.write("params.yaml", steps, replicates)
        began = time.perf_counter()
        self.call("dvc", "repro", "--force", "--no-run-cache")
        return time.perf_counter() - began


def whole_study(
    params: Mapping[str, Any], short: NDArray[np.float64], taken: int, steps: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Seconds of a study of these params at one budget, then and now. short: of one whose trainings take `taken` steps
    each. steps: milliseconds of one, of each kind of training.
    """
    replicates, total = params["study"]["replicates"], short.copy()
    for section, each in steps.items():
        trainings = {"oracle": 1, "gan": replicates, "classifier": replicates * len(ARMS)}[section]
        total += (params[section]["steps"] - taken) * trainings / _side_by_side(trainings) * each / 1000
    return total


def digits_to_cas(digits: Sequence[LabelledImages]) -> list[float]:
    """Percent of the development part that today's classifier, which saw each of these sets alone, reads rightly."""
    params = to_params(read_params(PARAMS))
    real = read(params.data).train
    rest = real.subset(development_part(real.labels, params.split.development_per_class))
    jobs = [
        {
            "material": Material(None, images, None),
            "test_pixels": rest.pixels,
            "config": params.classifier,
            "seed": derive(params.study.seed, "cas", replicate),
        }
        for replicate, images in enumerate(digits)
    ]
    steps = [params.classifier.steps] * len(jobs)
    results = run_replicates(train_replicate, jobs, params.compute, "CAS", steps, keep=False)
    return [100 * float((result["predictions"] == rest.labels).mean()) for result in results]


def _side_by_side(trainings: int) -> int:
    return min(2, os.cpu_count() or 1, trainings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before", description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("--what", nargs="+", choices=[*STAGES, "study", "cas"], default=[*STAGES, "study"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs=2, default=[100, 400], help="short and long")
    parser.add_argument("--cas-steps", type=int, default=2000, help="of each GAN, for the CAS")
    parser.add_argument("--replicates", type=int, default=4, help="GANs of each revision, for the CAS")
    asked = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        revisions = [Revision(name, Path(folder, str(n))) for n, name in enumerate((asked.revision, "HEAD"))]
        steps = {}
        for section in (section for section in STAGES if section in asked.what):
            times = np.array([[each.step(section, *asked.steps) for each in revisions] for _ in range(asked.rounds)])
            steps[section] = np.median(times, 0)
            print(f"{section}, ms a step: {_saved(times)}", flush=True)
        if "study" in asked.what:
            params, taken = read_params(PARAMS), asked.steps[0]
            replicates = params["study"]["replicates"]
            times = np.array([[each.study(taken, replicates) for each in revisions] for _ in range(asked.rounds)])
            print(f"`dvc repro`, trainings of {taken} steps, s: {_saved(times)}", flush=True)
            if len(steps) == len(STAGES):
                whole = whole_study(params, np.median(times, 0), taken, steps)
                print(f"`dvc repro` of the committed study, s, worked out: {_saved(whole[None])}")
        if "cas" in asked.what:
            scores = np.array([digits_to_cas(each.digits(asked.cas_steps, asked.replicates)) for each in revisions])
            more = scores[1] - scores[0]
            print(
                f"CAS after {asked.cas_steps} steps, %: {scores[0].mean():.2f} then, {scores[1].mean():.2f} now: "
                f"{more.mean():+.2f}, standard error {more.std(ddof=1) / len(more) ** 0.5:.2f}, {len(more)} GANs each"
            )
    print(f"load {os.getloadavg()[0]:.1f}")


def _saved(times: NDArray[np.float64]) -> str:
    """times: (rounds, 2), then and now."""
    saved, (then, now) = 1 - times[:, 1] / times[:, 0], np.median(times, 0)
    spread = f" ({saved.min():.0%} to {saved.max():.0%}), {len(times)} rounds" if len(times) > 1 else ""
    return f"{then:.1f} then, {now:.1f} now: {np.median(saved):.0%} less{spread}"


if __name__ == "__main__":
    main()
