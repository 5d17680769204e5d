"""Run a command that cannot outlive whoever started it: `python supervise.py COMMAND...`, with a pipe as its input.

The command gets a process group of its own. When the pipe closes (the starter closed it, or died in whatever way), the
group is interrupted as Ctrl-C would, and killed if it still lives GRACE seconds later. Uses the standard library alone,
so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

GRACE = 5.0  # seconds between the interrupt and the kill


def supervise(command: list[str]) -> int:
    """Run `command` to its end, or to the end of this process's input. Returns its exit status, as a shell would."""
    # A handler, not SIG_IGN: an ignored interrupt, as a background shell sets it, would be inherited by the command.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: threading.Thread(target=_end, args=(child,), daemon=True).start())
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    status = child.wait()
    _signal_group(child, signal.SIGKILL)  # whatever the command left behind
    return status if status >= 0 else 128 - status


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    _signal_group(child, signal.SIGINT)
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
        if child.poll() is not None:
            return
        time.sleep(0.05)
    _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
