"""No command outlives its flow; a failed one says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.processes import CommandFailed, Processes, Stopped

# A shell that starts a child which ignores the interrupt, as a stage under dvc might.
STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter: it ended between opening and reading
        return True


def test_lines_come_one_by_one(tmp_path: Path) -> None:
    code = "import time; print('one', flush=True); time.sleep(0.5); print('two')"
    seen: list[tuple[str, float]] = []
    lines = Processes().run(
        [sys.executable, "-c", code], tmp_path, "two", lambda line: seen.append((line, time.time()))
    )
    assert lines == ["one", "two"] and seen[1][1] - seen[0][1] > 0.3


def test_a_failure_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="the end of it") as caught:
        Processes().run([sys.executable, "-c", "print('ERROR: no'); raise SystemExit('the end of it')"], tmp_path, "x")
    assert caught.value.status == 1 and caught.value.line == "x: no"


def test_a_failed_stage_is_named_by_its_own_last_line_not_by_that_of_dvc() -> None:
    told = "ERROR: failed to reproduce 'check': failed to run: python check.py, exited with 2"
    begun = ["Running stage 'check':", "> python check.py"]
    assert CommandFailed("check", 255, [*begun, "check: gan.steps: must be positive", told]).line == (
        "check: gan.steps: must be positive"
    )
    assert "exited with 2" in CommandFailed("check", 255, [*begun, told]).line
    assert CommandFailed("check", 255, []).line == "check: status 255"


def test_stop_ends_the_whole_group_and_lets_nothing_start(tmp_path: Path) -> None:
    processes, pids = Processes(), []
    command = ["sh", "-c", f'{sys.executable} -c "{STUBBORN}" & echo $!; wait']
    ended: list[BaseException] = []

    def work() -> None:
        try:
            processes.run(command, tmp_path, "stubborn", pids.append)
        except Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while len(pids) < 2:
        time.sleep(0.05)
    began = time.monotonic()
    processes.stop()
    thread.join()
    assert time.monotonic() - began < 8 and len(ended) == 1
    assert gone(int(next(line for line in pids if line != "on")))
    with pytest.raises(Stopped):
        processes.run(["true"], tmp_path, "late")


def test_a_killed_flow_leaves_no_orphan(tmp_path: Path) -> None:
    stage = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    flow = (
        "import sys; from pathlib import Path; from flows.processes import Processes; "
        f"Processes().run([sys.executable, '-c', {stage!r}], Path(), 'x', lambda line: print(line, flush=True))"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", flow], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=env)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 8
    while not gone(pid):
        assert time.monotonic() < until
        time.sleep(0.1)
