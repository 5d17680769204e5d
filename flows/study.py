"""Flow `augmentation-study`: one task for each DVC stage. DVC decides what is stale; nothing is computed here."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import allow_failure, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.artifacts import publish, read_primary
from flows.dvc import Checkout, Outcome, git, project_root
from flows.errors import RunError
from flows.graph import GraphLocked, Stage, read_graph
from flows.history import free_name, publish_history, read_history, verdict_before
from flows.leftovers import end_tasks
from flows.notices import notify, on_failure
from flows.processes import CommandFailed, Locked, Processes, Stopped
from flows.progress import ProgressArtifact
from flows.request import Study
from flows.slots import Slots
from flows.workspace import workspace


class StudyFailed(RunError):
    """Some stage failed; the message names each that did, and says why."""


class RemoteFailed(RunError):
    """A remote did not answer or refused."""


def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Locks pass, and remotes come back; a failed computation fails again."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, Locked | GraphLocked | RemoteFailed)


# Another process may hold a stage for as long as it trains.
RETRIED: dict[str, Any] = {
    "retries": 60,
    "retry_delay_seconds": 10,
    "retry_condition_fn": _may_pass,
    "cache_policy": NO_CACHE,  # what is stale is DVC's business
    "persist_result": False,
}


CHECKOUT = Study()  # as it stands
NOT_RUN = "Not run"  # state of a stage that needs one which failed; Prefect lets no other type than Failed through


@flow(
    name="augmentation-study",
    on_failure=[on_failure],
    on_crashed=[on_failure],
    on_cancellation=[end_tasks],
    validate_parameters=True,
)
def augmentation_study(study: Study = CHECKOUT) -> State[dict[str, Any]]:
    """Bring the study up to date, show what came out, and save what changed as a DVC experiment."""
    log, home, processes = get_run_logger(), project_root(Path.cwd()), Processes()
    name = study.experiment or free_name(home, flow_run.name)
    name_flow_run(name)
    if study.fresh == "upstream":
        log.info(git(home, "pull", "--ff-only"))
    with place(study, home, name, processes) as checkout, processes:  # an error ends the processes, then the place
        if study.pull or study.fresh == "upstream":
            pull(checkout)
        stages = read_stages(checkout, study)
        slots = Slots(checkout.root)  # of the params as they are now, with the overrides
        slots.ensure()
        if study.force or any(stage.stale for stage in stages):  # a new row alone is no reason for another report
            checkout.count_openings()
        outcomes = run_stages(checkout, stages, slots, study.force)
        changed = any(outcome != "Unchanged" for outcome in outcomes.values())
        saved = changed and save(checkout, name, study)
        facts = {"experiment": name if saved else "none", "asked": study.model_dump_json()}
        publish(checkout.root, home, name, facts, outcomes)
        show_history(home, name)
        if study.push and saved:
            push(checkout, name)
        primary = read_primary(checkout.root)
    counts = ", ".join(f"{count} {outcome.lower()}" for outcome, count in Counter(outcomes.values()).items())
    result = {"experiment": name if saved else None, "outcomes": outcomes, "primary": primary}
    return Completed(message=f"{counts}. {primary.get('sentence', '')}".strip(), data=result)


@task(task_run_name="save", **RETRIED)
def save(checkout: Checkout, name: str, study: Study) -> bool:
    """Save what changed as the DVC experiment `name`; False where targets left outputs unmade: DVC cannot save that.

    Tried again while another run in the same checkout holds an output.
    """
    try:
        checkout.save_experiment(name)
    except CommandFailed as error:
        if not (study.targets and "does not exist" in error.line):
            raise
        get_run_logger().warning(
            "not saved as an experiment, because the targets are a part of the study: %s", error.line
        )
        return False
    get_run_logger().info("saved as the DVC experiment %s", name)
    return True


@contextmanager
def place(study: Study, home: Path, name: str, processes: Processes) -> Iterator[Checkout]:
    """The checkout itself, or a workspace with the changed params."""
    if not study.apart:
        yield Checkout(home, processes)
        return
    with workspace(home, name) as root:
        checkout = Checkout(root, processes)
        if study.study:
            checkout.merge_study(study.study)
        yield checkout


@task(name="status", task_run_name="status", **RETRIED | {"retries": 3})
def read_stages(checkout: Checkout, study: Study) -> list[Stage]:
    """DVC's graph, with what is stale; the overrides are written into the params first."""
    overrides = list(study.overrides)
    if study.fresh == "seed":
        overrides.append(fresh_seed())
    stages = read_graph(checkout.root, study.targets, overrides, fill=study.apart)
    stale = [stage.name for stage in stages if stage.stale]
    get_run_logger().info("%d stages, %d changed: %s", len(stages), len(stale), ", ".join(stale) or "none")
    return stages


def fresh_seed() -> str:
    """An override with the run's own time: readable, new each night, and the same when this run is tried again."""
    return f"study.seed={flow_run.scheduled_start_time:%Y%m%d%H%M%S}"


def run_stages(checkout: Checkout, stages: Sequence[Stage], slots: Slots, force: bool) -> dict[str, str]:
    """Run every stage after those it needs, independent ones together. Raises StudyFailed naming those that failed."""
    futures: dict[str, PrefectFuture[Any]] = {}
    for stage in map(replace, stages):  # copies: Prefect would draw an edge from where the originals came from
        named = run_stage.with_options(name=stage.name, task_run_name=stage.name)
        # Each becomes its stage's outcome; a failure is let through, or Prefect would leave this task pending for good.
        needed = allow_failure([futures[need] for need in stage.needs])
        futures[stage.name] = named.submit(checkout, stage, needed, slots, force)  # type: ignore[call-overload, arg-type]
    for future in futures.values():
        future.wait()
    states = {name: future.state for name, future in futures.items()}
    checkout.processes.raise_if_stopped()
    left = [name for name, state in states.items() if state.name == NOT_RUN or not state.is_final()]
    failed = [_why(name, state) for name, state in states.items() if name not in left and not state.is_completed()]
    if failed:
        waiting = f"; not run, because they need these: {', '.join(left)}" if left else ""
        raise StudyFailed(f"failed: {', '.join(failed)}{waiting}")
    return {name: state.name or "" for name, state in states.items()}


def _why(name: str, state: State[Any]) -> str:
    """A failed stage's name, and its own last line."""
    error = state.result(raise_on_failure=False)
    return f"{name} ({error.reason if isinstance(error, CommandFailed) else error})"


@task(**RETRIED)
def run_stage(
    checkout: Checkout, stage: Stage, needed: Sequence[Outcome | Exception | None], slots: Slots, force: bool
) -> State[Outcome]:
    """Let DVC bring one stage up to date; its lines go to the log as they come.

    needed: what became of the stages it needs; no text where one failed or was not run. DVC's answer that nothing
    changed holds as long as they are unchanged.
    """
    lacking = [name for name, outcome in zip(stage.needs, needed, strict=True) if not isinstance(outcome, str)]
    if lacking:
        return Failed(name=NOT_RUN, message=f"it needs {', '.join(lacking)}")
    if not (stage.stale or force or any(outcome != "Unchanged" for outcome in needed)):
        return Completed(name="Unchanged", message="DVC was not started: nothing changed", data="Unchanged")
    log, progress = get_run_logger(), ProgressArtifact(stage.name)

    def on_line(line: str) -> None:
        log.log(logging.ERROR if line.startswith("ERROR:") else logging.INFO, line)
        progress.follow(line)

    try:
        with slots.hold(stage, checkout.processes.pause):
            outcome = checkout.repro(stage.name, on_line, force)
    except Stopped as stopped:
        return Cancelled(message=str(stopped))
    return Completed(name=outcome, message=f"DVC: {outcome.lower()}", data=outcome)


@task(task_run_name="pull", **RETRIED | {"retries": 2})
def pull(checkout: Checkout) -> None:
    """Fetch data from DVC's remote."""
    if not checkout.has_remote():
        get_run_logger().info("no DVC remote is set: nothing to pull")
        return
    with _remote():
        checkout.pull(get_run_logger().info)


@task(task_run_name="push", **RETRIED | {"retries": 2})
def push(checkout: Checkout, experiment: str) -> None:
    """Send data to DVC's remote and the experiment to Git's, where they are set."""
    log, data = get_run_logger(), checkout.has_remote()
    with _remote():
        if data:
            checkout.push(log.info)
        for remote in checkout.git("remote").split()[:1]:
            checkout.push_experiment(remote, experiment, data, log.info)


@contextmanager
def _remote() -> Iterator[None]:
    try:
        yield
    except Locked:
        raise
    except CommandFailed as error:
        raise RemoteFailed(error.line) from error


def show_history(home: Path, name: str) -> None:
    """The history table; a notice if the verdict is not what it was."""
    results = read_history(home)
    latest = next((result for result in results if result.experiment == name), results[-1] if results else None)
    if latest is None:
        return
    publish_history(results, latest)
    before = verdict_before(results, latest)
    if latest.experiment == name and before not in (None, latest.verdict):
        notify("verdict changed", f"{latest.contrast}: {before} became {latest.verdict} ({name})", name)


def name_flow_run(name: str) -> None:
    """Let the flow run carry the experiment's name."""
    if flow_run.id and flow_run.name != name:
        with get_client(sync_client=True) as client:
            client.update_flow_run(flow_run.id, name=name)


if __name__ == "__main__":  # `python -m flows.study [OVERRIDE ...]`: one run in this process
    augmentation_study(Study(overrides=sys.argv[1:]))
