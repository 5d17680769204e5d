"""Replicates on a Dask or Ray cluster, through joblib's own backends: arrays go there and come back as they are.

A worker (and Dask's scheduler) needs this package at the same commit and the same torch, and no disk that it shares
with this machine.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import joblib
import torch

from pipeline.errors import InputError, one_line

Backend = Literal["dask", "ray"]
PATIENCE = 10  # seconds for a cluster to answer, and for its first worker
LIVES = 3  # times that a replicate is begun anew because its worker died
_busy = threading.Lock()  # held while this process, a worker, trains


class Cluster(NamedTuple):
    """host: this machine, as the cluster finds it. n_jobs: as joblib.Parallel takes it."""

    host: str
    n_jobs: int


class Origin(NamedTuple):
    """What a result depends on besides its arguments: digests of this package's loaded modules, torch's version."""

    modules: Mapping[str, str]
    torch: str


def origin() -> Origin:
    """Of this process."""
    loaded = sorted(name for name in sys.modules if name.startswith(f"{__package__}."))
    return Origin({name: _digest(name) for name in loaded}, torch.__version__)


@contextmanager
def worker(sent_by: Origin) -> Iterator[None]:
    """Around a replicate on a cluster. Raises InputError if its bytes would not be those of the sender's machine."""
    host = socket.gethostname()
    if torch.__version__ != sent_by.torch:
        raise InputError(
            f"worker on {host} has torch {torch.__version__}, this machine {sent_by.torch}: the bytes would differ; "
            "install the same version there"
        )
    for name, digest in sent_by.modules.items():
        if _digest(name) != digest:
            raise InputError(f"worker on {host} has another {name}; install this commit there and restart its workers")
    if not _busy.acquire(blocking=False):  # threads of one process would share torch's global random numbers
        raise InputError(f"worker on {host} trains two replicates in one process; start it with `--nthreads 1`")
    try:
        yield
    finally:
        _busy.release()


@contextmanager
def cluster(backend: Backend, address: str | None, jobs: int, gpu: bool) -> Iterator[Cluster]:
    """While this lasts, joblib.Parallel runs on the cluster at `address`.

    address: None for what the backend's usual environment variable says. jobs: how many there will be. gpu: whether
    each needs one. Raises InputError if the backend is not installed, if no cluster answers within seconds, if it lacks
    this package, or if it gives up a job.
    """
    with _dask(address) if backend == "dask" else _ray(address, jobs, gpu) as connected:
        yield connected


@contextmanager
def _dask(address: str | None) -> Iterator[Cluster]:
    try:
        import dask
        import distributed
        from joblib._dask import DaskDistributedBackend
    except ImportError:
        raise InputError("compute.backend: dask is not installed; `pip install 'synthgain[dask]'`") from None

    class Backend(DaskDistributedBackend):
        """joblib's, which would wait for ever for a job that Dask itself gives up."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))  # one at a time would be run here

        def submit(self, func: Any, callback: Any = None) -> Any:
            def refuse(done: Any) -> None:
                if done.exception() is not None:  # Dask's own: those of a job are results, to joblib
                    callback(_refused(done.exception(), isinstance(done.exception(), distributed.KilledWorker)))

            future = super().submit(func, callback)
            future.add_done_callback(refuse)
            return future

    address = address or dask.config.get("scheduler-address", None)  # also reads DASK_SCHEDULER_ADDRESS
    if not address:
        raise InputError(
            "compute.address: null, and DASK_SCHEDULER_ADDRESS is not set; name the scheduler, as tcp://HOST:8786"
        )
    host = _seen_from(address, "Dask scheduler")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said here, in one line
    joblib.register_parallel_backend("dask", Backend)
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):  # a job carries its images
        try:
            client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # what listens there may be anything
            raise InputError(f"compute.address: no Dask scheduler at {address}: {one_line(error)}") from None
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                remedy = f"start some with `dask worker {address} --nthreads 1`"
                raise InputError(f"the Dask scheduler at {address} has no worker; {remedy}") from None
            try:
                with joblib.parallel_config("dask", client=client):
                    yield Cluster(host, -1)
            except distributed.client.FutureCancelledError:
                raise InputError(f"the Dask scheduler at {address} was lost; what had finished is kept") from None


@contextmanager
def _ray(address: str | None, jobs: int, gpu: bool) -> Iterator[Cluster]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
    try:
        import ray
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise InputError("compute.backend: ray is not installed; `pip install 'synthgain[ray]'`") from None

    class Backend(RayBackend):  # type: ignore[misc]
        """Ray's, whose results may be taken as they come, though it is derived from one whose may not."""

        supports_return_generator = True

        def terminate(self) -> None:
            """Nothing: its way would be retried, as a job is; what it started ends with the connection."""

    address = address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise InputError("compute.address: null, and RAY_ADDRESS is not set; name the head, as HOST:6379, or auto")
    if address != "auto":
        _seen_from(address, "Ray cluster")
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # of its many kinds, each means that there is no such cluster
        raise InputError(f"compute.address: no Ray cluster at {address}: {one_line(error)}") from None
    try:
        needed = {"CPU": 1, "GPU": 1} if gpu else {"CPU": 1}
        slots = int(min(ray.cluster_resources().get(name, 0) for name in needed))
        if slots < 2:  # one at a time would be run here
            raise InputError(f"the Ray cluster at {address} lacks 2 of {' and 2 of '.join(needed)}; add a node")
        # Ray begins a dead worker anew, and what it was at.
        each = {"num_cpus": 1, "num_gpus": int(gpu), "max_restarts": LIVES, "max_task_retries": LIVES}
        joblib.register_parallel_backend("ray", Backend)
        with joblib.parallel_config("ray", ray_remote_args=each):
            yield Cluster(_seen_from(ray.get_runtime_context().gcs_address, "Ray cluster"), min(slots, max(2, jobs)))
    except ray.exceptions.RayError as error:
        raise _refused(error, isinstance(error, ray.exceptions.RayActorError)) from None
    finally:
        ray.shutdown()


def _seen_from(address: str, what: str) -> str:
    """This machine, as the machine at `address` sees it. Raises InputError if nothing answers there."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE) as connection:
            return str(connection.getsockname()[0])
    except (OSError, ValueError) as error:
        raise InputError(f"compute.address: no {what} at {address}: {one_line(error)}") from None


def _refused(error: BaseException, killed: bool) -> InputError:
    """What a cluster says that could not run a job."""
    if killed:
        return InputError(
            f"a replicate lost its worker {LIVES + 1} times; give each more memory, and see that the cluster still runs"
        )
    said = one_line(error)[-200:]
    return InputError(f"the cluster cannot run a job of ours; install this commit there and restart it ({said})")


@functools.cache
def _digest(module: str) -> str:
    """SHA-256 of a module's file, as it was when this process first looked; of nothing, where there is no such file."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    origin = found.origin if found is not None else None
    return hashlib.sha256(Path(origin).read_bytes() if origin else b"").hexdigest()
