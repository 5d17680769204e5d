"""Stages generate, judge and assess: the same bytes in one process and in two, and nothing out of date."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor
from small_study import BUDGET, REPLICATES, Study
from toy_images import bright_corners

from pipeline import compute
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.images import load, load_arrays
from pipeline.provenance import file_to_digest
from pipeline.stages import assess, generate, judge, split, train_gan, train_oracle, train_teacher

SETS, JUDGED, QUALITY = (Path(f"artifacts/{kind}/{BUDGET}") for kind in ("synthetic", "judged", "quality"))
CHANGES: dict[str, dict[str, Any]] = {
    "generate": {"per_class": 12, "export": "idx"},
    "assess": {"images": 128, "neighbours": 3, "suspects": 4},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = Study(folder)
        study.data(bright_corners(20, seed=3), bright_corners(6, seed=4))
        study.run(train_oracle.train_oracle, split.split, train_teacher.train_teacher, train_gan.train_gan)
    return folder


@pytest.fixture
def artifacts(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained / "artifacts", tmp_path / "artifacts")
    monkeypatch.chdir(tmp_path)
    # joblib keeps its workers for the next call, in the folder in which they began: that of an earlier test.
    get_reusable_executor().shutdown(wait=True)


def study(folder: Path, workers: int) -> Study:
    (folder / "conf").unlink(missing_ok=True)
    return Study(folder, **CHANGES, compute={"device": "cpu", "workers": workers})


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_to_digest(path) for path in folder.rglob("*") if not path.is_dir()
    }


def watched(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[int | None]:
    """The workers that a stage asks `run_replicates` for."""
    asked: list[int | None] = []

    def run(function: Callable[..., Any], jobs: Any, config: ComputeConfig, *rest: Any, **more: Any) -> Any:
        asked.append(config.workers)
        assert (config.device, config.backend) == ("cpu", "local")
        return run_replicates(function, jobs, config, *rest, **more)

    monkeypatch.setattr(module, "run_replicates", run)
    return asked


@pytest.mark.usefixtures("artifacts")
def test_two_processes_write_the_bytes_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    asked = [watched(monkeypatch, module) for module in (generate, compute, assess)]  # judge imports when it is called
    for workers in (1, 2):
        monkeypatch.setattr(generate, "DIGITS_A_WORKER", 40)  # of 216
        shutil.rmtree(".cache", ignore_errors=True)
        study(tmp_path, workers).run(generate.generate, judge.judge, assess.assess)
        found.append((digests(SETS), digests(JUDGED), digests(QUALITY)))
    assert asked == [[1, 2]] * 3
    one, two = found
    assert one == two
    names = {f"replicate-{r}{scale}.npz" for r in range(REPLICATES) for scale in ("", "-scale-0.7")}
    assert names < one[0].keys() and "replicate-2-idx/classes.txt" in one[0]
    assert len(load(SETS / "replicate-1.npz")) == 36 and one[2].keys() == {
        "quality.csv",
        "classes.csv",
        "suspects.npz",
        "inputs.json",
    }
    arrays = load_arrays(JUDGED / "replicate-2.npz")
    assert {name: array.shape for name, array in arrays.items()} == {
        "probabilities": (36, 3),
        "score": (36,),
        "distance": (36,),
    }


@pytest.mark.usefixtures("artifacts")
def test_a_few_digits_start_no_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = watched(monkeypatch, generate)
    study(tmp_path, 2).run(generate.generate)
    assert asked == [1]


@pytest.mark.usefixtures("artifacts")
def test_digits_whose_files_are_gone_are_drawn_again(tmp_path: Path) -> None:
    study(tmp_path, 1).run(generate.generate)
    before = digests(SETS)
    shutil.rmtree(SETS)
    study(tmp_path, 1).run(generate.generate)
    assert digests(SETS) == before


@pytest.mark.usefixtures("artifacts")
def test_what_was_measured_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = study(tmp_path, 1)
    here.run(generate.generate, assess.assess)
    before, measured = digests(QUALITY), []
    from pipeline.quality import replicate

    measure = replicate.images_to_assessment
    monkeypatch.setattr(
        replicate, "images_to_assessment", lambda *given: (measured.append(len(given[0])), measure(*given))[1]
    )
    here.run(assess.assess)
    assert digests(QUALITY) == before and not measured
    shutil.copy(SETS / "replicate-0.npz", SETS / "replicate-1.npz")
    here.run(assess.assess)
    assert measured == [36] and digests(QUALITY) != before


@pytest.mark.usefixtures("artifacts")
def test_another_teacher_judges_anew(tmp_path: Path) -> None:
    here = study(tmp_path, 1)
    here.run(generate.generate, judge.judge)
    before, folder = digests(JUDGED), Path(f"artifacts/teacher/{BUDGET}")
    here.run(judge.judge)
    assert digests(JUDGED) == before
    shutil.copy(folder / "weights-1.safetensors", folder / "weights-0.safetensors")
    here.run(judge.judge)
    changed = {name for name, digest in digests(JUDGED).items() if digest != before[name]}
    assert changed == {"replicate-0.npz", "inputs.json"}


@pytest.mark.usefixtures("artifacts")
def test_nothing_is_judged_where_no_arm_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = watched(monkeypatch, compute)
    (tmp_path / "conf").unlink(missing_ok=True)
    here = Study(tmp_path, variants={"generated": []})
    here.run(generate.generate, judge.judge)
    assert not asked and not any(len(array) for array in load_arrays(JUDGED / "replicate-0.npz").values())
