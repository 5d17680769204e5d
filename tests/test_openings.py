"""How often the test set was opened: counted in a real Git repository, with an experiment's reference and the rest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import openings
from pipeline.errors import InputError
from pipeline.ledger import COLUMNS, LEDGER, accuracies_to_key, count, data_to_test_set, read_ledger

ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
ENVIRONMENT |= {
    f"GIT_{role}_{what}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}
DATA = {"source": "mnist", "root": "datasets"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, which is the working directory."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    git("init", "-q", "-b", "main")
    return root


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def commit(day: int) -> str:
    """Commit everything, on a day of January."""
    git("add", "-A")
    date = f"2026-01-{day:02d}T10:00:00+02:00"
    subprocess.run(["git", "commit", "-qm", "x"], check=True, env={**os.environ, "GIT_COMMITTER_DATE": date})
    return git("rev-parse", "HEAD")


def write_params(seed: int, **data: Any) -> dict[str, Any]:
    params = {"study": {"seed": seed}, "data": {**DATA, **data}, "gan": {"recipe": "dcgan"}}
    YAML().dump(params, Path("params.yaml"))
    return params


def write_table(folder: str, *accuracies: float) -> None:
    rows = [f"50,real,{replicate},{accuracy}\n" for replicate, accuracy in enumerate(accuracies)]
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "accuracies.csv").write_text("".join(["budget,arm,replicate,accuracy\n", *rows]))


def write_results(*accuracies: float, delta: float = 0.5, folder: str = "results") -> None:
    write_table(folder, *accuracies)
    primary = {"budget": 50, "arm": "real+gan", "reference": "real", "replicates": 6, "delta": delta}
    Path(folder, "metrics.json").write_text(json.dumps({"primary": {**primary, "ci_low": None, "ci_high": None}}))


def write_lock(params: dict[str, Any]) -> None:
    """As DVC does when stage report has run on the results that are there."""
    md5 = hashlib.md5(Path("results/accuracies.csv").read_bytes()).hexdigest()
    deps = [{"path": "results/accuracies.csv", "hash": "md5", "md5": md5}]
    YAML().dump({"stages": {"report": {"deps": deps, "params": {"params.yaml": params}}}}, Path("dvc.lock"))


def counted() -> pd.DataFrame:
    assert openings.main() == 0
    return read_ledger()


def test_every_set_of_predictions_counts_once_wherever_it_is(repository: Path) -> None:
    write_params(1)
    commit(1)
    write_results(95.0)
    first = commit(2)
    write_params(2)  # the next study is frozen beside the results of the one before
    commit(3)
    write_results(96.0, delta=0.75)
    second = commit(4)
    write_results(96.0, delta=0.7499)  # the same predictions, compared anew
    commit(5)
    git("checkout", "-q", "-b", "side", first)
    write_results(97.0)
    third = commit(6)
    git("checkout", "-q", "main")
    git("tag", "kept", third)
    git("branch", "-q", "-D", "side")
    write_params(7, part="development")
    write_results(91.0)
    experiment = commit(7)
    git("update-ref", f"refs/exps/{second[:2]}/{second[2:]}/trial", experiment)
    git("reset", "-q", "--hard", second)
    write_params(8)
    write_results(92.0)
    lost = commit(8)
    git("reset", "-q", "--hard", second)  # no reference holds it any more

    ledger = counted()
    assert list(ledger["commit"]) == [full[:12] for full in (first, second, third, experiment)]
    assert lost[:12] not in set(ledger["commit"])
    assert list(ledger["part"]) == ["all", "all", "all", "development"]
    assert list(ledger["seed"]) == ["1", "2", "1", "7"]
    assert list(ledger["date"]) == [f"2026-01-{day:02d} 08:00" for day in (2, 4, 6, 7)]  # UTC
    assert list(ledger["delta"]) == [0.5, 0.75, 0.5, 0.5]
    assert set(ledger["data"]) == {"mnist"} and set(ledger["recipe"]) == {"dcgan"}
    assert ledger["ci_low"].isna().all()

    before = LEDGER.read_bytes()
    counted()
    assert LEDGER.read_bytes() == before


def test_rows_stay_when_the_history_goes(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(1)
    write_results(95.0)
    git("checkout", "-q", "-b", "trial")
    commit(1)
    ledger = counted()
    git("checkout", "-q", "--orphan", "main")
    commit(2)  # the ledger is in it
    git("branch", "-q", "-D", "trial")
    write_results(96.0)
    commit(3)
    assert list(counted()["commit"])[:1] == list(ledger["commit"])
    assert len(read_ledger()) == 2

    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", f"file://{repository}", str(clone))
    os.chdir(clone)
    capsys.readouterr()
    assert len(counted()) == 2  # one from the committed ledger, which precedes what this clone holds
    assert "a shallow clone" in capsys.readouterr().out


def test_without_a_history_a_run_goes_on(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(1)
    write_results(95.0)
    commit(1)
    rows = len(counted())
    bare = shutil.copytree(repository, tmp_path / "bare", ignore=shutil.ignore_patterns(".git"))
    monkeypatch.chdir(bare)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    before = LEDGER.read_bytes()
    capsys.readouterr()
    assert openings.main() == 0
    said = capsys.readouterr().err
    assert said.startswith("openings: the Git history could not be read (git rev-list: ") and said.count("\n") == 1
    assert LEDGER.read_bytes() == before and rows == 1

    LEDGER.unlink()  # the page depends on it
    monkeypatch.setenv("PATH", str(tmp_path))
    assert openings.main() == 0
    assert "git is not installed" in capsys.readouterr().err
    assert list(pd.read_csv(LEDGER).columns) == COLUMNS


def test_the_lock_says_what_made_the_results(repository: Path) -> None:
    write_results(91.0)
    write_lock(write_params(5, part="development"))
    write_params(6)  # moved on before anyone committed
    commit(1)
    (row,) = counted().to_dict("records")
    assert (row["part"], row["seed"]) == ("development", "5")

    write_results(92.0)  # without DVC: the lock speaks of other results
    commit(2)
    assert list(counted()["part"]) == ["development", "all"]


def test_results_without_params_or_metrics_are_openings_too(repository: Path) -> None:
    write_results(91.0)
    Path("results/metrics.json").write_text("{")
    Path("params.yaml").write_text("study: [")
    commit(1)
    (row,) = counted().to_dict("records")
    assert (row["data"], row["part"]) == ("unknown", "all")


def test_a_table_of_docs_counts_where_no_results_were_committed(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(1)
    write_results(95.0)
    commit(1)
    write_table("docs/deep/down", 96.0)  # of another study than that of results/ and params.yaml
    alone = commit(2)
    write_table("docs/deep/down", 95.0)
    commit(3)
    git("checkout", "-q", "-b", "side", alone)
    write_table("docs", 97.0)
    aside = commit(4)
    git("checkout", "-q", "main")
    git("merge", "-q", "-s", "ours", "-m", "x", "side")  # its tree has nothing of the branch
    git("branch", "-q", "-D", "side")

    rows = counted()
    assert list(rows["commit"]) == [full[:12] for full in (git("rev-list", "--max-parents=0", "HEAD"), alone, aside)]
    assert list(rows["data"]) == ["mnist", "unknown", "unknown"]
    told = rows.columns.difference(["predictions", "commit", "date", "data"])
    assert rows.loc[1:, told].isna().all(axis=None)
    assert list(rows["date"]) == [f"2026-01-{day:02d} 08:00" for day in (1, 2, 4)]
    assert "those of unknown count for every test set until docs/openings.csv says" in capsys.readouterr().out
    reuse = count(rows, DATA, rows["predictions"][0])
    assert (reuse.times, reuse.trials, reuse.known) == (3, 0, True)

    rows.loc[2, ["data", "part"]] = ["mnist", "development"]  # by hand
    rows.to_csv(LEDGER, index=False)
    by_hand = counted()
    assert list(by_hand["data"]) == ["mnist", "unknown", "mnist"]
    assert (count(by_hand, DATA, "").times, count(by_hand, DATA, "").trials) == (3, 1)


def test_a_copy_of_results_is_no_opening_of_its_own(repository: Path) -> None:
    write_params(1)
    write_table("docs/first", 95.0, 96.0)  # before its study's own commit is merged
    commit(1)
    write_results(95.0, 96.0)
    commit(2)
    write_params(2)
    write_results(97.0, 98.0)
    shutil.copytree("results", "docs/second")
    write_table("docs/part", 97.0)
    commit(3)
    first, second = (Path(name, "accuracies.csv").read_text() for name in ("docs/first", "docs/second"))
    joined = first + second.partition("\n")[2]
    Path("docs/part/accuracies.csv").write_text(joined)
    commit(4)
    assert list(counted()["seed"]) == ["1", "2"]

    Path("docs/part/accuracies.csv").write_text(joined + "50,real,2,99.0\n")  # and a run that nobody kept
    commit(5)
    assert list(counted()["date"]) == [f"2026-01-{day:02d} 08:00" for day in (2, 3, 5)]


def test_a_copy_is_described_by_what_lies_beside_it(repository: Path) -> None:
    write_params(1)
    write_results(95.0)
    commit(1)
    write_params(2, shift="usps")
    Path("docs/usps").mkdir(parents=True)
    Path("params.yaml").rename("docs/usps/params.yaml")
    write_results(90.0, delta=2.5, folder="docs/usps")
    write_params(3)
    commit(2)
    # results that Git does not have, but a copy of them, and the lock
    write_results(91.0, folder="docs/lock")
    shutil.copy("docs/lock/accuracies.csv", "results")
    write_lock(write_params(4, part="development"))
    shutil.rmtree("results")
    write_params(5)
    commit(3)
    rows = counted()
    assert list(rows["data"]) == ["mnist", "usps", "mnist"]
    assert list(rows["part"]) == ["all", "all", "development"]
    assert list(rows["seed"]) == ["1", "2", "4"]
    assert list(rows["delta"]) == [0.5, 2.5, 0.5]


def test_a_project_in_a_folder_of_its_repository_is_counted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "ours").mkdir()
    monkeypatch.chdir(repository / "ours")
    write_params(1)
    write_results(95.0)
    write_table("docs/überblick", 96.0)
    write_table("../docs", 97.0)  # another project's
    Path("docs/link").mkdir()
    Path("docs/link/accuracies.csv").symlink_to("../../results/accuracies.csv")
    commit(1)
    assert list(counted()["data"]) == ["mnist", "unknown"]


def test_a_damaged_ledger_is_one_line(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LEDGER.parent.mkdir()
    LEDGER.write_text("commit,date\nabc,2026\n")
    assert openings.main() == 2
    said = capsys.readouterr().err
    assert "docs/openings.csv: damaged" in said and "git checkout docs/openings.csv" in said and said.count("\n") == 1
    with pytest.raises(InputError):
        read_ledger()


def test_only_the_same_test_set_is_counted() -> None:
    rows = [("a", "mnist", "all"), ("b", "mnist", "all"), ("c", "mnist", "development"), ("d", "usps", "all")]
    ledger = pd.DataFrame([dict(zip(("predictions", "data", "part"), row, strict=True)) for row in rows])
    ledger = ledger.assign(date="2026-01-01 10:00")
    known, fresh = (count(ledger, {"source": "mnist", "part": "all"}, key) for key in ("a", "e"))
    assert (known.times, known.trials, known.known) == (2, 1, True)
    assert (fresh.times, fresh.trials, fresh.known) == (3, 1, False)
    for part in ("development", "validation"):
        trial = count(ledger, {"source": "mnist", "part": part}, "e")
        assert (trial.times, trial.known) == (2, True)
    validated = count(ledger.assign(part=["all", "validation", "development", "all"]), {"source": "mnist"}, "a")
    assert (validated.times, validated.trials) == (1, 2)
    assert count(ledger, {"source": "usps"}, "a").times == 2  # `a` is another data set's
    assert count(ledger, {"source": "kmnist"}, "a").times == 1


def test_a_test_set_is_its_source_or_the_folder_and_what_is_held_out() -> None:
    assert data_to_test_set({"source": "mnist", "image_size": 32, "root": "here"}) == "mnist"
    shifted = {shift: data_to_test_set({"source": "mnist", "shift": shift}) for shift in ("none", "rotated", "blurred")}
    assert set(shifted.values()) == {"mnist"}  # the same images
    assert data_to_test_set({"source": "mnist", "shift": "usps"}) == data_to_test_set({"source": "usps"}) == "usps"
    folder = {"source": "folder", "root": "mine", "test_fraction": 0.2, "split_seed": 1}
    others = [folder | change for change in ({"root": "yours"}, {"test_fraction": 0.3}, {"split_seed": 2})]
    assert len({data_to_test_set(data) for data in [folder, *others]}) == 4


def test_the_key_is_of_the_predictions_alone() -> None:
    assert accuracies_to_key(b"50,real,0,95.1\n") != accuracies_to_key(b"50,real,0,95.2\n")
