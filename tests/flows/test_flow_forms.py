"""What a person may ask, what a stage prints, what the deployments say: checked without a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.graph import Stage
from flows.history import Result, _digest, summary, verdict_before
from flows.progress import line_to_step
from flows.request import Study
from flows.serve import read_deployments
from flows.slots import Slots
from flows.sweep import Sweep, sweep_to_studies

PROJECT = Path(__file__).parents[2]


def test_progress_lines() -> None:
    step = line_to_step("train_gan@50: step 1200 of 26400, generator 0.812 discriminator 0.611, 340 s left")
    assert step is not None and (step.step, step.total, step.seconds_left) == (1200, 26400, 340)
    assert str(step) == "train_gan@50: step 1200 of 26400; generator 0.812 discriminator 0.611; 5:40 left"
    assert step.percent == pytest.approx(4.545, abs=1e-3)
    assert line_to_step("train_gan@50: 3 of 6 replicates look collapsed") is None


def test_a_study_is_checked() -> None:
    assert not Study().apart and not Study(fresh="upstream").apart
    assert Study(fresh="seed").apart and Study(overrides=["gan.steps=5"]).apart
    with pytest.raises(ValidationError, match=r"gan\.steps=500"):
        Study(overrides=["gan.steps 5"])
    with pytest.raises(ValidationError, match="letters"):
        Study(experiment="../x")
    with pytest.raises(ValidationError, match="stepz"):
        Study(stepz=1)  # type: ignore[call-arg]


def test_a_sweep_names_its_experiments() -> None:
    sweep = Sweep(variants=[["a=1"], ["a=2"]], studies=["quick", "full"], base=Study(overrides=["b=3"]))
    studies = sweep_to_studies(sweep, "owl")
    assert [(one.study, one.overrides, one.experiment) for one in studies] == [
        ("quick", ["b=3", "a=1"], "owl-1"),
        ("quick", ["b=3", "a=2"], "owl-2"),
        ("full", ["b=3", "a=1"], "owl-3"),
        ("full", ["b=3", "a=2"], "owl-4"),
    ]


def test_deployments_without_a_worker_are_those_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    deployments = {one.name: one for one in read_deployments()}
    assert set(deployments) == {"nightly", "upstream", "weekly", "on-demand"}
    for name in ("nightly", "weekly"):
        assert deployments[name].concurrency_limit == 1
        assert len(deployments[name].schedules or []) == 1


def test_slots(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("compute: {device: cpu, workers: 1}\n")
    slots = Slots(tmp_path)
    slots.cores, slots.workers = 4, 3
    named = {"name": "x", "needs": (), "stale": True}
    assert slots.needed(Stage(**named, cores=None, computes=True)) == {slots.cores_limit: 3}
    assert slots.needed(Stage(**named, cores=None, computes=False)) == {slots.cores_limit: 1}
    assert slots.needed(Stage(**named, cores=8, computes=True)) == {slots.cores_limit: 4}
    assert slots.needed(Stage(**named, cores="workers", computes=False)) == {slots.cores_limit: 3}
    slots.gpus = 1
    assert slots.needed(Stage(**named, cores="workers", computes=False)) == {slots.cores_limit: 3}, "never the GPU"
    assert slots.needed(Stage(**named, cores=None, computes=True)) == {slots.gpu_limit: 1, slots.cores_limit: 1}


def test_a_stage_on_a_cluster_takes_one_core_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.slots.joblib.cpu_count", lambda: 8)
    monkeypatch.setattr("flows.slots.count_gpus", lambda: 1)
    stage = Stage(name="x", needs=(), stale=True, cores=None, computes=True)
    for backend, taken in (("local", "gpu"), ("dask", "cores")):
        (tmp_path / "params.yaml").write_text(f"compute: {{device: auto, workers: 4, backend: {backend}}}\n")
        slots = Slots(tmp_path)
        assert slots.needed(stage) == {slots.cores_limit: 1} | ({slots.gpu_limit: 1} if taken == "gpu" else {})


def test_history_pools_only_what_is_alike() -> None:
    def result(name: str, seed: int, delta: float, verdict: str, params: str = "p") -> Result:
        return Result(name, "2026", seed, "a against b at 50", delta, None, None, verdict, params)

    results = [result("a", 1, 1.0, "helps"), result("b", 2, 2.0, "helps"), result("c", 3, 9.0, "hurts", "q")]
    latest = result("d", 4, 3.0, "inconclusive")
    text = summary([*results, latest], "p", "a against b at 50")
    assert "3 seeds, mean delta +2.00 points, SD 1.00, +1.00 to +3.00" in text
    assert verdict_before([*results, latest], latest) == "helps"
    assert verdict_before(results, results[2]) is None


def test_where_a_study_ran_does_not_tell_it_from_others() -> None:
    here = {"gan": {"steps": 3}, "compute": {"device": "cpu", "workers": 2, "backend": "local", "address": None}}
    there = {"gan": {"steps": 3}, "compute": {"device": "cpu", "backend": "dask", "address": "tcp://10.0.0.5:8786"}}
    other = {"gan": {"steps": 3}, "compute": {"device": "cuda"}}
    assert _digest(here) == _digest(there) != _digest(other)
