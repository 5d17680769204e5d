"""benchmarks.goals: a tiny study for real, the order of its stages, and goals judged by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.goals import commands, judged, prepared, read_accuracies, to_sections
from pipeline.errors import InputError


def test_the_stages_of_a_budget_follow_one_another_and_what_all_need_comes_first() -> None:
    names = [name for name, _ in commands([10, 50])]
    assert names[:3] == ["check", "prepare", "train_oracle"] and names[-1] == "compare"
    assert names.index("train_controls@10") < names.index("split@50") < names.index("train_gan@50")
    assert len(names) == len(set(names))
    assert [*commands([10], ["train_gan", "check"])] == [
        ("check", ["check"]),
        ("train_gan@10", ["train_gan", "--budget", "10"]),
    ]
    with pytest.raises(InputError, match="no stage train_gans; known stages: check, prepare, "):
        [*commands([10], ["train_gans"])]


def test_changes_are_nested_and_read_as_yaml() -> None:
    assert to_sections(["gan.steps=3", "study.budgets=[1, 2]", "compute.capture=true", "compare.primary.arm=gan"]) == {
        "gan": {"steps": 3},
        "study": {"budgets": [1, 2]},
        "compute": {"capture": True},
        "compare": {"primary": {"arm": "gan"}},
    }


def test_accuracies_are_means_over_replicates(tmp_path: Path) -> None:
    assert read_accuracies(tmp_path) is None
    (tmp_path / "results").mkdir()
    rows = [("real", 50, 0, 96.0), ("real", 50, 1, 97.0), ("gan", 50, 0, 94.0), ("gan", 50, 1, 95.02)]
    table = pd.DataFrame(rows, columns=["arm", "budget", "replicate", "accuracy"])
    table.to_csv(tmp_path / "results/accuracies.csv", index=False)
    found = read_accuracies(tmp_path)
    assert found is not None and found[50].to_dict() == {"real": 96.5, "gan": 94.51}


def a_table(**seconds: float) -> pd.DataFrame:
    return pd.DataFrame({"stage": [name.replace("_at_", "@") for name in seconds], "seconds": seconds.values()})


@pytest.mark.parametrize(
    ("study", "replicates", "table", "scores", "lines"),
    [
        ("quick", 10, a_table(prepare=20, compare=40), {"oracle": 99.2}, ["60.0 s: met"]),
        ("quick", 10, a_table(prepare=21, compare=40), {}, ["61.0 s: NOT met"]),
        ("quick", 10, a_table(prepare=20), {}, []),
        ("quick", 6, a_table(compare=1), {}, []),
        ("full_mnist", 1, a_table(train_gan_at_5021=60, compare=500), {"cas": 98.5}, ["train_gan 60.0 s: met"]),
        ("full_mnist", 1, a_table(train_gan_at_5021=60, compare=1), {"cas": 98.49}, ["CAS 98.49 %, stage", "NOT met"]),
        ("full", 10, a_table(train_oracle=9), {"oracle": 99.51}, ["99.51 %, 9.0 s: met"]),
        ("full", 10, a_table(train_oracle=11, compare=590), {"oracle": 99.51}, ["601.0 s: NOT met", "11.0 s: NOT met"]),
    ],
)
def test_goals_by_hand(
    study: str, replicates: int, table: pd.DataFrame, scores: dict[str, float], lines: list[str]
) -> None:
    found = judged(study, {"study": {"replicates": replicates}}, table, scores)
    assert all(text in " ".join(found) for text in lines)
    assert len(found) == (2 if len(lines) == 2 and study == "full" else min(1, len(lines)))


def test_a_mistake_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gan: stepps is not in params"):
        prepared(tmp_path / "a", "quick", ["gan.stepps=3"])
    with pytest.raises(InputError, match="unknown study 'quickest'"):
        prepared(tmp_path / "b", "quickest", [])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        prepared(tmp_path / "c", "quick", [])


def run_goals(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.goals", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_stages_run_without_dvc_in_a_folder_of_their_own(tmp_path: Path, root: Path) -> None:
    """Three stages of a tiny study of MNIST, for real; the oracle of 20 steps meets no goal."""
    before = {path: path.stat().st_mtime_ns for path in (root / "params.yaml", root / "dvc.lock")}
    given = ["full", "--stages", "check", "prepare", "train_oracle", "--folder", str(tmp_path / "study"), "--set"]
    given += ["oracle.steps=20", "oracle.width=4", "compute.device=cpu", "compute.at_once=1", "compute.capture=false"]
    out = run_goals(root, *given).stdout.splitlines()
    assert out[-1].startswith("the oracle to 99.5 % within 10 s: ") and out[-1].endswith(": NOT met")
    assert [line.split()[0] for line in out[-5:-2]] == ["check", "prepare", "train_oracle"]
    assert " s in stages, " in out[-2] and "nan s" not in out[-2]
    table = pd.DataFrame([line.split() for line in out[-5:-2]], columns=out[-6].split()).set_index("stage")
    assert table["seconds"]["check"] == "NaN" and float(table["seconds"]["train_oracle"]) > 0
    assert 50 < int(table["host"]["check"]) < 4000
    assert (tmp_path / "study/artifacts/oracle/weights.safetensors").exists()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_stage_that_fails_ends_it_in_one_line(tmp_path: Path, root: Path) -> None:
    ended = run_goals(root, "quick", "--stages", "split", "--folder", str(tmp_path / "study"))
    err = ended.stderr.splitlines()
    assert ended.returncode == 2 and err[-1] == "benchmarks.goals: stage split@50 ended with status 2"
    assert "artifacts/data/train.npz: no such file" in err[-2]
