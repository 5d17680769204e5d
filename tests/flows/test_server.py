"""A real server, worker, schedule and page: everything that `make serve` starts, on a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from toy import change, commit, make_toy

PROJECT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
PICTURES = os.environ.get("SYNTHGAIN_PICTURES")  # a folder for the page's screenshots
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
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
        answer = httpx.post(f"{self.page}/api{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.page}/api{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def trigger(self, **study: Any) -> str:
        deployment = self.get("/deployments/name/augmentation-study/on-demand")
        run = self.post(f"/deployments/{deployment['id']}/create_flow_run", parameters={"study": study})
        return str(run["id"])

    def ended(self, run: str) -> str:
        """Wait for a flow run's end; returns its state's name."""
        wait(lambda: self.get(f"/flow_runs/{run}")["state"]["type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED"))
        return str(self.get(f"/flow_runs/{run}")["state"]["type"])


def wait(ready: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = make_toy(tmp_path_factory.mktemp("server") / "toy")
    shutil.copytree(PROJECT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    root.joinpath("prefect.yaml").write_text(DEPLOYMENTS)
    change(root, "sleep: 0.0", "sleep: 0.5")
    commit(root, "flows")
    server = Server(root, {"SYNTHGAIN_PORT": str(free_port()), "PYTHONPATH": str(root)})
    try:
        server.command("start")
        yield server
    finally:
        server.command("stop")


def test_a_scheduled_and_a_triggered_run_complete_and_a_cancelled_one_leaves_nothing(server: Server) -> None:
    triggered = server.trigger(experiment="asked-for")
    assert server.ended(triggered) == "COMPLETED"
    assert server.get(f"/flow_runs/{triggered}")["name"] == "asked-for"

    def scheduled() -> list[dict[str, Any]]:
        runs = server.post("/flow_runs/filter", sort="START_TIME_ASC")
        return [run for run in runs if "auto-scheduled" in run["tags"] and run["state"]["type"] == "COMPLETED"]

    wait(scheduled)

    alive = server.root / ".prefect/workspaces/cancelled/tree/alive"
    cancelled = server.trigger(experiment="cancelled", overrides=["gan.steps=1000"])
    wait(alive.exists)
    asked = time.monotonic()
    server.post(f"/flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"})
    wait(lambda: not alive.exists() or time.time() - float(alive.read_text() or time.time()) > 2)
    print(f"stage ended {time.monotonic() - asked - 2:.1f} s after the cancellation")
    assert time.monotonic() - asked < 12
    assert server.ended(cancelled) == "CANCELLED"
    assert not alive.parent.parent.exists()
    status = subprocess.run(
        ["git", "status", "--porcelain", "params.yaml", "dvc.yaml"], cwd=server.root, capture_output=True
    )
    assert status.stdout == b""
    assert subprocess.run([sys.executable, "-m", "dvc", "status"], cwd=server.root).returncode == 0


def test_the_page_shows_run_graph_log_and_artifacts(server: Server) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    run = server.post("/flow_runs/filter", flow_runs={"name": {"any_": ["asked-for"]}})[0]["id"]
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})

        def see(path: str, picture: str, *texts: str) -> None:
            page.goto(f"{server.page}{path}")
            for text in texts:
                page.get_by_text(text).first.wait_for(timeout=30_000)
            page.wait_for_timeout(1500)
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/{picture}.png")

        see(f"/runs/flow-run/{run}", "run", "asked-for", "Running stage 'train_gan@10'")
        see(f"/runs/flow-run/{run}?tab=Artifacts", "run-artifacts", "verdict")
        see("/artifacts", "artifacts", "delta-chart", "digit-grid", "history")
        see("/artifacts/key/verdict", "verdict", "points better than real")
        see("/artifacts/key/history", "history")
        see("/artifacts/key/delta-chart", "delta-chart")
        see("/deployments", "deployments", "on-demand")
        browser.close()
