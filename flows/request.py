"""What a person may ask of a study; Prefect's page makes a form of it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OVERRIDE = re.compile(r"(\+|~)?[^=\s]+=.*|~\S+")


class Study(BaseModel):
    """With none of `study`, `overrides` and a fresh seed, the checkout is reproduced as it stands; with any of them the
    study runs as a DVC experiment in a workspace of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str | None = Field(default=None, description="A named study of conf/, merged into params.yaml first.")
    overrides: list[str] = Field(
        default=[], description="Params to change, as `dvc exp run -S` takes them: gan.steps=500"
    )
    fresh: Literal["no", "seed", "upstream"] = Field(
        default="no", description="seed: a new study.seed, from the time of the run. upstream: pull Git and data first."
    )
    targets: list[str] = Field(default=[], description="Stages to reproduce, with what they need; all if empty.")
    force: bool = Field(default=False, description="Run stages even if nothing changed.")
    pull: bool = Field(default=False, description="Pull data from DVC's remote first.")
    push: bool = Field(default=False, description="Push data and experiment afterwards, where a remote is set.")
    experiment: str | None = Field(
        default=None, description="Name of the DVC experiment; the flow run's name if empty."
    )

    @field_validator("overrides")
    @classmethod
    def _known_form(cls, overrides: list[str]) -> list[str]:
        for override in overrides:
            if not OVERRIDE.fullmatch(override):
                raise ValueError(f"{override!r} is not an override; write it as gan.steps=500")
        return overrides

    @field_validator("experiment", "study")
    @classmethod
    def _plain_name(cls, name: str | None) -> str | None:
        if name and not EXPERIMENT.fullmatch(name):
            raise ValueError(f"{name!r}: letters, digits, dots, dashes and underscores only")
        return name or None

    @property
    def apart(self) -> bool:
        """Whether it runs in a workspace of its own."""
        return bool(self.study or self.overrides or self.fresh == "seed")
