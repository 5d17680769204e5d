"""`python -m flows.server start|stop`: Prefect's server, work pool, deployments, worker and the reports' page, in one.

Loopback only, no telemetry; state, logs and process ids lie under the project's own .prefect. `. .prefect/env` points
a shell's `prefect` at it. SYNTHGAIN_PORT moves it from 4200; PREFECT_SERVER_DATABASE_CONNECTION_URL puts it on
PostgreSQL.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from flows.artifacts import REPORTS, REPORTS_URL
from flows.dvc import CheckoutError, project_root
from flows.processes import environment

HOME = Path(".prefect")
POOL = "synthgain"
READY = 300.0  # seconds in which the server must answer; half a minute, but a busy machine takes longer
GRACE = 20.0  # seconds between asking a process to end and killing it


def settings(root: Path) -> dict[str, str]:
    """The environment that points Prefect at the project's own server."""
    port = int(os.environ.get("SYNTHGAIN_PORT", "4200"))
    return {
        "PREFECT_HOME": str(root / HOME),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        # On disk, so that a server that is started anew still knows who holds which core.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        REPORTS_URL: f"http://127.0.0.1:{port + 1}",
    }


def start(root: Path) -> str:
    """Start all of it and return the page's address; what already runs is left running."""
    own = settings(root)
    api = own["PREFECT_API_URL"]
    reports = root / REPORTS
    reports.mkdir(parents=True, exist_ok=True)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in own.items()]
    programs = shlex.quote(str(Path(sys.executable).parent))  # `prefect` itself, where no environment is active
    (root / HOME / "env").write_text("".join([*lines, f'export PATH={programs}:"$PATH"\n']))
    if _running(root, "server") is None and _answers(api):
        raise CheckoutError(f"another server answers at {api}; choose a port with SYNTHGAIN_PORT=4210")
    _spawn(root, "server", ["-m", "prefect", "server", "start"])
    _wait_until_ready(root, api)
    port = own[REPORTS_URL].rsplit(":", 1)[1]
    _spawn(root, "reports", ["-m", "http.server", port, "--bind", "127.0.0.1", "--directory", str(reports)])
    _prefect(root, "work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect(root, "--no-prompt", "deploy", "--all")
    _spawn(root, "worker", ["-m", "prefect", "worker", "start", "--pool", POOL, "--name", "here"])
    return api.removesuffix("/api")


def stop(root: Path) -> None:
    """End worker, reports and server, in this order: the worker's flows end their stages first."""
    for name in ("worker", "reports", "server"):
        process = _running(root, name)
        if process is None:
            continue
        # The worker's children are flow runs: each ends its stages' process groups when it is told to end.
        family = _family(process)
        for one in (process, *process.children()):
            with suppress(psutil.NoSuchProcess):
                one.terminate()
        for left in psutil.wait_procs(family, GRACE)[1]:
            left.kill()
        _pid_file(root, name).unlink(missing_ok=True)


def _spawn(root: Path, name: str, arguments: list[str]) -> None:
    if _running(root, name):
        return
    with (root / HOME / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=root,
            env=_environment(root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _pid_file(root, name).write_text(f"{process.pid} {psutil.Process(process.pid).create_time()}")


def _wait_until_ready(root: Path, api: str) -> None:
    until = time.monotonic() + READY
    while time.monotonic() < until:
        if _answers(api):
            return
        if _running(root, "server") is None:
            break
        time.sleep(0.5)
    raise CheckoutError(f"the server did not start; {root / HOME / 'server.log'} says why")


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def _prefect(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=root, env=_environment(root), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise CheckoutError(f"prefect {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")


def _environment(root: Path) -> dict[str, str]:
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return environment() | settings(root) | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _pid_file(root: Path, name: str) -> Path:
    return root / HOME / f"{name}.pid"


def _running(root: Path, name: str) -> psutil.Process | None:
    """The process of that name, if it is still the one that was started."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        pid, created = _pid_file(root, name).read_text().split()
        process = psutil.Process(int(pid))
        if process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def main(arguments: list[str]) -> int:
    if arguments not in (["start"], ["stop"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        root = project_root(Path.cwd())
        if arguments == ["start"]:
            print(f"Prefect: {start(root)}; `. .prefect/env` points a shell at it, `make stop` ends it")
        else:
            stop(root)
    except CheckoutError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
