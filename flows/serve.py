"""`python -m flows.serve`: the deployments of prefect.yaml in this one process, for those who want no worker.

Needs a server to talk to (PREFECT_API_URL); ends with Ctrl-C.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from prefect import Flow, serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from ruamel.yaml import YAML


def read_deployments(path: Path = Path("prefect.yaml")) -> list[RunnerDeployment]:
    """The deployments of prefect.yaml, without its pool."""
    return [_deployment(entry) for entry in YAML(typ="safe").load(path)["deployments"]]


def _deployment(entry: dict[str, Any]) -> RunnerDeployment:
    file, name = entry["entrypoint"].split(":")
    flow: Flow[..., Any] = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    limit = entry.get("concurrency_limit")
    return flow.to_deployment(  # type: ignore[return-value]
        name=entry["name"],
        description=entry.get("description"),
        tags=entry.get("tags"),
        parameters=entry.get("parameters"),
        schedules=[
            Cron(schedule["cron"], timezone=schedule.get("timezone"), active=schedule.get("active", True))
            for schedule in entry.get("schedules", [])
        ],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if isinstance(limit, dict) else limit,
    )


if __name__ == "__main__":
    serve(*read_deployments())  # type: ignore[arg-type]
