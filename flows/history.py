"""What all saved experiments said: read from Git, where DVC keeps them, so that nothing else needs to remember."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact
from ruamel.yaml import YAML

from flows.dvc import CheckoutError, git

# refs/exps/ab/cdef.../NAME; DVC's own bookkeeping lies beside them under refs/exps/exec and the like.
EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>.+)")


@dataclass(frozen=True)
class Result:
    """One experiment's primary contrast. params: a digest of all params but the seed; equal ones may be pooled."""

    experiment: str
    saved: str
    seed: Any
    contrast: str
    delta: float
    ci_low: float | None
    ci_high: float | None
    verdict: str
    params: str


def read_history(root: Path) -> list[Result]:
    """Every saved experiment that has a primary contrast, oldest first."""
    results = [_read(root, commit, saved, name) for name, commit, saved in _experiments(root)]
    return [result for result in results if result]


def free_name(root: Path, name: str) -> str:
    """`name`, or `name-2` and so on if an experiment of that name is there already."""
    taken = {one for one, _, _ in _experiments(root)}
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def summary(results: Sequence[Result], params: str, contrast: str) -> str:
    """Mean, spread and n of one contrast's deltas over the seeds at the same params."""
    deltas = list({result.seed: result.delta for result in _alike(results, params, contrast)}.values())
    if not deltas:
        return "No experiment yet at the present params"
    spread = f", SD {statistics.stdev(deltas):.2f}" if len(deltas) > 1 else ""
    return (
        f"{contrast} at the present params: {len(deltas)} seed{'s' if len(deltas) > 1 else ''}, "
        f"mean delta {statistics.mean(deltas):+.2f} points{spread}, {min(deltas):+.2f} to {max(deltas):+.2f}"
    )


def verdict_before(results: Sequence[Result], latest: Result) -> str | None:
    """The verdict of the experiment before `latest` that had the same params and contrast."""
    earlier = [one for one in _alike(results, latest.params, latest.contrast) if one.experiment != latest.experiment]
    return earlier[-1].verdict if earlier else None


def publish_history(results: Sequence[Result], latest: Result) -> None:
    """Show all results as one table, newest first."""
    rows = [asdict(result) for result in reversed(results)]
    create_table_artifact(rows, key="history", description=summary(results, latest.params, latest.contrast))


def _experiments(root: Path) -> list[tuple[str, str, str]]:
    """Name, commit and date of every saved experiment, oldest first."""
    form = "--format=%(objectname) %(committerdate:iso-strict) %(refname)"
    lines = git(root, "for-each-ref", "--sort=committerdate", form, "refs/exps").splitlines()
    found = [(EXPERIMENT.fullmatch(line.split(" ", 2)[2]), line) for line in lines]
    return [(match["name"], *line.split(" ", 2)[:2]) for match, line in found if match]  # type: ignore[misc]


def _alike(results: Sequence[Result], params: str, contrast: str) -> list[Result]:
    return [result for result in results if result.params == params and result.contrast == contrast]


def _read(root: Path, commit: str, saved: str, name: str) -> Result | None:
    try:
        primary = json.loads(git(root, "show", f"{commit}:results/metrics.json"))["primary"]
        params = YAML(typ="safe").load(git(root, "show", f"{commit}:params.yaml"))
        return Result(
            experiment=name,
            saved=saved,
            seed=params.get("study", {}).pop("seed", None),
            contrast=f"{primary['arm']} against {primary['reference']} at {primary['budget']}",
            delta=primary["delta"],
            ci_low=primary["ci_low"],
            ci_high=primary["ci_high"],
            verdict=primary["verdict"],
            params=_digest(params),
        )
    except (CheckoutError, ValueError, KeyError, TypeError):
        return None  # an experiment of another time, or without results


def _digest(params: dict[str, Any]) -> str:
    for name in ("workers", "backend", "address"):  # these change no result
        params.get("compute", {}).pop(name, None)
    return hashlib.sha256(json.dumps(params, sort_keys=True, default=str).encode()).hexdigest()[:12]
