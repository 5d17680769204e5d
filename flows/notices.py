"""Say in the log, and at a webhook's address if one is set, that a run failed or a verdict changed.

An error whose message says it all is one line of the log: its traceback is left out.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import httpx
from prefect.exceptions import ParameterTypeError
from prefect.logging import get_logger

from flows.errors import RunError

WEBHOOK = "SYNTHGAIN_WEBHOOK"  # takes JSON {"text": ..., "event": ..., "flow_run": ...}
TIMEOUT = 10.0


def notify(event: str, text: str, flow_run: str) -> None:
    """Log `text` as a warning and send it to the webhook. A webhook that fails is logged, no more."""
    logger = get_logger("flows.notices")
    logger.warning("%s: %s", event, text)
    address = os.environ.get(WEBHOOK)
    if not address:
        return
    try:
        sent = httpx.post(address, json={"event": event, "text": text, "flow_run": flow_run}, timeout=TIMEOUT)
        sent.raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("webhook: %s", error)


def on_failure(flow: Any, flow_run: Any, state: Any) -> None:
    """Prefect's hook for a flow run that failed or crashed."""
    notify("run failed", f"{flow.name} {flow_run.name}: {state.message or state.name}", flow_run.name)


class _NoTraceback(logging.Filter):
    """Prefect logs every error with its traceback; the record's own text holds the message already."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], RunError | ParameterTypeError):
            record.exc_info = None
        return True


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_NoTraceback())
