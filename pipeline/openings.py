"""How often has the test set been opened? Counted from the Git history and DVC's experiments into docs/openings.csv.

    python -m pipeline.openings

Walks every commit that a branch, a tag, a remote or an experiment (refs/exps) reaches, and adds each set of test
predictions that the ledger does not have yet: results/accuracies.csv, and what lies as accuracies.csv in a folder of
docs/, a copy whose study may never have been committed. A copy says what it is by a params.yaml and a metrics.json
beside it; its row has no more than a date where these are missing, as the commit's own are another study's. A copy
whose every line stands in results that some commit holds (a part of them, or several studies joined) opened nothing.

A run whose results were neither committed nor saved as an experiment leaves no trace here. Without a readable history
the ledger stays as it is, in one line and with exit status 0: a run does not hang on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.ledger import (
    ACCURACIES,
    COLUMNS,
    LEDGER,
    TRIALS,
    UNKNOWN,
    accuracies_to_key,
    data_to_test_set,
    read_ledger,
)
from pipeline.stages.stage import PARAMS, write_csv

COPIES = f":(glob)docs/**/{ACCURACIES.name}"


class Place(NamedTuple):
    """Where a table stands: a file of a commit."""

    commit: str
    path: str

    @property
    def copied(self) -> bool:
        """Is it one of docs/?"""
        return self.path != str(ACCURACIES)

    def beside(self, name: str) -> str:
        """A file of the same folder, as Git names it."""
        return f"{self.commit}:./{Path(self.path).with_name(name).as_posix()}"


def history_to_rows(root: Path, known: Set[str]) -> list[dict[str, Any]]:
    """A row of the ledger for each set of predictions in the history of `root` that is not `known`, oldest first.

    Raises InputError, with Git's own line, where there is no history to read.
    """
    results, copies = _tables(root, str(ACCURACIES)), _tables(root, COPIES)
    held = {line for content in results for line in content.splitlines()}
    results |= {content: place for content, place in copies.items() if not held.issuperset(content.splitlines())}
    new = {content: place for content, place in results.items() if accuracies_to_key(content) not in known}
    return sorted((_row(root, place, content) for content, place in new.items()), key=lambda row: row["date"])


def is_shallow(root: Path) -> bool:
    """Does this clone hold only the newest part of the history?"""
    return _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true"


def _tables(root: Path, pathspec: str) -> dict[bytes, Place]:
    """All that files at `pathspec` have ever held, with the oldest commit that held it."""
    commits = _git(root, "rev-list", "--all", "--date-order", "--reverse")
    # The name of each commit, then modes, objects and path of every file that it does not have from its parent.
    words = ("--stdin", "--root", "-m", "-r", "-z", "--no-renames", "--relative", "--", pathspec)
    fields = iter(os.fsdecode(_git(root, "diff-tree", *words, given=commits)).split("\0"))
    blobs: dict[str, Place] = {}
    commit = ""
    for field in fields:
        if not field.startswith(":"):
            commit = field
            continue
        (_, mode, _, blob, _), path = field.split(), next(fields)
        if mode.startswith("100"):  # a file: neither deleted nor a link
            blobs.setdefault(blob, Place(commit, path))
    return {_git(root, "cat-file", "blob", blob): place for blob, place in blobs.items()}


def _row(root: Path, place: Place, accuracies: bytes) -> dict[str, Any]:
    params = _params(root, place, hashlib.md5(accuracies, usedforsecurity=False).hexdigest())
    try:
        primary = json.loads(_git(root, "show", place.beside("metrics.json")))["primary"]
    except (InputError, ValueError, KeyError):
        primary = {}  # opened all the same
    data, date = _section(params, "data"), ("--format=%cd", "--date=format-local:%Y-%m-%d %H:%M")
    return {
        **{name: primary.get(name) for name in COLUMNS},
        "predictions": accuracies_to_key(accuracies),
        "commit": place.commit[:12],
        "date": _git(root, "show", "-s", *date, place.commit).decode().strip(),
        "data": data_to_test_set(data),
        "part": data.get("part", "all") if data or not place.copied else None,  # older params: there was no other
        "seed": str(_section(params, "study").get("seed", "")),
        "recipe": _section(params, "gan").get("recipe"),
    }


def _params(root: Path, place: Place, md5: str) -> Mapping[str, Any]:
    """The params under which a table came about: dvc.lock has them where it names these results (by their `md5`);
    where it does not, params.yaml, which may have moved on already; of a copy, the one beside it, if there is one."""
    lock = _yaml(root, f"{place.commit}:./dvc.lock")
    report = _section(_section(lock, "stages"), "report")
    if any((dep.get("path"), dep.get("md5")) == (str(ACCURACIES), md5) for dep in report.get("deps", [])):
        return _section(_section(report, "params"), str(PARAMS))
    return _yaml(root, place.beside(PARAMS.name) if place.copied else f"{place.commit}:./{PARAMS}")


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
        trials = int(found["part"].isin(TRIALS).sum())
        print(f"openings: the test set of {name}: {len(found) - trials}; trials on its development part: {trials}")
    if UNKNOWN in set(ledger["data"]):
        print(f"openings: those of {UNKNOWN} count for every test set until {LEDGER} says in column data which it was")
    return 0


if __name__ == "__main__":
    sys.exit(main())
