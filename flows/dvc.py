"""DVC's commands, each a process of its own, in one checkout."""

from __future__ import annotations

import fcntl
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from flows.errors import RunError
from flows.processes import CommandFailed, Processes

Outcome = Literal["Ran", "Restored", "Unchanged"]
Line = Callable[[str], None]
PORTS = {"http": 80, "https": 443, "ssh": 22, "webdav": 80, "webdavs": 443}  # where a remote's address names none
LEDGER = Path("docs/openings.csv")
PATIENCE = 10.0  # seconds that a remote may take to answer
# DVC's advice to a person at a terminal, which says nothing of the run.
ADVICE = re.compile(r"To track the changes with git|\s*git add |To enable auto staging|\s*dvc config |Use `dvc push`")


class CheckoutError(RunError):
    """The checkout is not fit for a run; one line says why."""


class Checkout:
    """A working tree with a dvc.yaml, and the commands that one flow run has running in it."""

    def __init__(self, root: Path, processes: Processes) -> None:
        self.root, self.processes = root, processes
        self.pulled = False

    def repro(self, stage: str, on_line: Line, force: bool = False) -> Outcome:
        """Bring one stage up to date; says whether it ran, came from DVC's run cache, or had not changed."""
        # Outputs that only the run cache names are not fetched by `dvc pull`, but by `repro --pull`.
        options = [*(["--force"] if force else []), *(["--pull"] if self.pulled else [])]
        command = ["--wait-for-lock", "repro", "--single-item", *options, stage]
        lines = self._dvc(command, stage, on_line)
        if any(line.startswith("Running stage ") for line in lines):
            return "Ran"
        return "Restored" if any("is cached - skipping run" in line for line in lines) else "Unchanged"

    def pull(self, on_line: Line) -> None:
        """Fetch from the remote what the workspace lacks, and the run cache.

        Raises CommandFailed also where the remote is not there, which DVC takes for one that lacks the data.
        """
        for address in self._remote_addresses():
            if reason := absence(address):
                raise CommandFailed("dvc pull", 1, [f"the remote {address} {reason}"])
        self._dvc(["pull", "--run-cache", "--allow-missing"], "dvc pull", on_line)
        self.pulled = True

    def push(self, on_line: Line) -> None:
        """Send what dvc.lock names, and the run cache, to the remote."""
        self._dvc(["push", "--run-cache"], "dvc push", on_line)

    def has_remote(self) -> bool:
        """Whether DVC knows a default remote."""
        try:
            return bool(self._dvc(["config", "core.remote"], "dvc config"))
        except CommandFailed:
            return False

    def _remote_addresses(self) -> list[str]:
        """Where the default remote is: the endpoint of an object store, if one is set, and the remote's own address."""
        (name,) = self._dvc(["config", "core.remote"], "dvc config")[-1:]
        found = []
        for key in ("endpointurl", "url"):
            with suppress(CommandFailed):  # not set
                found += self._dvc(["config", f"remote.{name}.{key}"], "dvc config")[-1:]
        return found

    def save_experiment(self, name: str) -> None:
        """Save the workspace as the DVC experiment `name`, results among it; one of the same name is replaced."""
        results = ["--include-untracked", "results"] if (self.root / "results").is_dir() else []
        # DVC's own lock is the worktree's, but it stashes and writes references in the Git repository that all
        # worktrees share: of two saves at the same time one fails.
        shared = (self.root / self.git("rev-parse", "--git-common-dir")).resolve()
        with (shared / "synthgain-exp-save.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._dvc(["--wait-for-lock", "exp", "save", "--force", "--name", name, *results], "dvc exp save")

    def push_experiment(self, remote: str, name: str, with_data: bool, on_line: Line) -> None:
        """Send an experiment to a Git remote, and its data to DVC's remote if `with_data`."""
        data = [] if with_data else ["--no-cache"]
        self._dvc(["exp", "push", *data, "--force", remote, name], "dvc exp push", on_line)

    def git(self, *arguments: str) -> str:
        """Output of one short Git command. Raises CheckoutError with Git's own line."""
        return git(self.root, *arguments)

    def merge_study(self, study: str) -> None:
        """Merge a named study of conf/ into params.yaml. Raises CheckoutError with the reason in one line."""
        self._pipeline("studies", study, name=f"study {study}")

    def count_openings(self) -> None:
        """Bring the ledger of test-set openings up to date, where the project keeps one. Raises CheckoutError."""
        if (self.root / LEDGER).exists():
            self._pipeline("openings", name="openings")

    def _pipeline(self, module: str, *arguments: str, name: str) -> None:
        """Run a command of pipeline/. Raises CheckoutError with its own line."""
        try:
            self.processes.run([sys.executable, "-m", f"pipeline.{module}", *arguments], self.root, name)
        except CommandFailed as error:
            raise CheckoutError(error.line) from None

    def _dvc(self, arguments: Sequence[str], name: str, on_line: Line | None = None) -> list[str]:
        def on_telling(line: str) -> None:
            if on_line and not ADVICE.match(line):
                on_line(line)

        return self.processes.run([sys.executable, "-m", "dvc", *arguments], self.root, name, on_telling)


def absence(address: str) -> str | None:
    """Why a remote cannot be reached: its host does not answer, or its folder is not there. None if it can, as far as
    can be told without its own protocol.
    """
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        return None if Path(parts.path).is_dir() else "is no folder on this machine; mount it, or make it"
    if parts.hostname and parts.scheme in PORTS:
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), timeout=PATIENCE).close()
        except OSError as error:
            return f"does not answer ({error.strerror or error})"
    return None


def git(root: Path, *arguments: str, given: bytes | None = None) -> str:
    """Output of one short Git command in `root`. given: its input. Raises CheckoutError with Git's own line."""
    done = subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise CheckoutError(f"git {arguments[0]}: {said.splitlines()[-1]}")
    return done.stdout.decode(errors="surrogateescape").strip()


def project_root(start: Path) -> Path:
    """The folder of the dvc.yaml at or above `start`. Raises CheckoutError if there is none."""
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").exists():
            if not (folder / ".dvc").is_dir():
                raise CheckoutError(f"{folder}: no .dvc folder; run `dvc init`")
            return folder
    raise CheckoutError(f"{start}: no dvc.yaml here or above; start the flow in the project's folder")
