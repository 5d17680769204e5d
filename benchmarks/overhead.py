"""What the flow costs over `dvc repro`: seconds a stage, and seconds over a study in which nothing changed.

    python -m benchmarks.overhead
    python -m benchmarks.overhead --study . --rounds 3     # a reproduced study of your own, unchanged

Chains of stages that do nothing are forced through `dvc repro --force` and through the flow by turns, so that a busy
machine slows both. A chain leaves nothing to run at the same time: it is the flow's worst case. What a stage costs is
the slope between a short and a long chain; the rest is paid once a run (Python's start, the experiment, the artifacts).
A temporary Prefect server runs beside it, on loopback; every run is a process of its own, as from a shell. CPU seconds
are those of a run and its stages, without the server's; they depend less than the clock on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

SHORT, LONG = 2, 8  # stages
Cost = NDArray[np.float64]  # the last axis: seconds on the clock, CPU seconds
FLOW = (
    "import sys; from flows.study import Study, augmentation_study; augmentation_study(Study(force=bool(sys.argv[1:])))"
)


def chain(root: Path, stages: int) -> Path:
    """A committed study of so many stages, each of which copies what the one before it made."""
    root.mkdir()
    lines = ["stages:"]
    for number in range(stages):
        lines += [f"  stage{number}:", f"    cmd: cp {number} {number + 1}", f"    deps: ['{number}']"]
        lines += [f"    outs: ['{number + 1}']"]
    root.joinpath("dvc.yaml").write_text("\n".join(lines) + "\n")
    root.joinpath("0").write_text("a source\n")
    run = [
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        [sys.executable, "-m", "dvc", "repro", "-q"],
    ]
    run += [["git", "add", "-A"], ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"]]
    for command in run:
        subprocess.run(command, cwd=root, check=True)
    return root


def dvc(root: Path, force: bool) -> Cost:
    """`dvc repro`."""
    return _measured([sys.executable, "-m", "dvc", "repro", *(["--force"] if force else [])], root)


def flow(root: Path, force: bool) -> Cost:
    """The flow on the running server."""
    return _measured([sys.executable, "-c", FLOW, *(["force"] if force else [])], root)


def _measured(command: list[str], root: Path) -> Cost:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value() or "", "DVC_NO_ANALYTICS": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    clock, used = time.monotonic(), os.times()
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    now = os.times()
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return np.array([time.monotonic() - clock, cpu])


def interleaved(root: Path, force: bool, rounds: int) -> Cost:
    """Costs of `dvc repro` and of the flow by turns: shape (2 commands, rounds, 2 kinds of seconds)."""
    costs: list[list[Cost]] = []
    for number in range(rounds):
        first, second = (dvc, flow) if number % 2 == 0 else (flow, dvc)
        pair = [first(root, force), second(root, force)]
        costs.append(pair if first is dvc else pair[::-1])
    return np.array(costs).swapaxes(0, 1)


def show(what: str, costs: Cost) -> None:
    said = []
    for name, seconds in zip(("dvc repro", "flow"), costs, strict=True):
        (clock, cpu), (low, high) = np.median(seconds, axis=0), (seconds[:, 0].min(), seconds[:, 0].max())
        said.append(f"{name} {clock:.1f} s ({low:.1f} to {high:.1f}), CPU {cpu:.1f} s")
    ratio = np.median(costs[1, :, 0] / costs[0, :, 0])
    print(f"{what}: {'; '.join(said)}; {ratio:.1f} times", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--study", type=Path, help="a reproduced study; only measured unchanged")
    arguments = parser.parse_args()
    quiet = temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False})
    with tempfile.TemporaryDirectory() as name, quiet, prefect_test_harness(server_startup_timeout=300):
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        if arguments.study:
            show(f"{arguments.study}, unchanged", interleaved(arguments.study, False, arguments.rounds))
            return
        short, long = chain(Path(name, "short"), SHORT), chain(Path(name, "long"), LONG)
        forced = [interleaved(root, True, arguments.rounds) for root in (short, long)]
        for stages, costs in zip((SHORT, LONG), forced, strict=True):
            show(f"{stages} stages, forced", costs)
        show(f"{LONG} stages, unchanged", interleaved(long, False, arguments.rounds))
        show("a stage, forced", (forced[1] - forced[0]) / (LONG - SHORT))
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
