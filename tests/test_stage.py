"""What every stage shares: whole outputs or none, one-line errors, interrupts, its declared params, its record."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.compute import ComputeConfig
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.stages.stage import (
    Stage,
    declared_params,
    processor,
    read_params,
    whole_folder,
    write_csv,
    write_json,
)

ROOT = Path(__file__).parent.parent
STAGE = """
import os, signal, sys, time
from pathlib import Path
from pipeline.errors import InputError
from pipeline.stages.stage import run, whole_folder

def body(stage):
    {body}

run("toy", body, per_budget={per_budget})
"""


def started(folder: Path, body: str, *arguments: str, per_budget: bool = False) -> subprocess.Popen[str]:
    """A stage of its own process in `folder`, which holds a params.yaml."""
    (folder / "params.yaml").write_text("toy:\n  steps: 3\n")
    (folder / "toy.py").write_text(STAGE.format(body=body.replace("\n", "\n    "), per_budget=per_budget))
    return subprocess.Popen(
        [sys.executable, "toy.py", *(arguments or ("--params", "params.yaml"))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(folder: Path, body: str, *arguments: str, per_budget: bool = False) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    process = started(folder, body, *arguments, per_budget=per_budget)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def stage(params: Mapping[str, Any], file: Path = Path("params.yaml")) -> Stage:
    return Stage("toy@50", 50, params, file)


@dataclass(frozen=True)
class Steps:
    steps: int


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class TestWholeFolder:
    def test_it_takes_its_place_when_all_is_written(self, tmp_path: Path) -> None:
        with whole_folder(tmp_path / "kind" / "50") as folder:
            (folder / "one").write_text("1")
            assert not (tmp_path / "kind" / "50").exists()
        assert names(tmp_path) == ["kind", "kind/50", "kind/50/one"]

    def test_it_replaces_the_old_one_wholly(self, tmp_path: Path) -> None:
        for name in ("old", "new"):
            with whole_folder(tmp_path / "out") as folder:
                (folder / name).touch()
        assert names(tmp_path) == ["out", "out/new"]

    @pytest.mark.parametrize("error", [InputError, KeyboardInterrupt, SystemExit])
    def test_whatever_stops_it_leaves_the_old_one(self, error: type[BaseException], tmp_path: Path) -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "old").touch()
        with pytest.raises(error), whole_folder(tmp_path / "out") as folder:
            (folder / "half").touch()
            raise error
        assert names(tmp_path) == ["out", "out/old"]

    def test_a_kill_in_the_middle_leaves_none_and_the_next_run_recovers(self, tmp_path: Path) -> None:
        body = 'with whole_folder(Path("out")) as folder:\n    (folder / "half").touch()\n    {}'
        status, _, _ = ended(tmp_path, body.format("os.kill(os.getpid(), signal.SIGKILL)"))
        assert status == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "artifacts").exists()
        with whole_folder(tmp_path / "out") as folder:
            (folder / "whole").touch()
        assert names(tmp_path / "out") == ["whole"]
        assert not (tmp_path / "out.part").exists()


class TestFiles:
    def test_json_is_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "a.json"
        write_json(path, {"one": 1, "two": [0.5, None]})
        assert read_json(path) == {"one": 1, "two": [0.5, None]}
        for bad in (math.nan, object()):
            with pytest.raises((ValueError, TypeError)):
                write_json(path, {"one": bad})
        assert read_json(path)["one"] == 1
        assert names(tmp_path) == ["new", "new/a.json"]

    def test_json_that_is_missing_or_damaged_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"absent\.json: no such file; run `dvc repro`"):
            read_json(tmp_path / "absent.json")
        (tmp_path / "half.json").write_text('{"one": ')
        with pytest.raises(InputError, match=r"half\.json: damaged") as error:
            read_json(tmp_path / "half.json")
        assert "\n" not in str(error.value)

    def test_tables_have_six_digits_and_plain_line_ends(self, tmp_path: Path) -> None:
        write_csv(tmp_path / "a.csv", pd.DataFrame({"arm": ["real"], "delta": [100 / 3], "none": [math.nan]}))
        assert (tmp_path / "a.csv").read_bytes() == b"arm,delta,none\nreal,33.3333,\n"
        assert names(tmp_path) == ["a.csv"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [(None, "no such file"), ("a: [1", "not valid YAML"), ("- a\n", "expected sections of keys"), ("", "expected")],
    )
    def test_params_that_cannot_be_read_are_named_in_one_line(
        self, text: str | None, message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "params.yaml"
        if text is not None:
            path.write_text(text)
        with pytest.raises(InputError) as error:
            read_params(path)
        assert str(error.value).startswith(f"{path}: {message}")
        assert "\n" not in str(error.value)


class TestParams:
    def test_an_undeclared_value_is_named(self) -> None:
        toy = stage({"study": {"seed": 7}})
        assert toy.value("study.seed") == 7
        for key in ("study.replicates", "gan", "gan.steps", "study.seed.deeper"):
            with pytest.raises(InputError, match=rf"^{key}: not among the params of stage toy@50; "):
                toy.value(key)

    def test_a_section_becomes_its_dataclass_or_names_the_key(self) -> None:
        assert stage({"toy": {"steps": 3}}).config("toy", Steps) == Steps(3)
        with pytest.raises(InputError, match=r"^toy\.steps: must be a whole number, got 'x'$"):
            stage({"toy": {"steps": "x"}}).config("toy", Steps)

    def test_workers_come_from_the_file_and_the_rest_from_what_is_declared(self, tmp_path: Path) -> None:
        (tmp_path / "params.yaml").write_text("compute: {device: cuda, precision: tf32, workers: 3}\n")
        declared = {"compute": {"device": "cpu", "precision": "float32"}}
        assert stage(declared, tmp_path / "params.yaml").compute(ComputeConfig) == ComputeConfig(
            "cpu", "float32", workers=3
        )

    def test_artifacts_of_a_budget_lie_together(self) -> None:
        assert stage({}).path("gan", "config.json") == Path("artifacts/gan/50/config.json")
        assert stage({}).path("gan") == Path("artifacts/gan/50")

    def test_dvc_gives_a_stage_what_it_declares_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        committed = read_params(ROOT / "params.yaml")
        name = f"train_baseline@{committed['study']['budgets'][0]}"
        params = declared_params(name)
        assert params["classifier"] == committed["classifier"]
        assert params["compute"] == {
            key: committed["compute"][key] for key in ("device", "precision", "at_once", "capture")
        }
        assert params["study"] == {"seed": committed["study"]["seed"]}
        with pytest.raises(InputError, match=rf"^gan\.steps: not among the params of stage {name}; "):
            Stage(name, 50, params, Path("params.yaml")).value("gan.steps")

    def test_what_is_declared_is_what_dvc_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from dvc.repo import Repo

        monkeypatch.chdir(ROOT)
        with Repo() as repo:
            stages = [stage.addressing for stage in repo.index.stages]
            assert len(stages) > 10
            for name in stages:
                shown = repo.params.show(stages=[name], on_error="raise")[""]["data"].get("params.yaml", {"data": {}})
                assert declared_params(name) == shown["data"], name

    def test_a_stage_that_dvc_does_not_know_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        with pytest.raises(
            InputError, match=r"^dvc\.yaml: has no stage toy; give the params by --params params\.yaml$"
        ):
            declared_params("toy@50")


class TestRun:
    def test_with_a_params_file_it_reads_that_one_and_needs_no_dvc(self, tmp_path: Path) -> None:
        (tmp_path / "other.yaml").write_text("toy:\n  steps: 5\n")
        body = 'print(stage.name, stage.budget, stage.value("toy.steps"), stage.params_file, "dvc" in sys.modules)'
        assert ended(tmp_path, body, "--params", "other.yaml") == (0, "toy None 5 other.yaml False\n", "")

    def test_it_leaves_a_record_of_who_made_it(self, tmp_path: Path) -> None:
        arguments = ("--params", "params.yaml", "--budget", "20")
        status, _, _ = ended(tmp_path, "stage.facts['device'] = 'CPU'", *arguments, per_budget=True)
        assert status == 0
        record = json.loads((tmp_path / "artifacts/runs/toy@20.json").read_text())
        assert record["stage"] == "toy@20"
        assert record["device"] == "CPU"
        assert 0 <= record["seconds"] < 60
        assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
        assert record["versions"]["torch"].split(".")[0].isdigit()
        assert record["machine"]["cores"] == os.cpu_count()
        assert record["machine"]["processor"] == processor()

    def test_the_users_mistake_is_one_line_and_status_2(self, tmp_path: Path) -> None:
        found = ended(tmp_path, 'raise InputError("data.root: no such folder")')
        assert found == (2, "", "toy: data.root: no such folder\n")
        assert not (tmp_path / "artifacts").exists()

    def test_our_mistake_keeps_its_traceback(self, tmp_path: Path) -> None:
        status, _, err = ended(tmp_path, 'raise RuntimeError("a bug")')
        assert status == 1
        assert "Traceback" in err

    def test_a_missing_params_file_is_one_line(self, tmp_path: Path) -> None:
        status, _, err = ended(tmp_path, "pass", "--params", "absent.yaml")
        assert (status, err.count("\n")) == (2, 1)
        assert err.startswith("toy: absent.yaml: no such file")

    def test_a_budget_is_asked_for_where_there_is_one(self, tmp_path: Path) -> None:
        status, _, err = ended(tmp_path, "pass", "--params", "params.yaml", per_budget=True)
        assert status == 2
        assert "--budget" in err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_is_one_line_and_leaves_nothing(self, number: signal.Signals, tmp_path: Path) -> None:
        body = 'with whole_folder(Path("out")):\n    Path("begun").touch()\n    time.sleep(50)'
        process = started(tmp_path, body)
        deadline = time.monotonic() + 50
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (130, "")
        assert err == "toy: interrupted; `dvc repro` takes up where it stopped\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "params.yaml", "toy.py"]

    @pytest.mark.parametrize(
        ("name", "missing"),
        [
            ("split", "artifacts/data/train.npz"),
            ("generate", "artifacts/gan/5/config.json"),
            ("compare", "artifacts/data/test_labels.npz"),
        ],
    )
    def test_a_real_stage_names_what_is_missing(self, name: str, missing: str, tmp_path: Path) -> None:
        budget = [] if name == "compare" else ["--budget", "5"]
        done = subprocess.run(
            [sys.executable, "-m", f"pipeline.stages.{name}", *budget, "--params", str(ROOT / "params.yaml")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert missing in done.stderr
        assert not list(tmp_path.rglob("*.*")), "a stage that failed left something"
