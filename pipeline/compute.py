"""Where a study runs: device, precision, threads, and replicates in parallel.

On a CPU, one single-threaded process a replicate: small convolutions gain little from a second thread, and results do
not depend on how many run at once. On a GPU, one replicate after another.
"""

from __future__ import annotations

import ctypes
import hashlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import joblib
import torch

from pipeline.config import require
from pipeline.errors import InputError
from pipeline.progress import Elsewhere, Here, Progress, listening
from pipeline.provenance import seen

# Finished replicates, so that a killed stage takes up where it stopped; outside what DVC versions.
CACHE = Path(".cache")
CACHE_BYTES = 2 * 1024**3

Record = dict[str, float]
Result = dict[str, Any]  # named arrays and lists of records


@dataclass(frozen=True)
class ComputeConfig:
    """Section `compute` of params.yaml.

    device, precision: part of what made a result. workers: processes on a CPU, null for one a core; changes no result.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "tf32"] = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        require(self.workers is None or self.workers > 0, "workers: must be positive, or null for one a core")


def resolve_device(config: ComputeConfig) -> torch.device:
    """The device to train on, its precision set: tf32 on a GPU unless float32 is asked for, float32 on a CPU.

    Raises InputError if a GPU is asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: cuda asked for, but torch sees no GPU; set it to auto or cpu")
    device = torch.device("cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest" if config.precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = config.precision != "float32"
    return device


def resolve_workers(config: ComputeConfig, jobs: int) -> int:
    """Processes for `jobs` jobs: on a CPU one a core unless `config` says otherwise, on a GPU this one alone."""
    if resolve_device(config).type == "cuda":
        return 1
    return min(jobs, config.workers or joblib.cpu_count())


def describe(config: ComputeConfig, jobs: int) -> dict[str, Any]:
    """Where `jobs` jobs run, for the record: device by name, processes."""
    device = resolve_device(config)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "workers": resolve_workers(config, jobs)}


def run_replicates(
    function: Callable[..., Result],
    jobs: Sequence[Mapping[str, Any]],
    config: ComputeConfig,
    label: str,
    steps: int,
) -> list[Result]:
    """`function(**job, device=..., report=...)` for each of `jobs`, results in their order.

    function: at the top level of a module; takes `report`, to be called with a record of each stretch of its training,
    and returns named arrays, to which "seconds" is added, and "saw": the digests of the images that it was handed.
    steps: of all jobs together, for the progress shown under `label`. A finished job is kept on disk under a hash of
    its arguments, of the loaded code of this package, and of device and torch version, and is not computed again.
    """
    device, workers = resolve_device(config), resolve_workers(config, len(jobs))
    memory = joblib.Memory(CACHE, verbose=0)
    made_by = f"{_code_digest()} {torch.__version__} {device.type} {config.precision}"
    with Progress(label, steps) as progress:
        if workers == 1:
            threads = torch.get_num_threads()
            try:
                results = [
                    _remembered(memory, function, job, device.type, made_by, Here(progress, number))
                    for number, job in enumerate(jobs)
                ]
            finally:
                torch.set_num_threads(threads)
        else:
            with listening(progress) as address:
                # Arrays travel as they are: memory-mapped ones would hash differently.
                results = joblib.Parallel(n_jobs=workers, backend="loky", max_nbytes=None)(
                    joblib.delayed(_remembered)(memory, function, job, device.type, made_by, Elsewhere(address, number))
                    for number, job in enumerate(jobs)
                )
    memory.reduce_size(bytes_limit=CACHE_BYTES)
    return results


def milliseconds_per_step(results: Sequence[Result], steps: int) -> float:
    """Mean over `results` of `run_replicates`, each of `steps` steps; as long as it took when it was computed."""
    return round(sum(result["seconds"] for result in results) / len(results) / steps * 1000, 2)


def _remembered(
    memory: joblib.Memory,
    function: Callable[..., Result],
    job: Mapping[str, Any],
    device: str,
    made_by: str,
    report: Here | Elsewhere,
) -> Result:
    if device == "cpu":
        torch.set_num_threads(1)
    if isinstance(report, Elsewhere):
        _die_with_parent()
    return memory.cache(_call, ignore=["report"])(function, dict(job), device, made_by, report)


def _call(
    function: Callable[..., Result], job: dict[str, Any], device: str, made_by: str, report: Callable[[Record], None]
) -> Result:
    began = time.perf_counter()
    result = function(**job, device=torch.device(device), report=report)
    return {**result, "seconds": time.perf_counter() - began, "saw": seen(job)}


def _code_digest() -> str:
    """Of every module of this package that is loaded: what a stage imports is what its results depend on."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == __package__ and getattr(module, "__file__", None):
            digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _die_with_parent() -> None:
    """A worker must not outlive a stage that was killed outright (Linux; elsewhere it ends after its replicate)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
