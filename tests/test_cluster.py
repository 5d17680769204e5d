"""A study on a real Dask and a real Ray cluster on loopback: the same bytes, workers killed, one line where it fails.

Ray is not in `dev`; its tests are skipped where it is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cluster_jobs import DYING, double, train_classifier_or_die, train_gan_or_die
from small_study import BUDGET, Study
from toy_images import bright_corners
from waiting import wait_for

from pipeline import cluster, compute
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.errors import InputError
from pipeline.stages import arms, compare, split, train_gan, train_oracle, train_teacher
from pipeline.stages.stage import Stage

ROOT = Path(__file__).parent.parent
STUDY: dict[str, dict[str, Any]] = {
    # Long enough for a record in the middle of each training, at which a worker dies.
    "gan": {"steps": 4},
    "classifier": {"steps": 60},
    "controls": {"models": ["knn"]},
    "variants": {"generated": [{"name": "soft", "of": "real+gan", "labels": "soft"}]},
}
BUDGETS = (BUDGET, BUDGET + 1)
LOCAL = ComputeConfig(device="cpu", workers=1)
# The second name is misleading: on Linux too, it keeps Ray on loopback.
QUIET_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Running(NamedTuple):
    """A cluster of two workers. told: where jobs of cluster_jobs leave the numbers of their processes."""

    backend: str
    address: str
    told: Path

    @property
    def section(self) -> dict[str, Any]:
        return {"device": "cpu", "backend": self.backend, "address": self.address}

    @property
    def config(self) -> ComputeConfig:
        return ComputeConfig(**self.section)


def first_on_path(path: str) -> str:
    return os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH"))))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def started(folder: Path, *commands: list[str], path: str = f"{ROOT}{os.pathsep}{ROOT / 'tests'}") -> Iterator[None]:
    """`python -m COMMAND` for each, in a folder of their own; ended with all that they started."""
    environment = os.environ | QUIET_RAY | {"PYTHONPATH": first_on_path(path), "SYNTHGAIN_TOLD": str(folder)}
    with (folder / "log").open("w") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            for command in commands
        ]
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(15)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def dask_cluster(folder: Path, **options: str) -> Iterator[Running]:
    address = f"tcp://127.0.0.1:{free_port()}"
    # torch beforehand: imported with the first job, it would make the scheduler deaf to a second stage for seconds.
    scheduler = ["dask", "scheduler", "--host", address, "--no-dashboard", "--no-show", "--preload", "torch"]
    # Each under a nanny, Dask's usual way: it starts another in the place of one that dies.
    worker = [
        "dask",
        "worker",
        address,
        "--host",
        "127.0.0.1",
        "--nthreads",
        "1",
        "--no-dashboard",
        "--preload",
        "torch",
    ]
    with started(folder, scheduler, worker, worker, **options):
        wait_for_answer(address)
        with importlib.import_module("distributed").Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, 120)
        yield Running("dask", address, folder)


@contextmanager
def ray_cluster(folder: Path) -> Iterator[Running]:
    address = f"127.0.0.1:{free_port()}"
    head = f"start --head --block --num-cpus=2 --node-ip-address=127.0.0.1 --port={address.split(':')[1]}"
    head += " --include-dashboard=false --object-store-memory=80000000 --disable-usage-stats"
    with started(folder, ["ray.scripts.scripts", *head.split()]):
        wait_for_answer(address)
        yield Running("ray", address, folder)


def wait_for_answer(address: str) -> None:
    host, port = address.rpartition("//")[2].split(":")
    wait_for(lambda: socket.socket().connect_ex((host, int(port))) == 0, 120)


@pytest.fixture(scope="module", params=["dask", "ray"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if importlib.util.find_spec({"dask": "distributed", "ray": "ray"}[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET_RAY.items():
            patch.setenv(name, value)
        with (dask_cluster if request.param == "dask" else ray_cluster)(folder) as found:
            yield found


def new_study(folder: Path, **changes: dict[str, Any]) -> Study:
    """In `folder`, the working one; its images."""
    study = Study(folder, **STUDY | changes)
    study.data(bright_corners(30, seed=0), bright_corners(10, seed=1))
    return study


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All files of a whole study that was computed on this machine."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        new_study(folder).all()
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for kind in ("artifacts", "results") for path in (folder / kind).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_whole_study_has_the_same_bytes_though_two_workers_were_killed(
    running: Running,
    here: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One in the middle of a GAN's training, one in that of an arm that uses its digits."""
    monkeypatch.chdir(tmp_path)
    study = new_study(tmp_path, compute=running.section)
    study.run(train_oracle.train_oracle, split.split, train_teacher.train_teacher)
    for name in DYING:
        (running.told / f"{name}-dies").touch()
    monkeypatch.setattr(train_gan, "train_replicate", train_gan_or_die)
    study.run(train_gan.train_gan)
    assert "train_gan: step 12 of 12, generator" in capsys.readouterr().out  # told by processes elsewhere
    monkeypatch.setattr(arms, "train_replicate", train_classifier_or_die)
    study.rest()
    study.run(compare.compare)
    for name in DYING:
        (killed,) = running.told.glob(f"{name}-died-*")
        others = {path.name for path in running.told.glob(f"{name}-at-*")} - {killed.name.replace("died", "at")}
        assert others, "another process took over"
    assert len([name for name in here if name.startswith("results/")]) >= 9
    assert files(tmp_path) == here


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Two budgets up to their GANs, as the present folder."""
    monkeypatch.chdir(tmp_path)
    made = new_study(tmp_path, study={"budgets": [*BUDGETS]})
    for budget in BUDGETS:
        for name, body in (("split", split.split), ("train_teacher", train_teacher.train_teacher)):
            body(Stage(f"{name}@{budget}", budget, made.params, tmp_path / "params.yaml"))
    return made


def begun(study: Study, budget: int, *python: str) -> subprocess.Popen[str]:
    """Stage train_gan of `budget` as a process of its own, where the study's params say."""
    (study.folder / "params.yaml").write_text(json.dumps(study.params))
    command = [sys.executable, *(python or ("-m", "pipeline.stages.train_gan"))]
    command += ["--budget", str(budget), "--params", "params.yaml"]
    environment = os.environ | {"PYTHONPATH": first_on_path(str(ROOT))}
    return subprocess.Popen(
        command, cwd=study.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_budgets_side_by_side_on_one_cluster_have_the_same_bytes(running: Running, study: Study) -> None:
    for budget in BUDGETS:
        train_gan.train_gan(Stage(f"train_gan@{budget}", budget, study.params, study.folder / "params.yaml"))
    local = files(study.folder)
    shutil.rmtree("artifacts/gan")
    shutil.rmtree(".cache")
    study.params["compute"] |= running.section
    processes = [begun(study, BUDGETS[0])]
    if running.backend == "ray" and processes[0].stdout is not None:
        # A stage waits until it has all its CPUs, here both: two that began together could each hold one.
        processes[0].stdout.readline()
    processes.append(begun(study, BUDGETS[1]))
    for process in processes:
        _, err = process.communicate(timeout=300)  # much of it is two imports of torch, on a busy machine
        assert process.returncode == 0, err
    shutil.rmtree("artifacts/runs")  # who computed it, and how long it took
    assert files(study.folder) == local
    assert len([name for name in local if name.startswith("artifacts/gan/")]) > 20


def run(numbers: list[int], folder: Path, config: ComputeConfig) -> list[dict[str, Any]]:
    return run_replicates(double, [{"number": n, "folder": folder} for n in numbers], config, "toy", [2] * len(numbers))


def calls(folder: Path) -> list[int]:
    marks = list(folder.glob("called-*"))
    for mark in marks:
        mark.unlink()
    return sorted(int(mark.name.split("-")[1]) for mark in marks)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("cache")
def test_a_study_moves_half_way(running: Running, tmp_path: Path) -> None:
    run([1, 2], tmp_path, LOCAL)
    assert calls(tmp_path) == [1, 2]
    results = run([1, 2, 3, 4], tmp_path, running.config)
    assert [int(result["doubled"][0]) for result in results] == [2, 4, 6, 8]
    assert calls(tmp_path) == [3, 4]
    assert {result["threads"] for result in results} == {1}
    assert {result["pid"] for result in results[2:]}.isdisjoint({os.getpid()})
    run([4, 3, 5], tmp_path, LOCAL)
    assert calls(tmp_path) == [5]


@pytest.mark.usefixtures("cache")
def test_one_job_goes_to_the_cluster_too_and_fails_with_its_own_line(running: Running, tmp_path: Path) -> None:
    (result,) = run([1], tmp_path, running.config)
    assert result["pid"] != os.getpid()
    (tmp_path / "refuse").write_text("2")
    with pytest.raises(InputError, match=r"^data\.root: 2 refused$"):
        run([2], tmp_path, running.config)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("sent_by", "message"),
    [
        (cluster.Origin({}, "1.0"), r"^worker on .* has torch .*, this machine 1\.0: the bytes would differ; install"),
        (cluster.Origin({"pipeline.gan.losses": "0"}, ""), "has another pipeline.gan.losses; install this commit"),
        (cluster.Origin({"pipeline.new": "0"}, ""), "has another pipeline.new; install this commit there"),
    ],
)
def test_a_worker_unlike_the_sender_refuses(
    sent_by: cluster.Origin, message: str, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_by = sent_by if sent_by.torch else sent_by._replace(torch=cluster.origin().torch)
    monkeypatch.setattr(compute, "origin", lambda: sent_by)
    with pytest.raises(InputError, match=message) as error:
        run([1], tmp_path, running.config)
    assert "\n" not in str(error.value)
    assert calls(tmp_path) == []


@pytest.mark.usefixtures("cache")
def test_a_dask_cluster_without_the_package_ends_in_one_line(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    (stranger / "pipeline").mkdir(parents=True)
    (stranger / "pipeline/__init__.py").touch()  # before ours: a package of that name that holds nothing
    with dask_cluster(stranger, path=str(stranger)) as lacking:
        began = time.monotonic()
        with pytest.raises(InputError, match="install this commit there and restart it") as error:
            run([1, 2, 3], tmp_path, lacking.config)
        assert time.monotonic() - began < 60  # joblib alone would wait for ever
    assert "\n" not in str(error.value)


def test_a_second_replicate_in_one_process_is_refused() -> None:
    here = cluster.origin()
    with cluster.worker(here), pytest.raises(InputError, match="start it with `--nthreads 1`"), cluster.worker(here):
        raise AssertionError("let in")
    with cluster.worker(here):
        pass


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_no_address_says_which_variable(backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend])
    names = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}
    monkeypatch.delenv(names[backend], raising=False)
    with pytest.raises(InputError, match=rf"^compute\.address: null, and {names[backend]} is not set"):
        run([1], tmp_path, ComputeConfig(backend=backend))


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_no_cluster_is_one_line_and_status_2_within_seconds(backend: str, study: Study) -> None:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend])
    study.params["compute"] |= {"backend": backend, "address": f"127.0.0.1:{free_port()}"}
    process = begun(study, BUDGET)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith(f"train_gan@{BUDGET}: compute.address: no {backend.capitalize()} ")
    assert err.count("\n") == 1
    assert not (study.folder / "artifacts/gan").exists()


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, {"dask": "distributed", "ray": "ray"}[backend], None)
    with pytest.raises(InputError, match=rf"pip install 'synthgain\[{backend}\]'"):
        run([1], tmp_path, ComputeConfig(backend=backend, address="127.0.0.1:1"))


def test_a_stage_trains_where_neither_dvc_nor_prefect_is_installed(study: Study) -> None:
    code = "import runpy, sys; sys.modules.update(dvc=None, prefect=None); sys.argv = sys.argv[1:]; "
    code += "runpy.run_module('pipeline.stages.train_gan', run_name='__main__')"
    process = begun(study, BUDGET, "-c", code, "train_gan")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert (study.folder / f"artifacts/gan/{BUDGET}/generator-1.safetensors").exists()
