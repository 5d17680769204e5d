"""What a cancelled flow run leaves behind on the server: tasks that would wait for good."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled

UNFINISHED = TaskRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING])


def end_tasks(flow: Any, flow_run: Any, state: Any) -> None:
    """Prefect's hook for a flow run that was cancelled: cancel those of its tasks that have no end."""
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=UNFINISHED)),
        )
        ended: State[Any] = Cancelled(message="its flow run was cancelled")
        for task in tasks:
            client.set_task_run_state(task.id, ended, force=True)
