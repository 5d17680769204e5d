"""The commands that a flow run has running: their lines as they come, and an end to all of them at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.errors import RunError

SUPERVISE = Path(__file__).with_name("supervise.py")
TAIL = 20  # lines of a failed command that its error shows
# What DVC says of a lock that another process holds: it passes. So do network failures, in `dvc pull` and `dvc push`.
LOCKED = ("Unable to acquire lock", "is busy, it is being blocked by")
_live: weakref.WeakSet[Processes] = weakref.WeakSet()


class CommandFailed(RunError):
    """A command ended with a status other than 0; says which, and its last lines."""

    def __init__(self, name: str, status: int, lines: Sequence[str]) -> None:
        super().__init__(f"{name}: exit status {status}; its last lines:\n" + "\n".join(lines))
        self.name, self.status, self.lines = name, status, list(lines)

    @property
    def line(self) -> str:
        """The command's own error in one line."""
        return f"{self.name}: {self.reason}"

    @property
    def reason(self) -> str:
        """The same without the command's name. Of a stage it is its last line: DVC only adds that it failed."""
        errors = [line.removeprefix("ERROR: ") for line in self.lines if line.startswith("ERROR: ")]
        said = [line for line in self.lines if not line.startswith(("ERROR: ", "Running stage ", "> "))]
        if errors and not (said and errors[0].startswith("failed to reproduce ")):
            return errors[0]
        return said[-1].removeprefix(f"{self.name}: ") if said else f"status {self.status}"


class Locked(CommandFailed):
    """Another process holds a lock that the command needs; worth another try."""


class Stopped(RunError):
    """The flow run was cancelled or has failed: nothing is started any more."""


class Processes:
    """Runs commands for one flow run, each in a process group of its own that dies with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = threading.Event()
        _live.add(self)

    def run(
        self, command: Sequence[str], cwd: Path, name: str, on_line: Callable[[str], None] | None = None
    ) -> list[str]:
        """Run `command` in `cwd` and return its output's lines, standard error among them.

        on_line: called with each line as it comes. Raises Stopped, Locked, or CommandFailed with the last lines.
        """
        with self._lock:
            self.raise_if_stopped()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISE), *command],
                cwd=cwd,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        assert process.stdout is not None and process.stdin is not None
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if on_line and lines[-1]:
                    on_line(lines[-1])
            status = process.wait()
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()
            with self._lock:
                self._running.discard(process)
        self.raise_if_stopped()
        if status != 0:
            tail = list(deque((line for line in lines if line), maxlen=TAIL))
            locked = any(words in line for line in tail for words in LOCKED)
            raise (Locked if locked else CommandFailed)(name, status, tail)
        return lines

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stop()

    def stop(self) -> None:
        """End every command and let no other start; returns when their process groups are gone."""
        self._stopped.set()
        with self._lock:
            running = list(self._running)
        for process in running:
            if process.stdin is not None:
                process.stdin.close()  # the supervisor's signal to end the group
        for process in running:
            process.wait()

    def raise_if_stopped(self) -> None:
        """Raise Stopped after `stop`."""
        if self._stopped.is_set():
            raise Stopped("the flow run is being stopped")

    def pause(self, seconds: float) -> None:
        """Sleep, but wake at once when stopped."""
        self._stopped.wait(seconds)
        self.raise_if_stopped()


def stop_all() -> None:
    """Stop the commands of every flow run in this process."""
    for processes in list(_live):
        processes.stop()


def environment() -> dict[str, str]:
    """This process's environment with this interpreter's programs first, for stages that start with `python`."""
    return os.environ | {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
    }
