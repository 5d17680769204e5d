"""Cores and GPUs of this machine as Prefect concurrency limits, so that stages never crowd each other.

Limits are named after the host and hold across flow runs: two runs at the same time share one machine's slots.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import joblib
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.concurrency._asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from ruamel.yaml import YAML

from flows.graph import Stage

LEASE = 60.0  # seconds until a server gives back the slots of a killed flow
# Seconds after which slots that no living process holds are given back here: a temporary server never does it, and one
# that was started anew may have forgotten the leases.
ABANDONED = 90.0
POLL = 1.0  # seconds between two tries
_looking = threading.Lock()


class Slots:
    """The machine's slots, as section `compute` of `root`/params.yaml shares them out."""

    def __init__(self, root: Path) -> None:
        compute = _compute(root)
        host = socket.gethostname().lower()
        here = compute.get("backend", "local") == "local"  # a stage on a cluster only waits here
        self.cores, self.gpus = int(joblib.cpu_count()), count_gpus() if here and compute.get("device") != "cpu" else 0
        self.workers = min(self.cores, compute.get("workers") or self.cores) if here else 1
        self.cores_limit, self.gpu_limit = f"cores-{host}", f"gpu-{host}"

    def ensure(self) -> None:
        """Create the limits, or set them to what this machine has."""
        with get_client(sync_client=True) as client:
            client.upsert_global_concurrency_limit_by_name(self.cores_limit, self.cores)
            client.upsert_global_concurrency_limit_by_name(self.gpu_limit, 1)

    def needed(self, stage: Stage) -> dict[str, int]:
        """Slots that `stage` takes: `meta.cores` of dvc.yaml if given; else all workers (or the GPU) if it computes."""
        if stage.computes and self.gpus:
            return {self.gpu_limit: 1, self.cores_limit: 1}
        asked = stage.cores or ("workers" if stage.computes else 1)
        return {self.cores_limit: min(self.cores, self.workers if asked == "workers" else asked)}

    @contextmanager
    def hold(self, stage: Stage, pause: Callable[[float], None]) -> Iterator[None]:
        """Wait for the slots of `stage` and hold them. pause: sleeps that many seconds, or raises to end the wait."""
        with ExitStack() as held:
            for limit, count in self.needed(stage).items():
                abandoned_since, told = None, False
                while not _take(held, limit, count):
                    if not told:
                        get_run_logger().info("waiting for %d of %s, which other stages hold", count, limit)
                        told = True
                    abandoned_since = (abandoned_since or time.monotonic()) if _nobody_holds(limit) else None
                    if abandoned_since and time.monotonic() - abandoned_since > ABANDONED:
                        _release_all(limit)
                    pause(POLL)
            yield


def _take(held: ExitStack, limit: str, count: int) -> bool:
    """Take `count` slots of `limit` if they are free. Polled here: Prefect's own wait can last half a minute."""
    with _looking:  # one look at a time in this process; Prefect logs an error where another process was faster
        with get_client(sync_client=True) as client:
            state = client.read_global_concurrency_limit_by_name(limit)
        if state.active_slots + count > state.limit:
            return False
        try:
            taken = ExitStack()
            taken.enter_context(_locked(limit, fcntl.LOCK_SH))
            taken.enter_context(
                concurrency(
                    limit,
                    occupy=count,
                    max_retries=0,
                    lease_duration=LEASE,
                    strict=True,
                    raise_on_lease_renewal_failure=False,  # a hiccup of the server must not end a training
                )
            )
        except ConcurrencySlotAcquisitionError as error:
            taken.close()
            response = getattr(error.__cause__, "response", None)
            if isinstance(response, httpx.Response) and response.status_code == httpx.codes.LOCKED:
                return False
            raise
        held.enter_context(taken)
    return True


def _nobody_holds(limit: str) -> bool:
    """Whether no living process of this machine holds slots of `limit`: a lock on a file ends with its process."""
    try:
        with _locked(limit, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


@contextmanager
def _locked(limit: str, kind: int) -> Iterator[None]:
    with Path(tempfile.gettempdir(), f"synthgain-{os.getuid()}-{limit}.lock").open("a") as file:
        fcntl.flock(file, kind)
        yield


def _release_all(limit: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(limit, GlobalConcurrencyLimitUpdate(active_slots=0))


def count_gpus() -> int:
    """NVIDIA GPUs that a stage would see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1") or shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return listed.stdout.count("GPU ") if listed.returncode == 0 else 0


def _compute(root: Path) -> Mapping[str, Any]:
    params = root / "params.yaml"
    values = YAML(typ="safe").load(params) if params.exists() else None
    section = values.get("compute") if isinstance(values, Mapping) else None
    return section if isinstance(section, Mapping) else {}
