"""What a run shows in Prefect, under fixed keys, so that each artifact's history shows how it moved from run to run."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.dvc import git

REPORTS = Path(".prefect/reports")
REPORTS_URL = "SYNTHGAIN_REPORTS_URL"  # where `make serve` shows them


def publish(root: Path, home: Path, run: str, facts: Mapping[str, Any], outcomes: Mapping[str, str]) -> None:
    """Show what lies in `root`: verdict, deltas, chart, digits, page and facts; what is absent is left out.

    home: the checkout that keeps a copy of the page after an experiment's workspace is gone. run: the run's name.
    """
    primary, deltas = read_primary(root), read_table(root / "results/deltas.csv")
    if primary:
        create_markdown_artifact(verdict_to_markdown(primary, root), key="verdict", description=primary["sentence"])
    if deltas:
        create_table_artifact(deltas, key="deltas", description="Accuracy deltas in points, with their intervals")
        create_image_artifact(to_url(deltas_to_chart(deltas)), key="delta-chart", description="Deltas and intervals")
    grid = latest_grid(root)
    if grid:
        create_image_artifact(to_url(grid.read_bytes()), key="digit-grid", description=f"{grid.relative_to(root)}")
    if (root / "report/index.html").exists():
        create_link_artifact(keep_page(root, home, run), "the report", key="report", description=f"Report of {run}")
    create_markdown_artifact(facts_to_markdown(root, facts, outcomes), key="run", description=f"What {run} was made of")


def read_primary(root: Path) -> dict[str, Any]:
    """The primary contrast of results/metrics.json, empty if there is none."""
    try:
        return dict(json.loads((root / "results/metrics.json").read_text()).get("primary", {}))
    except (OSError, ValueError):
        return {}


def read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file, numbers as numbers; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def verdict_to_markdown(primary: Mapping[str, Any], root: Path) -> str:
    """The report's own summary if there is one, else the primary contrast's sentence."""
    summary = root / "report/summary.md"
    return summary.read_text() if summary.exists() else f"# {primary['verdict']}\n\n{primary['sentence']}\n"


def deltas_to_chart(deltas: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG: each delta as a dot on its interval, a line a contrast."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1 + 0.32 * len(deltas)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(deltas)):
        if isinstance(row["ci_low"], int | float) and isinstance(row["ci_high"], int | float):
            axes.plot([row["ci_low"], row["ci_high"]], [place, place], color="#7a8fa6", linewidth=2)
        axes.plot(row["delta"], place, "o", color="#1f4e79")
    axes.axvline(0, color="#999999", linewidth=1)
    labels = [f"{row['budget']}: {row['arm']} against {row['reference']}" for row in reversed(deltas)]
    axes.set_yticks(range(len(deltas)), labels)
    axes.set_xlabel("accuracy delta, points")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def latest_grid(root: Path) -> Path | None:
    """The last picture of generated digits of the first budget's first replicate."""
    grids = sorted(root.glob("artifacts/gan/*/grids/replicate-0-step-*.png"), key=lambda path: path.name)
    return grids[-1] if grids else None


def keep_page(root: Path, home: Path, run: str) -> str:
    """Copy the page where it outlives the workspace; returns its address."""
    page = home / REPORTS / re.sub(r"[^A-Za-z0-9._-]", "-", run)
    shutil.copytree(root / "report", page, dirs_exist_ok=True)
    served = os.environ.get(REPORTS_URL)
    return f"{served}/{page.name}/index.html" if served else (page / "index.html").as_uri()


def facts_to_markdown(root: Path, facts: Mapping[str, Any], outcomes: Mapping[str, str]) -> str:
    """Commit, hash of dvc.lock, what was asked, every stage's outcome, and the params."""
    lock = root / "dvc.lock"
    rows = {
        "Git commit": git(root, "rev-parse", "HEAD"),
        "uncommitted files": len(git(root, "status", "--porcelain", "--untracked-files=no").splitlines()),
        "SHA-256 of dvc.lock": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "none",
        **facts,
    }
    params = root / "params.yaml"
    parts = [
        _table(("fact", "value"), rows.items()),
        _table(("stage", "outcome"), outcomes.items()),
        f"```yaml\n{params.read_text()}```" if params.exists() else "",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(head: tuple[str, str], rows: Any) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows)])


def _number(text: str) -> Any:
    """A cell as JSON can hold it: a number, None where there is none, else text."""
    try:
        number = float(text or "nan")
    except ValueError:
        return text
    if not math.isfinite(number):
        return None
    return int(text) if text.lstrip("-").isdigit() else number


def to_url(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
