"""A stage's progress lines as a Prefect progress artifact.

A stage prints `train_gan@50: step 1200 of 26400, generator 0.812 discriminator 0.611, 340 s left`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

LINE = re.compile(r"(?P<label>\S+): step (?P<step>\d+) of (?P<total>\d+), (?P<losses>[^,]*), (?P<left>\d+) s left")


@dataclass(frozen=True)
class Step:
    """How far a training is. percent: of its steps. losses: as printed. seconds_left: its own estimate."""

    label: str
    step: int
    total: int
    losses: str
    seconds_left: int

    @property
    def percent(self) -> float:
        return 100 * self.step / max(1, self.total)

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds_left, 60)
        return f"{self.label}: step {self.step} of {self.total}; {self.losses}; {minutes}:{seconds:02d} left"


def line_to_step(line: str) -> Step | None:
    """The progress that a line tells, or None."""
    found = LINE.fullmatch(line.strip())
    if found is None:
        return None
    return Step(found["label"], int(found["step"]), int(found["total"]), found["losses"].strip(), int(found["left"]))


class ProgressArtifact:
    """Follows one task's lines; the artifact comes into being with the first progress line."""

    def __init__(self, stage: str) -> None:
        self.key = "progress-" + re.sub(r"[^a-z0-9]+", "-", stage.lower()).strip("-")
        self.artifact: UUID | None = None

    def follow(self, line: str) -> None:
        """Show `line` if it tells progress. A server that does not answer costs a picture, not the training."""
        step = line_to_step(line)
        if step is None:
            return
        try:
            if self.artifact is None:
                created = create_progress_artifact(step.percent, key=self.key, description=str(step))
                self.artifact = cast(UUID, created)
            else:
                update_progress_artifact(self.artifact, step.percent, description=str(step))
        except httpx.HTTPError:
            pass
