"""Workers that are forks of a server: what they have loaded, their threads, their bytes, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from small_study import BUDGET, ROOT, Study
from toy_images import bright_corners
from waiting import wait_for

from pipeline.stages import split, train_baseline, train_gan, train_teacher

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="elsewhere each worker begins from nothing"
)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | {
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
}
LOOK = """
import sys
from pathlib import Path

from pipeline import workers

if __name__ == "__main__":
    Path("stage.py").write_text("import wave\\nfrom pipeline.compute import in_workers\\n")
    workers.LATER["pipeline.stages.toy"] = ["imblearn.over_sampling"]
    workers.begin("pipeline.stages.toy", Path("stage.py"))

import json, os, signal, time

import psutil
import threadpoolctl
from pipeline.compute import ComputeConfig, in_workers


def look(_):
    time.sleep(0.5)
    import torch

    loaded = [name for name in ("wave", "imblearn.over_sampling") if name in sys.modules]
    threads = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] + [torch.get_num_threads()]
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    server = psutil.Process(os.getppid())
    return os.getpid(), (server.pid, server.num_threads()), loaded, threads, ignored


if __name__ == "__main__":
    looks = in_workers(look, [(number,) for number in range(4)], ComputeConfig(device="cpu", workers=2))
    kept = os.environ.get("OMP_NUM_THREADS"), signal.getsignal(signal.SIGINT) == signal.default_int_handler
    print(json.dumps([os.getpid(), looks, kept]))
"""


def test_workers_have_loaded_what_the_stage_imports_and_have_one_thread(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    done = subprocess.run([sys.executable, "look.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    stage, looks, kept = json.loads(done.stdout)
    assert kept == [None, True], "of the stage itself nothing is changed"
    assert len({look[0] for look in looks}) == 2
    ((server, forked),) = {tuple(look[1]) for look in looks}
    assert server != stage and forked == 1, "a process with threads cannot be forked safely"
    for _, _, loaded, threads, ignored in looks:
        assert loaded == ["wave", "imblearn.over_sampling"]
        assert set(threads) == {1} and len(threads) > 1
        assert ignored


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Up to its split, for two workers."""
    monkeypatch.chdir(tmp_path)
    made = Study(tmp_path, compute={"device": "cpu", "workers": 2})
    made.data(bright_corners(30, seed=0), bright_corners(10, seed=1))
    made.run(split.split, train_teacher.train_teacher)
    return made


def started(stage: str) -> subprocess.Popen[str]:
    """In a group of its own, as from a shell."""
    command = [sys.executable, "-m", f"pipeline.stages.{stage}", "--budget", str(BUDGET), "--params", "params.yaml"]
    return subprocess.Popen(
        command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("kind", "body"), [("gan", train_gan.train_gan), ("baseline", train_baseline.train_baseline)])
def test_a_stage_has_the_same_bytes_as_one_by_one(study: Study, kind: str, body: Callable[..., None]) -> None:
    process = started(f"train_{kind}")
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), err
    theirs = outputs(Path(f"artifacts/{kind}"))
    study.params["compute"]["workers"] = 1
    Path("params.yaml").write_text(json.dumps(study.params))
    Path(".cache").rename("other cache")
    study.run(body)
    ours = outputs(Path(f"artifacts/{kind}"))
    assert ours == theirs and len(ours) > 3


def training(study: Study) -> tuple[subprocess.Popen[str], list[psutil.Process], list[psutil.Process]]:
    """A long training, once two workers are at it; all processes that it started, and of these the workers."""
    study.params["gan"]["steps"] = 100_000
    Path("params.yaml").write_text(json.dumps(study.params))
    process = started("train_gan")
    stage = psutil.Process(process.pid)

    def is_at_it(child: psutil.Process) -> bool:
        try:
            return child.ppid() != process.pid and sum(child.cpu_times()[:2]) > 1  # of its own, since it was forked
        except psutil.NoSuchProcess:  # libraries start short programs as they are imported
            return False

    def workers() -> list[psutil.Process]:
        return [child for child in stage.children(recursive=True) if is_at_it(child)]

    wait_for(lambda: len(workers()) == 2, 60)
    return process, stage.children(recursive=True), workers()


def assert_ended(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        process.kill()
    assert not alive


def test_no_worker_outlives_a_stage_that_was_killed(study: Study) -> None:
    process, children, _ = training(study)
    process.kill()
    process.wait()
    assert_ended(children)


SLEEP = """
import os, time
from pathlib import Path

from pipeline.compute import ComputeConfig, in_workers


def sleep(_):
    Path(f"worker-{os.getpid()}").touch()
    time.sleep(60)


if __name__ == "__main__":
    in_workers(sleep, [(0,), (1,)], ComputeConfig(device="cpu", workers=2))
"""


def test_no_worker_outlives_a_stage_without_a_server_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "sleep.py").write_text(SLEEP)
    process = subprocess.Popen(
        [sys.executable, "sleep.py"], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len([*tmp_path.glob("worker-*")]) == 2, 120)
    workers = [psutil.Process(int(path.name.split("-")[1])) for path in tmp_path.glob("worker-*")]
    process.kill()
    _, err = process.communicate(timeout=30)
    assert_ended(workers)
    assert "Traceback" not in err, err


def test_an_interrupt_of_all_ends_in_one_line(study: Study) -> None:
    process, children, _ = training(study)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (
        130,
        f"train_gan@{BUDGET}: interrupted; `dvc repro` takes up where it stopped\n",
    )
    assert_ended(children)


def test_a_worker_that_is_killed_ends_the_stage_in_one_line(study: Study) -> None:
    process, children, workers = training(study)
    workers[0].kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.startswith(f"train_gan@{BUDGET}: a worker process was killed, most likely for want of memory; lower ")
    assert err.count("\n") == 1
    assert_ended(children)
