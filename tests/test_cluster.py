"""A study on a real Dask and a real Ray cluster on loopback: the same bytes, a worker killed, one line where it fails.

Ray is not in `dev`; its tests are skipped where it is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cluster_jobs import double, train_and_tell
from ruamel.yaml import YAML

from pipeline import cluster, compute
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.errors import InputError
from pipeline.images import LabelledImages, save_arrays
from pipeline.split import PseudoLabels, Split
from pipeline.stages import train_baseline as baseline_stage
from pipeline.stages import train_gan as gan_stage
from pipeline.stages.stage import Stage, read_params

ROOT = Path(__file__).parent.parent
TINY = {
    "study": {"budgets": [5], "replicates": 2, "seed": 7},
    "gan": {"steps": 16},
    "classifier": {"width": 4, "steps": 10},
    "arms": {"copies_per_class": 10, "interpolated_per_class": 10},
}
LOCAL = ComputeConfig(device="cpu", workers=1)
# The second name is misleading: on Linux too, it keeps Ray on loopback.
QUIET_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Running(NamedTuple):
    """A cluster of two workers. told: where `train_and_tell` leaves the number of its process."""

    backend: str
    address: str
    told: Path

    @property
    def config(self) -> ComputeConfig:
        return ComputeConfig(device="cpu", backend=self.backend, address=self.address)  # type: ignore[arg-type]


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
    scheduler = ["dask", "scheduler", "--host", address, "--no-dashboard", "--no-show"]
    worker = ["dask", "worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    with started(folder, scheduler, worker, worker, **options):
        wait_for_answer(address)
        with importlib.import_module("distributed").Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, 60)
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
    wait_for(lambda: socket.socket().connect_ex((host, int(port))) == 0, 60)


def wait_for(condition: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


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


@pytest.fixture
def study(tmp_path: Path, digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which stages train_gan and train_baseline can run, as the present one."""
    monkeypatch.chdir(tmp_path)
    order = np.argsort(np.tile(np.arange(20), 10), kind="stable")  # the first of each class, then the second, ...
    digits.save(Path("artifacts/data/train.npz"))
    save_arrays(Path("artifacts/data/test_images.npz"), pixels=digits.pixels[:50])
    subsets, nothing = order[:100].reshape(2, 50), np.empty((2, 0), np.int64)
    Split(subsets, digits.labels[subsets], nothing, order[100:]).save(Path("artifacts/splits/5.npz"))
    PseudoLabels(nothing, nothing.astype(bool)).save(Path("artifacts/pseudo/5.npz"))
    shutil.copytree(ROOT / "conf", "conf")
    yaml = YAML()
    values = yaml.load(ROOT / "params.yaml")
    for section, changes in TINY.items():
        values[section].update(changes)
    yaml.dump(values, Path("params.yaml"))
    return tmp_path


def train(folder: Path, config: ComputeConfig, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What both stages write, computed where `config` says and nowhere before."""
    for written in ("gan", "baseline"):
        shutil.rmtree(folder / "artifacts" / written, ignore_errors=True)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for name, body in (("train_gan@5", gan_stage.train_gan), ("train_baseline@5", baseline_stage.train_baseline)):
        stage = Stage(name, 5, read_params(Path("params.yaml")), Path("params.yaml"))
        monkeypatch.setattr(stage, "compute", lambda _: config)
        body(stage)
    paths = [path for kind in ("gan", "baseline") for path in (folder / "artifacts" / kind).rglob("*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def test_a_study_has_the_same_bytes_though_a_worker_was_killed(
    running: Running, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = train(study, LOCAL, monkeypatch)
    assert len(here) > 10
    assert train(study, running.config, monkeypatch) == here
    assert "train_gan@5: step 32 of 32, generator" in capsys.readouterr().out  # told by processes elsewhere

    def kill_the_first() -> None:
        wait_for(lambda: told(running), 60)
        killed.extend(told(running)[:1])
        os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    monkeypatch.setattr(gan_stage, "train_replicate", train_and_tell)
    killer = threading.Thread(target=kill_the_first)
    killer.start()
    assert train(study, running.config, monkeypatch) == here
    killer.join()
    assert killed
    assert set(told(running)) - set(killed), "another worker took over"


def told(running: Running) -> list[int]:
    return [int(path.name) for path in running.told.iterdir() if path.name.isdigit()]


def run(numbers: list[int], folder: Path, config: ComputeConfig) -> list[dict[str, Any]]:
    return run_replicates(double, [{"number": n, "folder": folder} for n in numbers], config, "toy", 2 * len(numbers))


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
def test_no_cluster_is_one_line_and_status_2_within_seconds(backend: str, study: Path) -> None:
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend])
    yaml = YAML()
    values = yaml.load(study / "params.yaml")
    values["compute"].update(backend=backend, address=f"127.0.0.1:{free_port()}")
    yaml.dump(values, study / "params.yaml")
    command = [sys.executable, "-m", "pipeline.stages.train_gan", "--budget", "5", "--params", "params.yaml"]
    environment = os.environ | {"PYTHONPATH": first_on_path(str(ROOT))}
    done = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"train_gan@5: compute.address: no {backend.capitalize()} ")
    assert done.stderr.count("\n") == 1
    assert not (study / "artifacts/gan").exists()


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed_names_its_extra(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, {"dask": "distributed", "ray": "ray"}[backend], None)
    with pytest.raises(InputError, match=rf"pip install 'synthgain\[{backend}\]'"):
        run([1], tmp_path, ComputeConfig(backend=backend, address="127.0.0.1:1"))


def test_a_stage_trains_where_neither_dvc_nor_prefect_is_installed(study: Path) -> None:
    code = "import runpy, sys; sys.modules.update(dvc=None, prefect=None); sys.argv = sys.argv[1:]; "
    code += "runpy.run_module('pipeline.stages.train_gan', run_name='__main__')"
    command = [sys.executable, "-c", code, "train_gan", "--budget", "5", "--params", "params.yaml"]
    environment = os.environ | {"PYTHONPATH": first_on_path(str(ROOT))}
    done = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (study / "artifacts/gan/5/generator-1.safetensors").exists()
