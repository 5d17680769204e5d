"""Jobs that the workers of a test's cluster can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifier import replicate as classifier_replicate
from pipeline.errors import InputError
from pipeline.gan import replicate as gan_replicate

Report = Callable[[dict[str, float]], None]


def double(number: int, folder: Path, device: torch.device, report: Report) -> dict[str, Any]:
    """Leaves a mark in `folder` each time it is really called; refuses what a file `refuse` there names."""
    if (folder / "refuse").exists() and (folder / "refuse").read_text() == str(number):
        raise InputError(f"data.root: {number} refused")
    (folder / f"called-{number}-{time.monotonic_ns()}").touch()
    report({"step": 1, "loss": 3.0})
    report({"step": 2, "loss": number / 4})
    return {"doubled": np.array([2 * number]), "threads": torch.get_num_threads(), "pid": os.getpid()}


DYING = ("gan", "classifier")


def train_gan_or_die(report: Report, **job: Any) -> dict[str, Any]:
    return gan_replicate.train_replicate(report=_dying("gan", report), **job)


def train_classifier_or_die(report: Report, **job: Any) -> dict[str, Any]:
    return classifier_replicate.train_replicate(report=_dying("classifier", report), **job)


def _dying(name: str, report: Report) -> Report:
    """Leaves its process's number at each record; the first process that finds `NAME-dies` there kills itself."""
    told = Path(os.environ["SYNTHGAIN_TOLD"])

    def dying(record: dict[str, float]) -> None:
        (told / f"{name}-at-{os.getpid()}").touch()
        with suppress(FileNotFoundError):  # one alone can rename it
            (told / f"{name}-dies").rename(told / f"{name}-died-{os.getpid()}")
            os.kill(os.getpid(), signal.SIGKILL)
        report(record)

    return dying
