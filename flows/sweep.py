"""Flow `recipe-sweep`: one study for each list of overrides, and a table that compares them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from flows.dvc import CheckoutError, project_root
from flows.errors import RunError
from flows.notices import on_failure
from flows.processes import stop_all
from flows.request import Study
from flows.study import fresh_seed
from flows.workspace import remove_abandoned

Runner = Literal["threads", "dask", "ray"]
DASK: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": None}
# A study hands over a few numbers: the smallest store of objects that Ray takes is plenty.
RAY: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
# The second name is misleading: on Linux too, false keeps Ray on loopback, which `_node_ip_address` does not.
RAY_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


class Sweep(BaseModel):
    """Studies to hold against each other; the machine's slots keep them from crowding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variants: list[list[str]] = Field(description="A list of overrides for each study, such as gan.recipe=relativistic")
    studies: list[str] = Field(default=[], description="Named studies of conf/ besides; each with every variant.")
    base: Study = Field(default=Study(), description="What all of them share.")
    runner: Runner = Field(default="threads", description="dask and ray need the extras of these names.")


class SweepFailed(RunError):
    """Some study of the sweep failed; the message names each that did."""


@flow(name="recipe-sweep", on_failure=[on_failure], on_crashed=[on_failure])
def recipe_sweep(sweep: Sweep) -> State[list[dict[str, Any]]]:
    """Run every variant, as far as the slots allow at the same time, and compare what came out."""
    try:
        base = sweep.base
        if base.fresh == "seed":  # one seed for all: they are held against each other
            base = base.model_copy(update={"fresh": "no", "overrides": [*base.overrides, fresh_seed()]})
        studies = sweep_to_studies(sweep.model_copy(update={"base": base}), flow_run.name)
        rows = _fan_out.with_options(task_runner=task_runner(sweep.runner))(studies)
    except BaseException:
        stop_all()
        with suppress(CheckoutError):  # Dask's and Ray's processes are gone, and could not do it themselves
            remove_abandoned(project_root(Path.cwd()))
        raise
    create_table_artifact(rows, key="sweep", description=f"Studies of {flow_run.name}, held against each other")
    failed = [row["experiment"] for row in rows if row["state"] != "Completed"]
    if failed:
        raise SweepFailed(f"failed: {', '.join(failed)}; the others are in the table")
    return Completed(message=f"{len(rows)} studies compared", data=rows)


def sweep_to_studies(sweep: Sweep, name: str) -> list[Study]:
    """One study a variant, and a named study; experiments are called NAME-1, NAME-2 and so on."""
    asked: list[dict[str, Any]] = [
        {"study": named, "overrides": [*sweep.base.overrides, *variant]}
        for named in (sweep.studies or (sweep.base.study,))
        for variant in sweep.variants or [[]]
    ]
    return [
        sweep.base.model_copy(update={**changes, "experiment": f"{name}-{number}"})
        for number, changes in enumerate(asked, 1)
    ]


def task_runner(name: Runner) -> TaskRunner[Any]:
    """Prefect's task runner of that name, on this machine alone: loopback, no dashboard, nobody called home.

    Raises SweepFailed if its extra is not installed.
    """
    try:
        if name == "dask":
            from prefect_dask import DaskTaskRunner

            return DaskTaskRunner(cluster_kwargs=DASK)  # type: ignore[no-any-return]
        if name == "ray":
            os.environ.update(RAY_ENVIRONMENT)  # read when Ray is imported
            from prefect_ray import RayTaskRunner

            return RayTaskRunner(init_kwargs=RAY)  # type: ignore[no-any-return]
    except ImportError:
        raise SweepFailed(f"runner {name}: not installed; `pip install 'synthgain[{name}]'`") from None
    return ThreadPoolTaskRunner()


@flow(name="sweep-studies")
def _fan_out(studies: Sequence[Study]) -> list[dict[str, Any]]:
    futures = [
        try_study.with_options(task_run_name=study.experiment).submit(study.model_dump(mode="json"))
        for study in studies
    ]
    for future in futures:
        future.wait()
    return [_row(study, future.state) for study, future in zip(studies, futures, strict=True)]


@task(cache_policy=NO_CACHE, persist_result=False)
def try_study(study: Mapping[str, Any]) -> State[Any]:
    """One study as a flow run of its own. A failure comes back as its message: not every error can be pickled."""
    # Imported here, because Dask and Ray pickle a flow without the names that its annotations need.
    from flows.study import augmentation_study

    state: State[Any] = augmentation_study(Study(**study), return_state=True)
    if state.is_completed():
        return Completed(message=state.message, data=state.result())
    return Failed(name=state.name, message=state.message)


def _row(study: Study, state: State[Any]) -> dict[str, Any]:
    primary = state.result()["primary"] if state.is_completed() else {}
    names = ("budget", "arm", "reference", "delta", "ci_low", "ci_high", "verdict")
    return {
        "experiment": study.experiment,
        "study": study.study or "",
        "overrides": " ".join(study.overrides),
        "state": state.name,
        **{name: primary.get(name) for name in names},
    }
