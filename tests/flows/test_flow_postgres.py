"""Prefect's server on PostgreSQL: Debian's, started here on loopback with a folder of its own."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import free_port, serving

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture
def postgres() -> Iterator[str]:
    """A database's address, as PREFECT_SERVER_DATABASE_CONNECTION_URL takes it."""
    if not PROGRAMS:
        pytest.skip("Debian's postgresql is not installed")
    programs, port = PROGRAMS[-1].parent, free_port()
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        data, as_user = Path(name, "data"), []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            as_user = ["/usr/sbin/runuser", "-u", "postgres", "--"]
            os.chown(name, pwd.getpwnam("postgres").pw_uid, -1)
        subprocess.run(
            [*as_user, programs / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=name,
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={name} -c fsync=off"
        control = [*as_user, programs / "pg_ctl", "-D", data, "-w", "-l", Path(name, "log"), "-o", options]
        subprocess.run([*control, "start"], check=True, capture_output=True, cwd=name)
        try:
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=name)


def test_a_run_completes_with_its_state_in_postgresql(tmp_path: Path, postgres: str) -> None:
    with serving(tmp_path / "toy", PREFECT_SERVER_DATABASE_CONNECTION_URL=postgres) as server:
        server.completes(server.trigger(targets=["train_baseline"]))
        assert not list(server.root.glob(".prefect/*.db"))
