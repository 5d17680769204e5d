"""A real server, worker, schedule and page: everything that `make serve` starts."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from served import ENDED, Server, serving, wait
from toy_study import change

CHROMIUM = "/usr/bin/chromium"
PICTURES = os.environ.get("SYNTHGAIN_PICTURES")  # a folder for the page's screenshots
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "toy") as server:
        yield server
    assert list(server.root.glob(".prefect/*.pid")) == []
    assert [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(server.root)] == []


def test_a_scheduled_and_a_triggered_run_complete_and_a_cancelled_one_leaves_nothing(server: Server) -> None:
    triggered = server.trigger(experiment="asked-for")
    server.completes(triggered)
    assert server.get(f"/flow_runs/{triggered}")["name"] == "asked-for"

    def scheduled() -> list[dict[str, Any]]:
        runs = server.post("/flow_runs/filter", sort="START_TIME_ASC")
        return [run for run in runs if "auto-scheduled" in run["tags"] and run["state"]["type"] == "COMPLETED"]

    wait(scheduled)

    cron = server.get("/deployments/name/augmentation-study/cron")
    server.post(f"/deployments/{cron['id']}/pause_deployment")
    wait(lambda: not server.post("/flow_runs/filter", flow_runs={"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}))

    alive = server.root / "alive"
    last = alive.read_text()
    change(server.root, "steps: 3", "steps: 1000")
    cancelled = server.trigger(experiment="cancelled")
    wait(lambda: alive.read_text() not in ("", last))
    asked = time.time()
    server.post(f"/flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"})
    assert server.ended(cancelled) == "CANCELLED"
    last = alive.read_text()
    time.sleep(1)
    assert alive.read_text() == last
    print(f"\na stage ended {float(last) - asked:.1f} s after its flow run was cancelled")
    assert float(last) - asked < 10
    tasks: dict[str, Any] = {"flow_runs": {"id": {"any_": [cancelled]}}}
    states = {one["name"]: one["state"]["type"] for one in server.post("/task_runs/filter", **tasks)}
    assert len(states) > 2 and set(states.values()) <= set(ENDED), states
    assert not any(json.loads((server.root / ".dvc/tmp/rwlock").read_text()).values())

    change(server.root, "steps: 1000", "steps: 3")
    server.completes(server.trigger())
    assert subprocess.run(["git", "diff", "--stat", "params.yaml"], cwd=server.root, capture_output=True).stdout == b""


def test_what_make_serve_writes_points_a_bare_shell_at_it(server: Server) -> None:
    command = ["sh", "-c", ". .prefect/env; prefect deployment ls"]
    bare = {"PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    said = subprocess.run(command, cwd=server.root, env=bare, capture_output=True, text=True, check=True)
    assert "augmentation-study/on-demand" in said.stdout


@pytest.mark.parametrize(
    ("asked", "line"), [({"overrides": ["gan.stepz=1"]}, "stepz"), ({"overrides": ["gan.steps 1"]}, "gan.steps=500")]
)
def test_a_wrong_param_is_a_line_of_the_log_and_no_traceback(server: Server, asked: dict[str, Any], line: str) -> None:
    run = server.trigger(**asked)
    assert server.ended(run) == "FAILED"
    assert line in server.get(f"/flow_runs/{run}")["state"]["message"]

    def lines() -> list[str]:
        asked = {"logs": {"flow_run_id": {"any_": [run]}}}
        return [log["message"] for log in server.post("/logs/filter", **asked)]

    wait(lambda: any("unexpected exception" in one for one in lines()))  # the last that Prefect says of it
    assert not any("Traceback" in one for one in lines())


def test_the_page_shows_run_graph_log_and_artifacts(server: Server) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip("Debian's chromium is not installed")
    run = server.post("/flow_runs/filter", flow_runs={"name": {"any_": ["asked-for"]}})[0]["id"]
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})

        def see(picture: str, *texts: str) -> None:
            for text in texts:
                page.get_by_text(text).first.wait_for(timeout=30_000)
            if PICTURES:
                page.wait_for_timeout(2500)  # until its graph has moved into place
                page.screenshot(path=f"{PICTURES}/{picture}.png")

        page.goto(f"{server.page}/runs/flow-run/{run}")
        see("run", "asked-for", "augmentation-study", "Beginning flow run")
        for path, picture, text in (
            ("artifacts", "artifacts", "digit-grid"),
            ("artifacts/key/verdict", "verdict", "points better than real"),
            ("artifacts/key/history", "history", "asked-for"),
            ("artifacts/key/delta-chart", "delta-chart", "delta-chart"),
            ("deployments", "deployments", "on-demand"),
        ):
            page.goto(f"{server.page}/{path}")
            see(picture, text)
        browser.close()
