"""Where a study runs: device, precision, threads, and replicates in parallel, here or on a cluster.

On a CPU, one single-threaded process a replicate: small convolutions gain little from a second thread, and results do
not depend on how many run side by side. On one GPU, one replicate after another, or so many at once with stacked
weights; on several, one process a GPU. On a cluster (pipeline/cluster.py), whatever its workers are.
"""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from math import ceil
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

import joblib
import torch

from pipeline.at_once import Many, jobs_to_groups
from pipeline.chunks import in_chunks
from pipeline.cluster import Origin, cluster, origin, worker
from pipeline.config import require
from pipeline.errors import InputError
from pipeline.progress import Elsewhere, Here, Progress, listening
from pipeline.provenance import seen

# Finished replicates, so that a killed stage takes up where it stopped; outside what DVC versions.
CACHE = Path(".cache")
CACHE_BYTES = 2 * 1024**3
AT_ONCE = 40  # trainings on one GPU; chunks halve where so many do not fit

Record = dict[str, float]
Result = dict[str, Any]  # named arrays and lists of records


@dataclass(frozen=True)
class ComputeConfig:
    """Section `compute` of params.yaml.

    device, precision: part of what made a result, and so are at_once, the trainings that one process makes at once,
    because stacked weights are rounded otherwise (null for one, but AT_ONCE on a GPU of this machine), and on a GPU
    capture, steps as CUDA graphs. The others change none.
    precision: auto is tf32 on a GPU, float32 on a CPU; bf16, of the networks while they are trained. workers:
    processes of this machine on a CPU, null for one a core. backend: this machine, or a cluster; address: of that, null
    for its usual environment variable.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "tf32", "bf16"] = "auto"
    at_once: int | None = None
    capture: bool = True
    workers: int | None = None
    backend: Literal["local", "dask", "ray"] = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        require(
            self.at_once is None or self.at_once > 0,
            f"at_once: must be positive; 1 for one by one, null for that on a CPU and {AT_ONCE} on a GPU",
        )
        require(self.workers is None or self.workers > 0, "workers: must be positive, or null for one a core")


def resolve_device(config: ComputeConfig) -> torch.device:
    """The device to train on, its precision set: tf32 on a GPU unless float32 is asked for, float32 on a CPU; bf16 is
    each training's own affair.

    `auto` is what this machine has, on a cluster too, so that moving a study there changes nothing. Raises InputError
    if a GPU is asked for and there is none; on a cluster its workers find out.
    """
    if config.backend != "local" and config.device != "auto":
        return torch.device(config.device)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: cuda asked for, but torch sees no GPU; set it to auto or cpu")
    device = torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if config.precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = config.precision != "float32"
    return device


def resolve_workers(config: ComputeConfig, jobs: int) -> int:
    """Processes for `jobs` jobs: on a CPU one a core unless `config` says otherwise, else one a GPU."""
    if resolve_device(config).type == "cuda":
        return max(1, min(jobs, torch.cuda.device_count()))
    return min(jobs, config.workers or joblib.cpu_count())


def describe(config: ComputeConfig, jobs: Sequence[Mapping[str, Any]], many: Many | None = None) -> dict[str, Any]:
    """Where `jobs` run, for the record: device by name, processes. many: as in `run_replicates`."""
    device = resolve_device(config)
    if config.backend != "local":
        return {"device": device.type.upper(), "workers": config.backend}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "workers": resolve_workers(config, len(_groups(jobs, many, config)))}


def _groups(jobs: Sequence[Mapping[str, Any]], many: Many | None, config: ComputeConfig) -> list[list[int]]:
    """Numbers of the jobs that one process trains together, or one after another."""
    at_once = _at_once(config, len(jobs))
    if many is None or at_once == 1:
        return [[number] for number in range(len(jobs))]
    return jobs_to_groups(jobs, many, at_once)


def _at_once(config: ComputeConfig, jobs: int) -> int:
    """Trainings that one process makes at once: as asked, but with several cards no more than give work to each."""
    if config.backend != "local" or resolve_device(config).type != "cuda":
        return config.at_once or 1
    return max(1, min(config.at_once or AT_ONCE, ceil(jobs / max(1, torch.cuda.device_count()))))


def run_replicates(
    function: Callable[..., Result],
    jobs: Sequence[Mapping[str, Any]],
    config: ComputeConfig,
    label: str,
    steps: Sequence[int],
    many: Many | None = None,
    keep: bool = True,
) -> list[Result]:
    """`function(**job, device=..., report=...)` for each of `jobs`, results in their order.

    function: at the top level of a module; takes `report`, to be called with a record of each stretch of its training,
    and returns named arrays, to which "seconds" is added (of a group its share), and "saw": the digests of the images
    that it was handed. steps: of each job, for the progress shown under `label`. A finished job is kept on
    disk under a hash of its arguments, of the loaded code of this package, and of device and torch version, and is not
    computed again, wherever it was computed. many: how jobs are trained at once, captured or in bf16, where `config`
    asks for that; their results are kept apart. keep: false for a function that writes files, which a kept result would
    not bring back.
    """
    device = resolve_device(config)
    memory = joblib.Memory(CACHE, verbose=0)
    kept = memory.cache(_kept, ignore=["obtain"])
    made_by = f"{_code_digest()} {torch.__version__} {device.type} {config.precision}"
    groups = _groups(jobs, many, config)
    if many is not None and (at_once := _at_once(config, len(jobs))) > 1:
        made_by += f" at_once {at_once}"  # other groups round otherwise
    if many is not None and config.capture and device.type == "cuda":  # a CPU has no graphs
        made_by += " captured"
    keys = [(function, dict(job), device.type, made_by) for job in jobs]
    results: dict[int, Result] = {}
    for number, key in enumerate(keys if keep else ()):
        with suppress(_Unfinished):
            results[number] = kept(*key, _unfinished)
    missing = [{n: dict(jobs[n]) for n in group if n not in results} for group in groups]
    with Progress(label, sum(steps), before=sum(steps[number] for number in results)) as progress:
        for number, result in _compute_all(function, many, [*filter(None, missing)], config, progress):
            results[number] = kept(*keys[number], lambda result=result: result) if keep else result
    memory.reduce_size(bytes_limit=CACHE_BYTES)
    return [results[number] for number in range(len(jobs))]


def milliseconds_per_step(results: Sequence[Result], steps: float) -> float:
    """Mean over `results` of `run_replicates`, as long as it took when it was computed. steps: of each, on average."""
    return round(sum(result["seconds"] for result in results) / len(results) / steps * 1000, 2)


class _Unfinished(Exception):
    """A job that no run has finished yet."""


def _unfinished() -> Result:
    raise _Unfinished


def _kept(
    function: Callable[..., Result], job: dict[str, Any], device: str, made_by: str, obtain: Callable[[], Result]
) -> Result:
    """What is kept on disk, under the first four; always by this process, so that a worker needs no disk of ours."""
    return obtain()


def _compute_all(
    function: Callable[..., Result],
    many: Many | None,
    groups: Sequence[Mapping[int, dict[str, Any]]],
    config: ComputeConfig,
    progress: Progress,
) -> Iterator[tuple[int, Result]]:
    """Number and result of each job of `groups`, as these finish."""
    device, workers = resolve_device(config), resolve_workers(config, len(groups))
    there = dataclasses.replace(config, device="cuda" if device.type == "cuda" else "cpu", backend="local")
    if config.backend == "local" and workers == 1:
        threads = torch.get_num_threads()
        try:
            for group in groups:
                yield from _compute(function, many, group, there, {n: Here(progress, n) for n in group})
        finally:
            torch.set_num_threads(threads)
    elif groups:
        with ExitStack() as stack:
            if config.backend == "local":
                sent_by, address, parallel = None, stack.enter_context(listening(progress)), _processes(there, workers)
            else:
                place = stack.enter_context(cluster(config.backend, config.address, len(groups), device.type == "cuda"))
                address = stack.enter_context(listening(progress, place.host))
                sent_by, parallel = origin(), {"n_jobs": place.n_jobs}
            for finished in joblib.Parallel(**parallel, batch_size=1, return_as="generator_unordered")(
                joblib.delayed(_compute)(
                    function, many, group, there, {n: Elsewhere(address, n) for n in group}, sent_by
                )
                for group in groups
            ):
                yield from finished


def in_workers(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], config: ComputeConfig) -> list[Any]:
    """`function(*each)` for each of `arguments`, in order, in the processes of this machine that replicates run in, if
    these are several; here otherwise. For what takes seconds to import, and no worker waits for.
    """
    workers = resolve_workers(config, len(arguments))
    if config.backend != "local" or workers < 2:
        return [function(*each) for each in arguments]
    parallel = joblib.Parallel(**_processes(config, workers))
    return list(parallel(joblib.delayed(function)(*each) for each in arguments))


def _processes(config: ComputeConfig, workers: int) -> dict[str, Any]:
    """Options of joblib.Parallel for processes of this machine, each with a GPU of its own if they are to use one."""
    devices = None
    if resolve_device(config).type == "cuda":
        devices = joblib.externals.loky.backend.get_context().SimpleQueue()
        for number in range(workers):
            devices.put(number)
    # Arrays travel as they are, not memory-mapped, as on a cluster.
    options: dict[str, Any] = {"n_jobs": workers, "backend": "loky", "max_nbytes": None}
    return options | {"initializer": _begin_worker, "initargs": (devices,)}


def _begin_worker(devices: Any) -> None:
    _die_with_parent()
    if devices is not None:
        _take_device(devices)


def _take_device(devices: Any) -> None:
    number = devices.get()
    devices.put(number)  # round they go: loky may replace a process
    torch.cuda.set_device(number)


def _compute(
    function: Callable[..., Result],
    many: Many | None,
    jobs: Mapping[int, dict[str, Any]],
    config: ComputeConfig,
    reports: Mapping[int, Here] | Mapping[int, Elsewhere],
    sent_by: Origin | None = None,
) -> list[tuple[int, Result]]:
    """One job or a group of them, in whatever process. sent_by: of the machine that sent it to this one, a worker of a
    cluster. A group that does not fit into memory is halved.
    """
    numbers = list(jobs)
    with ExitStack() as stack:
        if sent_by is not None:
            stack.enter_context(worker(sent_by))
        device = resolve_device(config)
        if device.type == "cpu":
            torch.set_num_threads(1)
        capture, bf16 = config.capture and device.type == "cuda", config.precision == "bf16"

        def compute(part: slice) -> list[tuple[int, Result]]:
            chosen, began = numbers[part], time.perf_counter()
            if many is not None and (len(chosen) > 1 or capture or bf16):
                group = [jobs[number] for number in chosen]
                results = many.function(group, device, [reports[number] for number in chosen], capture, bf16)
            else:
                results = [function(**jobs[number], device=device, report=reports[number]) for number in chosen]
            seconds = (time.perf_counter() - began) / len(chosen)
            return [
                (number, {**result, "seconds": seconds, "saw": seen(jobs[number])})
                for number, result in zip(chosen, results, strict=True)
            ]

        return [*chain(*in_chunks(compute, len(numbers), len(numbers), "replicates"))]


def _code_digest() -> str:
    """Of every module of this package that is loaded: what a stage imports is what its results depend on."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == __package__ and getattr(module, "__file__", None):
            digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _die_with_parent() -> None:
    """A worker must not outlive a stage that was killed outright (Linux; elsewhere it ends after its replicate)."""
    sentinel = getattr(multiprocessing.parent_process(), "sentinel", None)  # loky's own workers have none
    if sentinel is not None:  # a fork of a server (pipeline/workers.py), which lives as long as its forks do
        threading.Thread(target=_die_after, args=(sentinel,), daemon=True).start()
    elif sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _die_after(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
