"""benchmarks.measured_stage: the largest process of a stage may be one of its workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
HELD = 900  # MiB, more than a process that has imported torch
STAGE = f"""
{{first}}
from pathlib import Path

import numpy as np

from benchmarks.measured_stage import peak
from pipeline.compute import ComputeConfig, in_workers


def hold(mebibytes):
    return float(np.ones(mebibytes * 2**17).sum())


if __name__ == "__main__":
    in_workers(hold, [({HELD},), (1,)], ComputeConfig(device="cpu", workers=2))
    Path("own").write_text(str(peak() // 1024))
"""


@pytest.mark.parametrize("first", ["from pipeline import workers", ""])
def test_the_largest_process_of_a_stage_may_be_a_worker(first: str, root: Path, tmp_path: Path) -> None:
    """One of two, which lets go of it before it is looked at; as forks of a server, and as loky starts them."""
    package = tmp_path / "pipeline"
    (package / "stages").mkdir(parents=True)
    for path in [*root.glob("pipeline/*"), *root.glob("pipeline/stages/*.py")]:
        if path.name not in ("stages", "__pycache__"):
            (tmp_path / path.relative_to(root)).symlink_to(path)
    (package / "stages/toy.py").write_text(STAGE.format(first=first))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    command = [sys.executable, "-m", "benchmarks.measured_stage", "memory.json", "toy"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "own").read_text()) < HELD < json.loads((tmp_path / "memory.json").read_text())["host"]
