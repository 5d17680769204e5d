"""Jobs that the workers of a test's cluster can import."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.errors import InputError
from pipeline.gan.replicate import train_replicate

Report = Callable[[dict[str, float]], None]


def double(number: int, folder: Path, device: torch.device, report: Report) -> dict[str, Any]:
    """Leaves a mark in `folder` each time it is really called; refuses what a file `refuse` there names."""
    if (folder / "refuse").exists() and (folder / "refuse").read_text() == str(number):
        raise InputError(f"data.root: {number} refused")
    (folder / f"called-{number}-{time.monotonic_ns()}").touch()
    report({"step": 1, "loss": 3.0})
    report({"step": 2, "loss": number / 4})
    return {"doubled": np.array([2 * number]), "threads": torch.get_num_threads(), "pid": os.getpid()}


def train_and_tell(report: Report, **job: Any) -> dict[str, Any]:
    """The GAN's training, which leaves its process's number where the test looks for one to kill."""
    told = Path(os.environ["SYNTHGAIN_TOLD"])

    def telling(record: dict[str, float]) -> None:
        (told / str(os.getpid())).touch()
        report(record)

    return train_replicate(report=telling, **job)
