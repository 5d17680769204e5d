"""What a training step costs against an earlier revision of this repository, by turns on the same machine.

    python -m benchmarks.before 5e33e19^

Each revision is a clone with a params file of its own: data and split are made once, then its GAN stage and its
classifier stage train by turns with the other's, a short and a long time each; a step is the difference of both over
the difference of their steps, so that start-up does not count. Both take the step that their own recipe, width and
batch size make; what differs in the studies' lengths is left out. Two processes, as a study has on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks.peers import machine

STAGES = {"train_gan": "gan", "train_baseline": "classifier"}
ARMS = 4  # that train_baseline trains
BUDGET, REPLICATES = 50, 2


class Revision:
    """A clone at one revision, with its data and split made."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        for words in (["clone", "--quiet", "--shared", ".", str(folder)], ["-C", str(folder), "checkout", "-q", name]):
            subprocess.run(["git", *words], check=True)
        self.params = YAML(typ="safe").load(folder / "params.yaml")
        self.params["study"] |= {"budgets": [BUDGET], "replicates": REPLICATES}
        self.run("prepare", 1)
        self.run("split", 1)
        if (folder / "pipeline/stages/train_teacher.py").exists():
            self.run("train_teacher", 1)

    def run(self, stage: str, steps: int) -> float:
        """Seconds inside a stage, whose trainings take `steps`."""
        self.params["gan"]["steps"] = self.params["classifier"]["steps"] = steps
        (self.folder / "before.json").write_text(json.dumps(self.params))  # JSON is YAML
        shutil.rmtree(self.folder / ".cache", ignore_errors=True)
        command = [sys.executable, "-m", f"pipeline.stages.{stage}", "--params", "before.json"]
        name = stage
        if stage != "prepare":
            command, name = [*command, "--budget", str(BUDGET)], f"{stage}@{BUDGET}"
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"benchmarks.before: {name} at {self.name}: {(done.stderr.strip() or '?').splitlines()[-1]}")
        return float(json.loads((self.folder / f"artifacts/runs/{name}.json").read_text())["seconds"])

    def step(self, stage: str, short: int, long: int) -> float:
        """Milliseconds a step, of one training of those that run side by side."""
        trainings = REPLICATES * (ARMS if stage == "train_baseline" else 1)
        seconds = self.run(stage, long) - self.run(stage, short)
        return 1000 * seconds / (long - short) / (trainings / min(2, os.cpu_count() or 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before", description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("--what", nargs="+", choices=STAGES.values(), default=list(STAGES.values()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs=2, default=[100, 400], help="short and long")
    asked = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        then, now = (Revision(name, Path(folder, str(n))) for n, name in enumerate((asked.revision, "HEAD")))
        for stage, section in ((stage, section) for stage, section in STAGES.items() if section in asked.what):
            times = np.array([[each.step(stage, *asked.steps) for each in (then, now)] for _ in range(asked.rounds)])
            saved = 1 - times[:, 1] / times[:, 0]
            print(
                f"{section}: {np.median(times[:, 0]):.1f} ms a step then, {np.median(times[:, 1]):.1f} now: "
                f"{np.median(saved):.0%} less ({saved.min():.0%} to {saved.max():.0%}), {asked.rounds} rounds",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
