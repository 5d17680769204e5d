"""`python -m flows.server` in a toy study, on a port of its own, and its API."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from toy_study import change, commit, make_toy

PROJECT = Path(__file__).parents[2]
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
DEPLOYMENTS = """
name: toy
deployments:
  - name: cron
    entrypoint: flows/study.py:augmentation_study
    schedules: [{cron: "* * * * *", timezone: UTC}]
    concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}
    work_pool: {name: synthgain}
  - name: on-demand
    entrypoint: flows/study.py:augmentation_study
    work_pool: {name: synthgain}
"""


class Server:
    """`python -m flows.server` in a toy study, and its API."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root, self.env = root, os.environ | env
        self.page = f"http://127.0.0.1:{env['SYNTHGAIN_PORT']}"

    def command(self, verb: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "flows.server", verb], cwd=self.root, env=self.env, check=True, timeout=400
        )

    def post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, json=body)

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        """The answer's JSON. The server says 503 while its SQLite is locked; as Prefect does, ask again then."""
        until = time.monotonic() + 60
        while True:
            answer = httpx.request(method, f"{self.page}/api{path}", timeout=30, **content)
            if answer.status_code != 503 or time.monotonic() > until:
                break
            time.sleep(1)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def trigger(self, **study: Any) -> str:
        deployment = self.get("/deployments/name/augmentation-study/on-demand")
        run = self.post(f"/deployments/{deployment['id']}/create_flow_run", parameters={"study": study})
        return str(run["id"])

    def ended(self, run: str) -> str:
        """Wait for a flow run's end; returns its state's name."""
        wait(lambda: self.get(f"/flow_runs/{run}")["state"]["type"] in ENDED)
        return str(self.get(f"/flow_runs/{run}")["state"]["type"])

    def completes(self, run: str) -> None:
        """Wait for a flow run's end, and show its log if it is not a good one."""
        if self.ended(run) != "COMPLETED":
            logs = self.post("/logs/filter", logs={"flow_run_id": {"any_": [run]}}, sort="TIMESTAMP_ASC")
            raise AssertionError("\n".join(log["message"] for log in logs))


def wait(ready: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(root: Path, **env: str) -> Iterator[Server]:
    """A toy study in `root` with everything that `make serve` starts; ended afterwards. env: besides this process's."""
    make_toy(root)
    shutil.copytree(PROJECT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    root.joinpath("prefect.yaml").write_text(DEPLOYMENTS)
    change(root, "sleep: 0.0", "sleep: 0.5")
    commit(root, "flows")
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    server = Server(root, {"SYNTHGAIN_PORT": str(free_port()), "PYTHONPATH": paths, **env})
    try:
        server.command("start")
        yield server
    finally:
        server.command("stop")
