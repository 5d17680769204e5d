"""One stage as its own command runs it, and then the most memory that its process has held.

python -m benchmarks.measured_stage MEMORY.json train_gan --budget 50 --params params.yaml
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
from pathlib import Path

MIB = 2**20


def own_peak() -> int:
    """The most KiB that this process has held (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    output, name = sys.argv.pop(1), sys.argv.pop(1)
    try:
        runpy.run_module(f"pipeline.stages.{name}", run_name="__main__", alter_sys=True)
    finally:
        # The largest of its workers that have ended, and itself: not by getrusage, which still counts what this
        # process was before it became Python, a copy of the one that started it.
        peaks = [resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, own_peak()]
        found = {"host": round(max(peaks) / 1024)}
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            found["device"] = round(torch.cuda.max_memory_reserved() / MIB)
        Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
