"""One stage as its own command runs it, and then the most memory that one of its processes has held.

python -m benchmarks.measured_stage MEMORY.json train_gan --budget 50 --params params.yaml
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import traceback
from pathlib import Path

import psutil
from joblib.externals.loky import get_reusable_executor

MIB = 2**20


def peak(process: int | str = "self") -> int:
    """The most KiB that a process, by default this one, has held (Linux); 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def run_in(folder: Path, arguments: list[str]) -> None:
    """`main` with these arguments in a process of multiprocessing's, whose working folder is then `folder`.

    Such a process would wait for joblib's workers for ever: it ends them, and then itself.
    """
    os.chdir(folder)
    sys.argv[1:] = arguments
    status: object = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    get_reusable_executor().shutdown(wait=True, kill_workers=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def main() -> None:
    output, name = sys.argv.pop(1), sys.argv.pop(1)
    try:
        runpy.run_module(f"pipeline.stages.{name}", run_name="__main__", alter_sys=True)
    finally:
        # Children that have ended; itself, not by getrusage, which still counts what this process was before it became
        # Python, a copy of the one that started it; and its workers, which wait for more, as children of a server.
        own = psutil.Process()
        alive = [own, *own.children(recursive=True)]
        peaks = [resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, *(peak(process.pid) for process in alive)]
        found = {"host": round(max(peaks) / 1024)}
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            found["device"] = round(torch.cuda.max_memory_reserved() / MIB)
        Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
