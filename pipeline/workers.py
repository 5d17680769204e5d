"""Worker processes that have imported what their stage needs by the time that it needs them.

A stage that trains imports this first. On Linux a server process then imports the same as the stage does, while the
stage does, and workers are forks of it (multiprocessing's start method `forkserver`), each with one thread. Elsewhere,
on one core, and where the stage is not the program that runs, each worker begins from nothing.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path

# What a function imports when it is called, in workers alone.
LATER = {"pipeline.stages.train_baseline": ["imblearn.over_sampling"]}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


def begin(stage: str, file: Path) -> None:
    """Start the server: it imports what `file`, the module `stage`, imports. From here on joblib's workers are its."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    names += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    forkserver.set_forkserver_preload(names + LATER.get(stage, []))
    environment = dict(os.environ)
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the stage alone answers
    os.environ.update(ONE_THREAD)  # libraries read it when they are loaded
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGINT, heard)
    from joblib.externals.loky.backend.context import set_start_method  # slow to import: after the start

    set_start_method("forkserver")


_main = sys.modules["__main__"]
_stage = getattr(getattr(_main, "__spec__", None), "name", "")
if sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and _stage.startswith(f"{__package__}.stages."):
    begin(_stage, Path(str(_main.__file__)))
