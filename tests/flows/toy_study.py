"""A toy study that is a real DVC pipeline: a GAN stage a budget, a baseline, a comparison, each in milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipeline.ledger import COLUMNS

DVC_YAML = """
stages:
  split:
    cmd: python make.py split
    deps: [make.py]
    params: [study.seed, study.note]
    outs: [artifacts/split]
  train_gan:
    matrix:
      budget: ${study.budgets}
    cmd: python make.py train_gan ${item.budget}
    deps: [make.py, artifacts/split]
    params: [gan, compute.device]
    outs: ["artifacts/gan/${item.budget}"]
  train_baseline:
    cmd: python make.py train_baseline
    deps: [make.py, artifacts/split]
    params: [baseline]
    outs: [artifacts/baseline]
  compare:
    cmd: python make.py compare
    deps: [make.py, artifacts/gan, artifacts/baseline]
    params: [study.seed, study.budgets]
    metrics:
      - results/metrics.json: {cache: false}
    plots:
      - results/deltas.csv: {cache: false}
  report:
    cmd: python make.py report
    deps: [make.py, results/metrics.json]
    outs: [report]
"""
PARAMS = """# a comment that stays
study:
  seed: 1
  note: changes nothing
  budgets: [10, 20]
gan:
  steps: 3
  sleep: 0.0
  meet: 0
  fail: false
baseline:
  fail: false
compute:
  device: cpu
  workers: 1
"""
MAKE = """
import json, pathlib, struct, sys, time, zlib
import yaml

params = yaml.safe_load(pathlib.Path("params.yaml").read_text())


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\\0" + bytes((i * j) % 256 for i in range(side)) for j in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def split():
    write("artifacts/split", str(params["study"]["seed"]))


def train_gan(budget):
    gan = params["gan"]
    if gan["fail"]:
        sys.exit("the loss is not a number")
    for step in range(1, gan["steps"] + 1):
        print(f"train_gan@{budget}: step {step} of {gan['steps']}, generator 0.8 discriminator 0.6, {5 - step} s left")
        time.sleep(gan["sleep"])
        pathlib.Path("alive").write_text(str(time.time()))
    if gan["meet"]:
        print("train_gan met another" if meet(budget, gan["meet"]) else "train_gan was alone")
    write(f"artifacts/gan/{budget}/grids/replicate-0-step-000003.png", png(64))


def meet(budget, seconds):
    # Whether the stage of another budget runs at the same time, or comes within so many seconds.
    here, until = pathlib.Path(f"alive-{budget}"), time.time() + seconds
    here.touch()
    while not (others := [one for one in pathlib.Path().glob("alive-*") if one != here]) and time.time() < until:
        time.sleep(0.05)
    if others:
        time.sleep(1)  # so that the other one sees this one too
    here.unlink()
    return bool(others)


def train_baseline():
    if params["baseline"]["fail"]:
        sys.exit("no baseline today")
    write("artifacts/baseline", "baseline")


def compare():
    seed = params["study"]["seed"]
    delta = 1 + (seed % 7) / 10
    verdict = "helps" if seed % 2 else "inconclusive"
    row = {"arm": "real+gan", "budget": 10, "reference": "real", "delta": delta, "ci_low": delta - 0.5}
    row |= {"ci_high": delta + 0.5, "verdict": verdict}
    sentence = f"At 10 real images a class, real+gan is {delta:.2f} points better than real: {verdict}."
    write("results/metrics.json", json.dumps({"primary": row | {"sentence": sentence}}))
    write("results/accuracies.csv", f"a table of seed {seed}")
    columns = ["budget", "arm", "reference", "delta", "ci_low", "ci_high", "verdict"]
    write("results/deltas.csv", ",".join(columns) + "\\n" + ",".join(str(row[name]) for name in columns) + "\\n")


def report():
    write("report/index.html", "<h1>report</h1>")


globals()[sys.argv[1]](*sys.argv[2:])
"""


def make_toy(root: Path) -> Path:
    """A committed toy study in `root`, never reproduced."""
    root.mkdir(parents=True)
    for command in (["git", "init", "-q", "-b", "main"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)
    config = "[core]\n    analytics = false\n    check_update = false\n"
    files = {"dvc.yaml": DVC_YAML, "params.yaml": PARAMS, "make.py": MAKE, ".dvc/config": config}
    files[".gitignore"] = "/artifacts/\n/report/\n/.cache/\n/.prefect/\n/alive*\n__pycache__/\n"
    files[".dvcignore"] = ".gitignore\n__pycache__\n.cache\n"
    files["docs/openings.csv"] = ",".join(COLUMNS) + "\n"  # no opening yet
    for name, text in files.items():
        root.joinpath(name).parent.mkdir(exist_ok=True)
        root.joinpath(name).write_text(text)
    commit(root, "toy")
    return root


def commit(root: Path, message: str) -> None:
    """Commit everything, as some author."""
    author = {"GIT_AUTHOR_NAME": "toy", "GIT_AUTHOR_EMAIL": "toy@example.org"}
    author |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}
    for command in (["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *command], cwd=root, check=True, env=os.environ | author)


def change(root: Path, old: str, new: str, file: str = "params.yaml") -> None:
    """Replace text in a file of the toy."""
    path = root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
