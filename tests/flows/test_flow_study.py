"""Flow augmentation-study on a toy that is real DVC. The tests share one checkout, which has been run once."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import chdir, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import pytest
from prefect import flow
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import TaskRunSort
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL
from toy_study import change, commit

from flows.dvc import Checkout
from flows.history import read_history
from flows.processes import CommandFailed, Processes
from flows.request import Study
from flows.slots import Slots
from flows.study import augmentation_study, pull, push, save
from flows.sweep import Sweep, recipe_sweep

pytestmark = pytest.mark.usefixtures("prefect", "here")
PROJECT = Path(__file__).parents[2]
STAGES = ["compare", "report", "split", "train_baseline", "train_gan@10", "train_gan@20"]


def run(**study: Any) -> Any:
    return augmentation_study(Study(**study), return_state=True)


def outcomes(state: Any) -> dict[str, str]:
    assert state.is_completed(), state.message
    return dict(state.result()["outcomes"])


def tasks(state: Any) -> dict[str, Any]:
    """The task runs of a flow run, by name."""
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id])),
            sort=TaskRunSort.NAME_ASC,
            limit=100,
        )
    return {run.name: run for run in runs}


def logs(state: Any) -> list[str]:
    """The lines of a flow run's log, its tasks' among them."""
    APILogHandler().flush()  # lines are sent in batches
    run = LogFilterFlowRunId(any_=[state.state_details.flow_run_id])
    with get_client(sync_client=True) as client:
        return [log.message for log in client.read_logs(LogFilter(flow_run_id=run), limit=200)]


class Listeners:
    """Addresses on which this process's descendants listen, or which they speak to, while it is entered."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.processes, self._over = 0, Event()
        self._thread = Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(0.5):
            family = psutil.Process().children(recursive=True)
            self.processes = max(self.processes, len(family))
            for process in [psutil.Process(), *family]:
                with suppress(psutil.Error):
                    for one in process.net_connections(kind="inet"):
                        self.addresses |= {end.ip.removeprefix("::ffff:") for end in (one.laddr, one.raddr) if end}

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def artifact(key: str) -> Any:
    return Artifact.get(key)


def dvc(root: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def first(prefect: None, toy: Path) -> Any:
    """The toy's first run, its results committed."""
    with chdir(toy):
        state = run(experiment="first")
    commit(toy, "results")
    return state


@pytest.fixture
def here(first: Any, toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy after its first run, as the present folder."""
    monkeypatch.chdir(toy)
    return toy


@dataclass(frozen=True)
class Apart:
    """A run of another seed, as an experiment. sent: what it sent to a webhook, a server on loopback. status: what Git
    said of the checkout before and after it.
    """

    state: Any
    sent: list[dict[str, str]]
    status: list[str]


@pytest.fixture(scope="module")
def apart(first: Any, toy: Path) -> Apart:
    received: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    def status() -> str:
        command = ["git", "status", "--porcelain"]
        return subprocess.run(command, cwd=toy, capture_output=True, text=True, check=True).stdout

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        patch.setenv("SYNTHGAIN_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
        patch.chdir(toy)
        before = status()
        state = run(overrides=["study.seed=2"], experiment="apart")
        server.shutdown()
        return Apart(state, received, [before, status()])


def test_the_first_run_runs_every_stage_and_shows_what_came_out(first: Any) -> None:
    state = first
    assert outcomes(state) == dict.fromkeys(STAGES, "Ran")
    assert {name for name in tasks(state) if name in STAGES} == set(STAGES)
    assert "points better" in artifact("verdict").data
    assert json.loads(artifact("deltas").data)[0]["delta"] == 1.1
    for key in ("delta-chart", "digit-grid"):
        assert artifact(key).data.startswith("data:image/png;base64,")
    assert "report" in artifact("report").data
    facts = artifact("run").data
    assert "SHA-256 of dvc.lock" in facts and "| train_gan@10 | Ran |" in facts and "a comment that stays" in facts
    assert float(artifact("progress-train-gan-10").data) == 100


def test_an_unchanged_study_starts_no_stage_and_saves_nothing(here: Path) -> None:
    state = run()
    assert outcomes(state) == dict.fromkeys(STAGES, "Unchanged")
    assert state.result()["experiment"] is None


def test_a_changed_param_runs_only_what_follows_from_it(here: Path) -> None:
    change(here, "steps: 3", "steps: 2")
    found = outcomes(run(experiment="two-steps"))
    assert {name for name, outcome in found.items() if outcome == "Ran"} == {"train_gan@10", "train_gan@20"}
    assert found["train_baseline"] == found["split"] == "Unchanged"
    change(here, "steps: 2", "steps: 3")
    assert outcomes(run(targets=["train_gan"])) == {
        "split": "Unchanged",
        "train_gan@10": "Restored",
        "train_gan@20": "Restored",
    }
    subprocess.run(["git", "checkout", "-q", "."], cwd=here, check=True)


def test_dvc_is_started_only_for_what_changed_and_what_directly_needs_it(here: Path) -> None:
    change(here, "changes nothing", "still changes nothing")  # split runs again and makes the same bytes
    state = run(experiment="note")
    assert outcomes(state) == dict.fromkeys(STAGES, "Unchanged") | {"split": "Ran"}
    said = {name: task.state.message for name, task in tasks(state).items() if name in STAGES}
    not_started = {name for name, message in said.items() if "not started" in message}
    assert not_started == {"compare", "report"}
    subprocess.run(["git", "checkout", "-q", "."], cwd=here, check=True)


def test_overrides_run_as_an_experiment_that_leaves_the_checkout_alone(here: Path, apart: Apart) -> None:
    found, sent = outcomes(apart.state), apart.sent
    assert found["split"] == "Ran" and found["train_baseline"] == "Ran"
    assert apart.status[0] == apart.status[1]
    assert list(here.glob(".prefect/workspaces/*")) == []
    assert [one["event"] for one in sent] == ["verdict changed"] and "helps became inconclusive" in sent[0]["text"]
    shown = json.loads(dvc(here, "exp", "show", "--json"))
    saved = [one for commit in shown for one in commit.get("experiments") or [] if one["name"] == "apart"]
    data = saved[0]["revs"][0]["data"]
    assert data["params"]["params.yaml"]["data"]["study"]["seed"] == 2
    assert data["metrics"]["results/metrics.json"]["data"]["primary"]["delta"] == 1.2
    assert (
        "a comment that stays"
        in subprocess.run(
            ["git", "show", f"{saved[0]['revs'][0]['rev']}:params.yaml"], cwd=here, capture_output=True, text=True
        ).stdout
    )


def test_fresh_seeds_add_up_in_the_history(here: Path, apart: Apart) -> None:
    assert outcomes(run(fresh="seed", experiment="night"))["compare"] == "Ran"
    results = {result.experiment: result for result in read_history(here)}
    assert results["night"].seed > 20200101000000
    assert results["night"].params == results["first"].params == results["apart"].params
    assert {row["experiment"] for row in json.loads(artifact("history").data)} >= {"first", "apart", "night"}
    assert "3 seeds, mean delta" in artifact("history").description


def test_a_run_counts_the_openings_before_it(here: Path, apart: Apart) -> None:
    """Those of the history and of other experiments; its own is the next run's to count."""
    run(overrides=["study.seed=4"], experiment="counted")
    shown = json.loads(dvc(here, "exp", "show", "--json"))
    experiments = {one["name"]: one["revs"][0]["rev"] for commit in shown for one in commit.get("experiments") or []}
    command = ["git", "show", f"{experiments['counted']}:docs/openings.csv"]
    ledger = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    commits = {row["commit"]: row for row in csv.DictReader(ledger.splitlines())}
    assert float(commits[experiments["apart"][:12]]["delta"]) == 1.2
    assert {"1", "2"} <= {row["seed"] for row in commits.values()} and "4" not in {
        row["seed"] for row in commits.values()
    }


def test_a_failing_stage_shows_its_last_lines_and_stops_only_what_needs_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    state = run(overrides=["baseline.fail=true", "gan.steps=4"], experiment="failing")
    assert state.is_failed()
    why = "train_baseline (no baseline today); not run, because they need these: compare, report"
    assert f"failed: {why}" in state.message
    found = tasks(state)
    assert found["train_gan@10"].state_name == "Ran"
    assert all(task.state.is_final() for task in found.values()), "a pending one would stay so in the page for good"
    assert [found[name].state.message for name in ("compare", "report")] == [
        "it needs train_baseline",
        "it needs compare",
    ]
    assert "no baseline today" in found["train_baseline"].state.message
    assert found["train_baseline"].run_count == 1
    assert "run failed" in caplog.text
    assert not any("Traceback" in line for line in logs(state)), "the message says it all"
    assert list(here.glob(".prefect/workspaces/*")) == []


@pytest.mark.parametrize(
    ("overrides", "line"),
    [(["gan.stepz=1"], "stepz"), (["gan.recipe.x=1"], "recipe")],
)
def test_an_unknown_param_is_one_line(overrides: list[str], line: str) -> None:
    state = run(overrides=overrides)
    assert state.is_failed() and line in state.message and "\n" not in state.message


def test_no_dvc_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    state = run()
    assert state.is_failed() and "run `dvc init`" in state.message and "\n" not in state.message


def test_a_dirty_lock_is_one_line(here: Path) -> None:
    lock = (here / "dvc.lock").read_text()
    (here / "dvc.lock").write_text("<<<<<<< HEAD\n" + lock)
    state = run()
    (here / "dvc.lock").write_text(lock)
    assert state.is_failed() and "dvc.lock" in state.message and "\n" not in state.message


def test_a_save_waits_for_an_output_that_another_run_holds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save, "retry_delay_seconds", 0.1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        held = {"write": {str(here / "artifacts/split"): {"pid": other.pid, "cmd": "dvc repro"}}}
        (here / ".dvc/tmp/rwlock").write_text(json.dumps(held))

        @flow
        def saving() -> bool:
            return save(Checkout(here, Processes()), "waited", Study())

        may_pass = save.retry_condition_fn

        def asked(*given: Any) -> bool:
            other.communicate(b"\n")  # the first try has failed; DVC takes a lock away whose process has ended
            return may_pass(*given)

        monkeypatch.setattr(save, "retry_condition_fn", asked)
        state = saving(return_state=True)
    dvc(here, "exp", "remove", "waited")
    assert state.is_completed(), state.message
    assert tasks(state)["save"].run_count == 2


def test_an_unreachable_remote_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in (pull, push):
        monkeypatch.setattr(one, "retry_delay_seconds", 0.1)  # in place of 10: both are tried three times
    dvc(here, "remote", "add", "--local", "--default", "nowhere", "http://127.0.0.1:9/none")
    pushed = run(push=True, overrides=["study.seed=9"], targets=["split"])
    pulled = run(pull=True, overrides=["study.seed=9"], targets=["split"])
    dvc(here, "remote", "remove", "--local", "nowhere")
    assert pushed.is_failed() and "dvc push" in pushed.message and "\n" not in pushed.message
    assert pulled.is_failed() and "\n" not in pulled.message
    assert "dvc pull: the remote http://127.0.0.1:9/none does not answer (Connection refused)" in pulled.message


def test_a_remote_folder_that_is_not_there_is_one_line(here: Path, tmp_path: Path) -> None:
    store, checkout = tmp_path / "store", Checkout(here, Processes())
    dvc(here, "remote", "add", "--local", "--default", "store", str(store))
    with pytest.raises(CommandFailed) as failed:
        checkout.pull(print)
    store.mkdir()
    checkout.pull(print)  # an empty one lacks the data, and that is all
    dvc(here, "remote", "remove", "--local", "store")
    assert failed.value.line == f"dvc pull: the remote {store} is no folder on this machine; mount it, or make it"


def test_a_fresh_seed_of_a_part_runs_that_part(here: Path) -> None:
    found = outcomes(run(fresh="seed", targets=["train_baseline"]))
    assert found == {"split": "Ran", "train_baseline": "Ran"}


def test_a_killed_flow_leaves_no_orphan_and_the_next_run_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; from flows.study import *; augmentation_study(Study(overrides=sys.argv[1:], experiment='killed'))"
    )
    env = os.environ | {"PYTHONPATH": str(PROJECT), "PREFECT_API_URL": PREFECT_API_URL.value()}
    overrides = ["gan.sleep=0.2", "gan.steps=600"]
    process = subprocess.Popen([sys.executable, "-c", code, *overrides], cwd=here, env=env)
    alive = here / ".prefect/workspaces/killed/tree/alive"
    until = time.monotonic() + 90
    while not alive.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    process.kill()
    process.wait()
    until, last = time.monotonic() + 10, ""
    while (now := alive.read_text()) != last:
        assert time.monotonic() < until, "an orphan still writes"
        last = now
        time.sleep(1)  # five of its writes
    monkeypatch.setattr("flows.slots.ABANDONED", 1.0)  # the killed flow's slots
    assert outcomes(run(overrides=["gan.steps=5"], targets=["train_gan"], experiment="next"))["train_gan@10"] == "Ran"
    assert list(here.glob(".prefect/workspaces/*")) == []
    with get_client(sync_client=True) as client:  # the killed flow's slots that nobody waited for
        client.update_global_concurrency_limit(Slots(here).cores_limit, GlobalConcurrencyLimitUpdate(active_slots=0))


def test_a_sweep_compares_studies_that_run_at_the_same_time(here: Path) -> None:
    sweep = Sweep(variants=[["study.seed=4"], ["study.seed=5"]], base=Study(targets=["compare"]))
    assert recipe_sweep(sweep, return_state=True).is_completed()
    rows = json.loads(artifact("sweep").data)
    assert [row["delta"] for row in rows] == [1.4, 1.5]
    assert [row["verdict"] for row in rows] == ["inconclusive", "helps"]
    assert {result.experiment for result in read_history(here)} >= {row["experiment"] for row in rows}


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_other_task_runners_bring_the_same_results(here: Path, runner: str) -> None:
    pytest.importorskip(f"prefect_{runner}", reason=f"the extra {runner} is not installed")
    variants, heard = [["study.seed=4"], ["gan.stepz=1"]], Listeners()
    sweep = Sweep(variants=variants, base=Study(targets=["compare"]), runner=runner)  # type: ignore[arg-type]
    with heard:
        state = recipe_sweep(sweep, return_state=True)
    first, second = json.loads(artifact("sweep").data)
    assert (first["state"], first["delta"], first["verdict"]) == ("Completed", 1.4, "inconclusive")
    assert second["state"] == "Failed" and second["delta"] is None
    assert state.is_failed() and f"failed: {second['experiment']}; the others are in the table" in state.message
    assert heard.processes > 1 and heard.addresses <= {"127.0.0.1", "::1"}


def test_two_stages_never_share_a_gpu_and_cores_are_shared(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.slots.joblib.cpu_count", lambda: 2)
    programs = tmp_path / "bin"
    programs.mkdir()
    programs.joinpath("nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA of a test (UUID: GPU-0)'\n")
    programs.joinpath("nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for device, meet, met in (("cuda", 5, "train_gan was alone"), ("cpu", 60, "train_gan met another")):
        asked = [f"compute.device={device}", f"gan.meet={meet}"]
        state = run(overrides=asked, targets=["train_gan"], experiment=f"on-{device}")
        assert outcomes(state)["train_gan@10"] == outcomes(state)["train_gan@20"] == "Ran"
        assert [line for line in logs(state) if line.startswith("train_gan ")] == [met, met]
    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name(f"gpu-{socket.gethostname().lower()}")
    assert (limit.limit, limit.active_slots) == (1, 0)
