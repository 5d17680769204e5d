"""DVC's own graph: which stages there are, what each needs, which are stale; read in a short process of its own.

Threads must not share a DVC repository, and flows are threads, so `read_graph` starts `python -m flows.graph`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flows.errors import RunError
from flows.processes import LOCKED, environment

ABSENT = "a DVC repository is not here: run `dvc init` in a Git repository with a dvc.yaml"


class GraphError(RunError):
    """DVC could not read the graph; one line says why."""


class GraphLocked(GraphError):
    """Another process holds DVC's lock; worth another try."""


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml.

    needs: names of the stages it depends on. stale: DVC says that it, or what it depends on, changed. cores: what
    `meta.cores` of dvc.yaml says, if anything: a number, or `workers` for as many as section `compute` gives. computes:
    it declares a param of that section, and so may use a GPU.
    """

    name: str
    needs: tuple[str, ...]
    stale: bool
    cores: int | Literal["workers"] | None
    computes: bool


def read_graph(
    root: Path, targets: Sequence[str] = (), overrides: Sequence[str] = (), fill: bool = False
) -> list[Stage]:
    """The stages of `root` that `targets` (all, if empty) need, each after those that it needs.

    overrides: `gan.steps=500` as `dvc exp run --set-param` takes them, written into the params first. fill: restore
    from DVC's cache what the workspace lacks. Raises GraphError with one line.
    """
    question = {"targets": list(targets), "overrides": list(overrides), "fill": fill}
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), env.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "flows.graph", json.dumps(question)], cwd=root, env=env, capture_output=True, text=True
    )
    if done.returncode != 0:
        line = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise (GraphLocked if any(words in done.stderr for words in LOCKED) else GraphError)(line)
    return [Stage(**stage | {"needs": tuple(stage["needs"])}) for stage in json.loads(done.stdout.splitlines()[-1])]


def _describe(targets: list[str], overrides: list[str], fill: bool) -> list[dict[str, Any]]:
    import networkx
    from dvc.dependency import ParamsDependency
    from dvc.repo import Repo
    from dvc.stage import PipelineStage
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    for path, changes in to_path_overrides(overrides).items():
        apply_overrides(path, changes)
    with Repo() as repo:
        graph = repo.index.graph  # an edge leads from a stage to what it needs
        if fill:
            repo.checkout(force=True, allow_missing=True)
        wanted = set(graph)
        if targets:
            named = {stage for target in targets for stage, _ in repo.stage.collect_granular(target)}
            wanted = named.union(*(networkx.descendants(graph, stage) for stage in named))
        stale = repo.status()
        return [
            {
                "name": stage.addressing,
                "needs": sorted(need.addressing for need in graph.successors(stage) if isinstance(need, PipelineStage)),
                "stale": stage.addressing in stale,
                "cores": (stage.meta or {}).get("cores") if isinstance(stage.meta, dict) else None,
                "computes": any(
                    name.split(".")[0] == "compute"
                    for dep in stage.deps
                    if isinstance(dep, ParamsDependency)
                    for name in dep.params
                ),
            }
            for stage in networkx.topological_sort(graph.reverse())
            if stage in wanted and isinstance(stage, PipelineStage)
        ]


def main() -> None:
    from dvc.exceptions import DvcException, NotDvcRepoError

    try:
        print(json.dumps(_describe(**json.loads(sys.argv[1]))))
    except NotDvcRepoError:
        sys.exit(ABSENT)
    except (DvcException, OSError) as error:
        reason = f"{error} ({error.__cause__})" if error.__cause__ else str(error)
        sys.exit(" ".join(reason.split()))


if __name__ == "__main__":
    main()
