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


def main() -> None:
    output, name = sys.argv.pop(1), sys.argv.pop(1)
    try:
        runpy.run_module(f"pipeline.stages.{name}", run_name="__main__", alter_sys=True)
    finally:
        # On Linux in KiB: of this process, and the largest of its workers that have ended.
        peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        found = {"host": round(max(peaks) * 1024 / MIB)}
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            found["device"] = round(torch.cuda.max_memory_reserved() / MIB)
        Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
