"""Replicates in parallel give what they give one by one, are kept when finished, and say how far they are."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from pipeline import compute
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.compute import ComputeConfig, resolve_device, resolve_workers, run_replicates
from pipeline.config import from_mapping
from pipeline.distortion import Distortion
from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.progress import Elsewhere, Here, Progress, listening
from pipeline.stages.stage import read_params

ONE_BY_ONE = ComputeConfig(device="cpu", workers=1)
PARALLEL = ComputeConfig(device="cpu", workers=2)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests here, as a repository has one; their jobs differ by `tmp_path`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compute, "CACHE", tmp_path_factory.mktemp("cache"))
        run([0], tmp_path_factory.mktemp("first"))
        yield


def double(number: int, folder: Path, device: torch.device, report: Callable[[dict[str, float]], None]) -> dict:
    """Leaves a mark in `folder` each time it is really called; refuses what a file `refuse` there names."""
    if (folder / "refuse").exists() and (folder / "refuse").read_text() == str(number):
        raise InputError(f"data.root: {number} refused")
    (folder / f"called-{number}-{time.monotonic_ns()}").touch()
    report({"step": 1, "loss": 3.0})
    report({"step": 2, "loss": number / 4})
    return {"doubled": np.array([2 * number]), "threads": torch.get_num_threads(), "device": device.type}


def run(numbers: list[int], folder: Path, config: ComputeConfig = ONE_BY_ONE) -> list[int]:
    jobs = [{"number": number, "folder": folder} for number in numbers]
    return [int(result["doubled"][0]) for result in run_replicates(double, jobs, config, "toy", [2] * len(jobs))]


def calls(folder: Path) -> list[int]:
    """The numbers that were really computed since the last look."""
    marks = list(folder.glob("called-*"))
    for mark in marks:
        mark.unlink()
    return sorted(int(mark.name.split("-")[1]) for mark in marks)


def test_parallel_gives_the_same_bytes_as_one_by_one(
    toy: LabelledImages, fresh_toy: LabelledImages, root: Path
) -> None:
    config = from_mapping(ClassifierConfig, read_params(root / "params.yaml")["classifier"], "classifier")
    config = dataclasses.replace(config, width=4, steps=10, batch_size=12)
    material = Material(toy, None, Distortion(), 0.5)
    jobs = [{"material": material, "test_pixels": fresh_toy.pixels, "config": config, "seed": s} for s in (1, 2, 3)]
    # float32 is what `auto` means on a CPU, but another place in the cache: each computes for itself.
    parallel = dataclasses.replace(PARALLEL, precision="float32")
    ones, others = (run_replicates(train_replicate, jobs, where, "toy", [10] * 3) for where in (ONE_BY_ONE, parallel))
    for one, other in zip(ones, others, strict=True):
        assert one["history"] == other["history"]
        assert one["predictions"].tobytes() == other["predictions"].tobytes()
        for name, weights in one["weights"].items():
            assert weights.tobytes() == other["weights"][name].tobytes(), name
    assert len({result["weights"]["linear.weight"].tobytes() for result in others}) == 3


@pytest.mark.parametrize("config", [ONE_BY_ONE, PARALLEL])
def test_finished_replicates_are_not_computed_again(config: ComputeConfig, tmp_path: Path) -> None:
    assert run([5, 3, 4], tmp_path, config) == [10, 6, 8]
    assert calls(tmp_path) == [3, 4, 5]
    assert run([3, 4, 5, 6], tmp_path, config) == [6, 8, 10, 12]
    assert calls(tmp_path) == [6]


def test_what_writes_files_is_computed_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        jobs = [{"number": number, "folder": tmp_path} for number in (3, 4)]
        results = run_replicates(double, jobs, ONE_BY_ONE, "toy", [2] * 2, keep=False)
        assert [int(result["doubled"][0]) for result in results] == [6, 8]
        assert calls(tmp_path) == [3, 4]
    assert run([3], tmp_path) == [6] and calls(tmp_path) == [3], "nor is it kept for others"


def test_where_it_ran_does_not_count(tmp_path: Path) -> None:
    run([1, 2], tmp_path, ONE_BY_ONE)
    calls(tmp_path)
    assert run([1, 2], tmp_path, PARALLEL) == [2, 4]
    assert calls(tmp_path) == []


def test_another_precision_is_computed_again(tmp_path: Path) -> None:
    run([1], tmp_path)
    run([1], tmp_path, ComputeConfig(device="cpu", precision="float32", workers=1))
    assert calls(tmp_path) == [1, 1]


def test_another_code_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pipeline.planted")
    module.__file__ = str(tmp_path / "planted.py")
    monkeypatch.setitem(sys.modules, "pipeline.planted", module)
    for code, expected in (("1", [1]), ("1", []), ("2", [1]), ("1", [])):
        (tmp_path / "planted.py").write_text(code)
        run([1], tmp_path)
        assert calls(tmp_path) == expected


def test_a_replicate_has_one_thread_and_the_caller_keeps_its_own(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for config in (ONE_BY_ONE, PARALLEL):
            jobs = [{"number": number, "folder": tmp_path} for number in (10 * (config.workers or 0), 11)]
            results = run_replicates(double, jobs, config, "toy", [2] * 2)
            assert [(result["threads"], result["device"]) for result in results] == [(1, "cpu"), (1, "cpu")]
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_plain_line_says_the_steps_of_all_replicates_and_the_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([1, 2, 3], tmp_path)
    assert capsys.readouterr().out == "toy: step 6 of 6, loss 0.750, 0 s left\n"


def test_plain_lines_come_seldom_and_tell_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("gan", 400) as progress:
        for step in (20, 40, 60, 80, 100):
            for replicate in (0, 1):
                Here(progress, replicate)({"step": step, "generator_loss": 0.5, "spread": 9, "discriminator_loss": 1})
            now[0] += 6
    # two lines in 30 seconds: after 12 s and 24 s, with 120 - 20 and 200 - 20 steps done
    assert capsys.readouterr().out.splitlines() == [
        "gan: step 100 of 400, generator 0.500 discriminator 1.000, 36 s left",
        "gan: step 180 of 400, generator 0.500 discriminator 1.000, 29 s left",
    ]


def test_what_an_earlier_run_has_done_counts_as_done_but_not_as_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("gan", 400, before=200) as progress:
        now[0] += 20
        Here(progress, 0)({"step": 50, "loss": 1.0})
    assert capsys.readouterr().out == "gan: step 250 of 400, loss 1.000, 60 s left\n"  # 50 steps in 20 s, 150 to go


def test_finished_replicates_count_as_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run([1], tmp_path)
    run([1, 2, 3], tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "toy: step 6 of 6, loss 0.750, 0 s left"


def test_another_process_reports_to_the_same_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("toy", 7) as progress, listening(progress) as address:
        reports = [Elsewhere(address, number) for number in (0, 1)]
        reports[0]({"step": 2, "loss": 1.0})
        reports[1]({"step": 5, "loss": 2.0})
        deadline = time.monotonic() + 20
        while progress.done != {0: 2, 1: 5} and time.monotonic() < deadline:
            time.sleep(0.01)
    assert progress.done == {0: 2, 1: 5}
    assert "step 7 of 7" in capsys.readouterr().out


def test_what_a_stranger_sends_is_not_shown_and_a_listener_that_is_gone_costs_nothing() -> None:
    with Progress("toy", 7) as progress, listening(progress) as address:
        Elsewhere(address._replace(word="guessed"), 0)({"step": 3, "loss": 1.0})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for message in (b"", b"\xff", b"[]", b"{}", b"3", b'[["x"], 0, {}]'):
                stranger.sendto(message, (address.host, address.port))
        Elsewhere(address, 1)({"step": 4, "loss": 1.0})
    assert progress.done == {1: 4}
    Elsewhere(address, 1)({"step": 5, "loss": 1.0})
    Elsewhere(address._replace(host="no.such.host.invalid"), 1)({"step": 5, "loss": 1.0})
    assert progress.done == {1: 4}


def test_several_gpus_have_a_process_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [resolve_workers(ComputeConfig(workers=1), jobs) for jobs in (1, 2, 3, 10)] == [1, 2, 3, 3]
    monkeypatch.setattr(compute, "_begin_worker", remember_device)  # torch's refuses without a GPU
    there = compute._processes(ComputeConfig(device="cuda"), 2)
    pairs = joblib.Parallel(**there)(joblib.delayed(process_and_device)(0.2) for _ in range(8))
    assert sorted(set(pairs)) == sorted(dict(pairs).items()), "a process has one device"
    assert sorted(dict(pairs).values()) == [0, 1]


def remember_device(devices: Any) -> None:
    os.environ["SYNTHGAIN_TEST_DEVICE"] = str(devices.get())


def process_and_device(seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return os.getpid(), int(os.environ["SYNTHGAIN_TEST_DEVICE"])


DEVICES = """
import sys
from pathlib import Path

from pipeline import workers

if __name__ == "__main__":
    Path("stage.py").write_text("from pipeline.compute import in_workers\\n")
    workers.begin("pipeline.stages.toy", Path("stage.py"))

import json
import os
import time

import joblib
import torch

from pipeline import compute


def remember(devices):
    os.environ["SYNTHGAIN_TEST_DEVICE"] = str(devices.get())


def look():
    time.sleep(0.2)
    return os.getpid(), os.getppid(), int(os.environ["SYNTHGAIN_TEST_DEVICE"])


if __name__ == "__main__":
    torch.cuda.is_available, torch.cuda.device_count = (lambda: True), (lambda: 2)
    compute._begin_worker = remember
    there = compute._processes(compute.ComputeConfig(device="cuda"), 2)
    print(json.dumps([os.getpid(), joblib.Parallel(**there)(joblib.delayed(look)() for _ in range(8))]))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="elsewhere there is no server of workers"
)
def test_several_gpus_have_a_process_each_where_workers_are_forks_of_a_server(tmp_path: Path, root: Path) -> None:
    (tmp_path / "look.py").write_text(DEVICES)
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "look.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stage, looks = json.loads(done.stdout)
    assert stage not in {server for _, server, _ in looks}, "forks of a server"
    pairs = [(process, device) for process, _, device in looks]
    assert sorted(set(pairs)) == sorted(dict(pairs).items()), "a process has one device"
    assert sorted(dict(pairs).values()) == [0, 1]


def test_a_cluster_is_asked_for_the_device_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device(ComputeConfig(device="cuda", backend="dask")).type == "cuda"  # its workers will say
    for gpu, found in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert resolve_device(ComputeConfig(backend="ray")).type == found  # as on this machine
    assert compute.describe(ComputeConfig(device="cpu", backend="ray"), [{}] * 6) == {"device": "CPU", "workers": "ray"}


def test_a_device_is_found_or_refused_by_name() -> None:
    assert resolve_device(ComputeConfig(device="cpu")).type == "cpu"
    gpu = torch.cuda.is_available()
    assert resolve_device(ComputeConfig(device="auto")).type == ("cuda" if gpu else "cpu")
    if not gpu:
        with pytest.raises(InputError, match=r"^compute\.device: cuda asked for, but torch sees no GPU"):
            resolve_device(ComputeConfig(device="cuda"))


def test_a_refused_device_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config: dict[str, Any] = {"device": "cuda", "workers": 1}
    with pytest.raises(InputError, match=r"^compute\.device: "):
        run([1], tmp_path, ComputeConfig(**config))
    assert calls(tmp_path) == []


@pytest.mark.parametrize("config", [ONE_BY_ONE, PARALLEL])
def test_a_failed_replicate_keeps_those_that_finished_and_says_its_line(config: ComputeConfig, tmp_path: Path) -> None:
    run([1], tmp_path)
    (tmp_path / "refuse").write_text("2")
    with pytest.raises(InputError, match=r"^data\.root: 2 refused$"):
        run([1, 2], tmp_path, config)
    (tmp_path / "refuse").unlink()
    assert calls(tmp_path) == [1]
    assert run([1, 2], tmp_path) == [2, 4]
    assert calls(tmp_path) == [2]
