"""How often has the test set been opened? Counted from the Git history and DVC's experiments into docs/openings.csv.

    python -m pipeline.openings

Walks every commit that a branch, a tag, a remote or an experiment (refs/exps) reaches, and adds each set of test
predictions that the ledger does not have yet. A run whose results were neither committed nor saved as an experiment
leaves no trace here. Without a readable history the ledger stays as it is, in one line and with exit status 0: a run
does not hang on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.ledger import ACCURACIES, COLUMNS, LEDGER, accuracies_to_key, data_to_test_set, read_ledger
from pipeline.stages.stage import PARAMS, write_csv


def history_to_rows(root: Path, known: Set[str]) -> list[dict[str, Any]]:
    """A row of the ledger for each set of predictions in the history of `root` that is not `known`, oldest first.

    Raises InputError, with Git's own line, where there is no history to read.
    """
    commits = _git(root, "rev-list", "--all", "--date-order", "--reverse").decode().split()
    asked = "".join(f"{commit}:./{ACCURACIES}\n" for commit in commits)
    listed = _git(root, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=asked.encode()).decode()
    blobs: dict[str, str] = {}  # each with the oldest commit that holds it
    for commit, line in zip(commits, listed.splitlines(), strict=True):
        if line.endswith(" blob"):
            blobs.setdefault(line.split()[0], commit)
    contents = {_git(root, "cat-file", "blob", blob): commit for blob, commit in blobs.items()}
    return [
        _row(root, commit, content) for content, commit in contents.items() if accuracies_to_key(content) not in known
    ]


def is_shallow(root: Path) -> bool:
    """Does this clone hold only the newest part of the history?"""
    return _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true"


def _row(root: Path, commit: str, accuracies: bytes) -> dict[str, Any]:
    params = _params(root, commit, hashlib.md5(accuracies, usedforsecurity=False).hexdigest())
    try:
        primary = json.loads(_git(root, "show", f"{commit}:./results/metrics.json"))["primary"]
    except (InputError, ValueError, KeyError):
        primary = {}  # opened all the same
    data = _section(params, "data")
    return {
        **{name: primary.get(name) for name in COLUMNS},
        "predictions": accuracies_to_key(accuracies),
        "commit": commit[:12],
        "date": _git(root, "show", "-s", "--format=%cd", "--date=format-local:%Y-%m-%d %H:%M", commit).decode().strip(),
        "data": data_to_test_set(data),
        "part": data.get("part", "all"),  # older params do not say: there was no other
        "seed": str(_section(params, "study").get("seed", "")),
        "recipe": _section(params, "gan").get("recipe"),
    }


def _params(root: Path, commit: str, md5: str) -> Mapping[str, Any]:
    """The params under which the results of `commit` came about: dvc.lock has them where it names these results (by
    their `md5`); params.yaml, which may have moved on already, where it does not."""
    lock = _yaml(root, f"{commit}:./dvc.lock")
    report = _section(_section(lock, "stages"), "report")
    if any((dep.get("path"), dep.get("md5")) == (str(ACCURACIES), md5) for dep in report.get("deps", [])):
        return _section(_section(report, "params"), str(PARAMS))
    return _yaml(root, f"{commit}:./{PARAMS}")


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _yaml(root: Path, name: str) -> Mapping[str, Any]:
    try:
        values = YAML(typ="safe").load(_git(root, "show", name))
    except (InputError, YAMLError):
        return {}  # a commit of another time
    return values if isinstance(values, Mapping) else {}


def _git(root: Path, *words: str, given: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, input=given, capture_output=True, env={**os.environ, "TZ": "UTC"}
        )
    except FileNotFoundError:
        raise InputError("git is not installed") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise InputError(f"git {words[0]}: {said[-1]}")
    return done.stdout


def main() -> int:
    """The command line; returns the exit status."""
    try:
        ledger = read_ledger()
    except InputError as error:
        print(f"openings: {error}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    try:
        rows = history_to_rows(Path(), set(ledger["predictions"]))
        if is_shallow(Path()):
            print("openings: a shallow clone; what lies before it is not counted but for the rows that are there")
    except InputError as error:
        print(f"openings: the Git history could not be read ({error}); {LEDGER} stays as it is", file=sys.stderr)
    if rows or not LEDGER.exists():
        ledger = pd.DataFrame([*ledger.to_dict("records"), *rows], columns=COLUMNS).sort_values("date", kind="stable")
        write_csv(LEDGER, ledger)
    for name, found in ledger.groupby("data"):
        trials = int((found["part"] == "development").sum())
        print(f"openings: the test set of {name}: {len(found) - trials}; trials on its development part: {trials}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
