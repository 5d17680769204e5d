"""How soon a stage trains: seconds from the start of its process to its first reported step.

    python -m benchmarks.startup                               # in a reproduced study: its artifacts are the inputs
    python -m benchmarks.startup --study ../other --rounds 5 --stages train_gan

Each stage runs in a scratch copy as `dvc repro` starts it, with no finished replicate, and is interrupted once its bar
has moved; what is timed is what a person sees in a terminal, but for DVC's own start. Lengths are set so that the first
step is the first reported one. The stages take turns; the first round, which warms the disk's cache, does not count.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks.peers import machine

STAGES = ("train_oracle", "train_gan", "train_baseline", "train_augmented")
INPUTS = ("data", "splits", "pseudo", "synthetic", "judged")
LENGTHS = {"oracle": {"steps": 1}, "gan": {"steps": 1, "epochs": None}, "classifier": {"steps": 1}}
MOVED = re.compile(rb"\| *[1-9]\d*/\d+ \[")  # a bar past 0
PATIENCE = 300  # seconds


def scratch(study: Path, root: Path) -> Path:
    """This repository's code and the inputs of `study`, with trainings of one step."""
    here = Path(__file__).resolve().parent.parent
    for name in ("pipeline", "conf"):
        shutil.copytree(here / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(here / "dvc.yaml", root)
    for name in INPUTS:
        shutil.copytree(study / "artifacts" / name, root / "artifacts" / name)
    yaml = YAML()
    params = yaml.load(study / "params.yaml")
    for section, values in LENGTHS.items():
        params[section] |= values
    yaml.dump(params, root / "params.yaml")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    return root


def first_step(root: Path, stage: str, budget: int) -> float:
    """Seconds until stage `stage` reports a step. Raises RuntimeError with what it said if it ends before."""
    shutil.rmtree(root / ".cache", ignore_errors=True)
    terminal, shown = pty.openpty()
    fcntl.ioctl(shown, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = [sys.executable, "-m", f"pipeline.stages.{stage}"]
    command += [] if stage == "train_oracle" else ["--budget", str(budget)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=shown, start_new_session=True)
    os.close(shown)
    said = b""
    try:
        while not MOVED.search(said):
            try:
                said += os.read(terminal, 4096)
            except OSError:  # what Linux gives for the end of a terminal
                raise RuntimeError(f"{stage}: ended without a step: {said.decode(errors='replace')}") from None
        return time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        while True:  # nothing may be left that waits for a reader
            try:
                if not os.read(terminal, 4096):
                    break
            except OSError:
                break
        process.wait(PATIENCE)
        os.close(terminal)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--study", type=Path, default=Path(), help="whose artifacts are the inputs")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--rounds", type=int, default=3, help="that count")
    arguments = parser.parse_args()
    if not (arguments.study / "artifacts/data/train.npz").exists():
        parser.error(f"{arguments.study}: no artifacts there; run `dvc repro` first")
    budget = YAML(typ="safe").load(arguments.study / "params.yaml")["study"]["budgets"][0]
    print(machine(), flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the stage that runs is ended, too
    seconds: dict[str, list[float]] = {stage: [] for stage in arguments.stages}
    with tempfile.TemporaryDirectory() as folder:
        root = scratch(arguments.study, Path(folder))
        for number in range(arguments.rounds + 1):
            for stage in arguments.stages:
                took = first_step(root, stage, budget)
                print(f"round {number}: {stage} {took:.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
                seconds[stage] += [took] if number else []
    for stage, each in seconds.items():
        print(f"{stage}: {np.median(each):.2f} s (median of {len(each)}; {min(each):.2f} to {max(each):.2f})")


if __name__ == "__main__":
    main()
