"""What a whole study costs, worked out from a short one and from steps."""

import os

import numpy as np
import pytest

from benchmarks.before import whole_study


def test_the_steps_that_a_short_study_leaves_out_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    params = {
        "study": {"replicates": 4},
        "oracle": {"steps": 1100},
        "gan": {"steps": 2100},
        "classifier": {"steps": 600},
    }
    steps = {"oracle": np.array([30.0, 20.0]), "gan": np.array([50.0, 30.0]), "classifier": np.array([10.0, 8.0])}
    # 1000 steps of one oracle alone; 2000 of 4 GANs and 500 of 28 classifiers, two side by side.
    then, now = 100 + 30 + 2 * 2000 * 0.05 + 14 * 500 * 0.01, 80 + 20 + 2 * 2000 * 0.03 + 14 * 500 * 0.008
    assert np.allclose(whole_study(params, np.array([100.0, 80.0]), 100, steps), [then, now])
