"""A DVC remote on S3, for real, against moto's server on loopback: what one machine made, another takes."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_study import change, commit, make_toy

from flows.dvc import Checkout
from flows.processes import Processes

pytest.importorskip("dvc_s3", reason="extra s3 is not installed")
server = pytest.importorskip("moto.server")

ENVIRONMENT = os.environ | {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "DVC_NO_ANALYTICS": "1",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}

SEEDED = {"split", "train_gan@10", "train_gan@20", "train_baseline", "report"}  # all stages but compare


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, env=ENVIRONMENT, text=True, capture_output=True
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"dvc {' '.join(arguments)}:\n{output[-2000:]}"
    return output


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def restored(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if "is cached - skipping run" in line]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server with a bucket `studies`."""
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/studies", method="PUT"), timeout=20)
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="module")
def first(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first machine: the toy study, reproduced, committed with its remote, and pushed."""
    root = make_toy(tmp_path_factory.mktemp("first") / "toy")
    dvc(root, "remote", "add", "-d", "store", "s3://studies/digits")
    dvc(root, "remote", "modify", "store", "endpointurl", endpoint)
    assert set(ran(dvc(root, "repro"))) == SEEDED | {"compare"}
    commit(root, "The study's lock, results and remote")
    dvc(root, "push")
    return root


@pytest.fixture
def second(first: Path, tmp_path: Path) -> Path:
    """Another machine: a fresh clone with a cache of its own, which is empty."""
    root = tmp_path / "second"
    subprocess.run(["git", "clone", "-q", str(first), str(root)], check=True)
    assert not (root / "artifacts").exists()
    return root


def outputs(root: Path) -> dict[str, bytes]:
    paths = [path for kind in ("artifacts", "report") for path in (root / kind).rglob("*")]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and path.name != ".gitignore"
    }


def test_a_fresh_clone_pulls_and_reruns_nothing(first: Path, second: Path) -> None:
    dvc(second, "pull")
    assert outputs(second) == outputs(first)
    output = dvc(second, "repro")
    assert ran(output) == restored(output) == []
    assert "up to date" in output


def test_what_one_machine_computed_the_other_restores_from_the_run_cache(first: Path, second: Path) -> None:
    for root in (first, second):
        change(root, "seed: 1", "seed: 2")
    # The first machine computes it, and commits nothing: only the run cache tells the other.
    assert set(ran(dvc(first, "repro"))) == SEEDED | {"compare"}
    dvc(first, "push", "--run-cache")
    output = dvc(second, "repro", "--pull")  # fetches the run cache, and of its outputs what is needed
    assert set(restored(output)) == SEEDED
    assert ran(output) == ["compare"]  # its tables lie in Git, not in the cache; DVC keeps no run of such a stage
    assert (second / "artifacts/split").read_text() == "2"
    assert outputs(second) == outputs(first)


def test_a_flow_that_pulls_restores_from_the_run_cache(
    first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", ENVIRONMENT)
    for root in (first, second):
        change(
            root, next(line for line in (root / "params.yaml").read_text().splitlines() if "seed:" in line), "  seed: 9"
        )
    dvc(first, "repro")
    dvc(first, "push", "--run-cache")
    with Processes() as processes:
        checkout = Checkout(second, processes)
        checkout.pull(print)
        assert checkout.repro("split", print) == "Restored"
        assert checkout.repro("train_gan@10", print) == "Restored"


def test_without_the_run_cache_it_is_computed_again(second: Path) -> None:
    change(second, "seed: 1", "seed: 2")
    dvc(second, "pull")
    assert set(ran(dvc(second, "repro"))) == SEEDED | {"compare"}
