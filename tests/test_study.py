"""A tiny study on real MNIST digits, end to end, in a temporary repository of its own: what DVC makes of our stages.

The tests share one finished study (`study`); each that changes something works in a copy with the same DVC cache.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from ruamel.yaml import YAML
from waiting import wait_for

ROOT = Path(__file__).parent.parent
TINY = {
    "study": {"budgets": [10], "replicates": 2, "seed": 7},
    "oracle": {"width": 8, "steps": 60},
    "gan": {"steps": 16},
    "generate": {"per_class": 30},
    "assess": {"images": 200, "suspects": 3},
    "classifier": {"width": 8, "steps": 30},
    "arms": {"copies_per_class": 20, "interpolated_per_class": 20},
    "compare": {"primary": {"budget": 10}},
    "compute": {"workers": 1},
}
STAGES = [
    "check",
    "prepare",
    "split@10",
    "train_oracle",
    "train_teacher@10",
    "train_gan@10",
    "generate@10",
    "judge@10",
    "assess@10",
    "train_baseline@10",
    "train_augmented@10",
    "train_controls@10",
    "compare",
    "report",
]
PRINTED = ("docs/openings.csv", "docs/tuning.csv")  # what the page prints besides the stages' outputs
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "OMP_NUM_THREADS": "1",
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


def run(repository: Path, *command: str, status: int = 0) -> str:
    """Standard output and error of `command` in `repository`, which must end with `status`."""
    done = subprocess.run(command, cwd=repository, env=ENVIRONMENT, text=True, capture_output=True)
    output = done.stdout + done.stderr
    assert done.returncode == status, f"{' '.join(command)} ended with {done.returncode}:\n{output[-4000:]}"
    return output


def stages_run(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def change_params(repository: Path, changes: dict) -> None:
    yaml = YAML()
    values = yaml.load(repository / "params.yaml")

    def merge(into: dict, new: dict) -> None:
        for key, value in new.items():
            if isinstance(value, dict):
                merge(into[key], value)
            else:
                into[key] = value

    merge(values, changes)
    yaml.dump(values, repository / "params.yaml")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as it stands, committed to a repository of its own, with the tiny study's params."""
    repository = tmp_path_factory.mktemp("sources") / "repository"
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    for name in filter(None, listed):
        left = name == "dvc.lock" or (name.startswith(("results/", "docs/")) and name not in PRINTED)
        if (ROOT / name).is_file() and not left:
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    change_params(repository, TINY)
    run(repository, "git", "init", "-q", "-b", "main")
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-qm", "The project with a tiny study")
    return repository


@pytest.fixture(scope="module")
def study(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study after `dvc repro`, its lock and results committed."""
    repository = tmp_path_factory.mktemp("study") / "repository"
    run(sources.parent, "git", "clone", "-q", str(sources), str(repository))
    assert stages_run(run(repository, "dvc", "repro")) != []
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-qm", "The study's lock and results")
    return repository


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A clone of the finished study that shares its DVC cache, everything checked out."""
    repository = tmp_path / "copy"
    run(tmp_path, "git", "clone", "-q", str(study), str(repository))
    run(repository, "dvc", "cache", "dir", "--local", str(study / ".dvc" / "cache"))
    run(repository, "dvc", "checkout", "-q")
    return repository


def test_every_stage_leaves_its_outputs(study: Path) -> None:
    deltas = pd.read_csv(study / "results/deltas.csv")
    first, last = (
        "budget arm reference replicates accuracy_mean accuracy_sd",
        "delta ci_low ci_high wins losses p_holm verdict",
    )
    assert " ".join(deltas.columns) == f"{first} {last}"
    assert set(deltas["arm"]) | set(deltas["reference"]) == {
        "real",
        "real+classical",
        "real+copies",
        "real+interpolated",
        "real+gan",
        "real+gan+classical",
        "gan",
    }
    metrics = json.loads((study / "results/metrics.json").read_text())
    assert set(metrics) >= {"primary", "oracle", "accuracy", "delta"}
    assert "<html" in (study / "report/index.html").read_text()
    lock = YAML(typ="safe").load(study / "dvc.lock")["stages"]
    assert sorted(lock) == sorted(STAGES)
    for stage in lock.values():
        for out in stage.get("outs", []):
            assert (study / out["path"]).exists()
    assert not list(study.rglob("*.part"))


def test_deltas_follow_from_the_stored_predictions(study: Path) -> None:
    with np.load(study / "artifacts/data/test_labels.npz") as archive:
        labels = archive["labels"]
    with np.load(study / "artifacts/baseline/10/predictions.npz") as archive:
        real = (archive["real"] == labels).mean(1) * 100
    with np.load(study / "artifacts/augmented/10/predictions.npz") as archive:
        augmented = (archive["real+gan"] == labels).mean(1) * 100
    deltas = pd.read_csv(study / "results/deltas.csv").set_index(["arm", "reference"])
    assert deltas.loc[("real+gan", "real"), "delta"] == pytest.approx((augmented - real).mean(), abs=1e-4)


def test_subsets_are_disjoint_and_leave_the_development_part_alone(study: Path) -> None:
    with np.load(study / "artifacts/splits/10.npz") as archive:
        subsets, development = archive["subsets"], archive["development"]
    assert subsets.shape == (2, 100)
    assert len(np.unique(np.concatenate([subsets.ravel(), development]))) == 200 + 4000


def test_a_second_run_changes_nothing(study: Path) -> None:
    output = run(study, "dvc", "repro")
    assert stages_run(output) == []
    assert "up to date" in output
    assert "up to date" in run(study, "dvc", "status")
    assert run(study, "git", "status", "--porcelain") == ""


def counted(repository: Path) -> pd.DataFrame:
    """The ledger of openings after it was brought up to date."""
    run(repository, sys.executable, "-m", "pipeline.openings")
    return pd.read_csv(repository / "docs/openings.csv", dtype=str)


def test_the_page_counts_the_openings_of_the_test_set(copy: Path) -> None:
    def said() -> str:
        found = re.search(r"has been opened (.*?), this study among them", (copy / "report/index.html").read_text())
        assert found
        return found[1]

    before, times = pd.read_csv(copy / "docs/openings.csv"), said()  # made before the ledger had the study
    assert len(counted(copy)) == len(before) + 1
    assert stages_run(run(copy, "dvc", "repro")) == ["report"]
    assert said() == times and "up to date" in run(copy, "dvc", "status")


def test_the_same_params_give_the_same_bytes(study: Path, sources: Path, tmp_path: Path) -> None:
    repository = tmp_path / "again"
    run(tmp_path, "git", "clone", "-q", str(sources), str(repository))
    run(repository, "dvc", "repro")

    def hashes(root: Path) -> dict[str, str]:
        stages = YAML(typ="safe").load(root / "dvc.lock")["stages"]
        outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
        # timings, and the page that prints them
        return {path: md5 for path, md5 in outs.items() if not path.startswith("artifacts/runs/") and path != "report"}

    assert hashes(repository) == hashes(study)


def test_a_new_budget_runs_its_own_stages_and_the_last_two(copy: Path) -> None:
    change_params(copy, {"study": {"budgets": [10, 12]}})
    ran = stages_run(run(copy, "dvc", "repro"))
    own = {stage.replace("@10", "@12") for stage in STAGES if "@" in stage}
    assert set(ran) == own | {"check", "compare", "report"}
    assert set(pd.read_csv(copy / "results/deltas.csv")["budget"]) == {10, 12}


def test_an_experiment_with_another_gan_retrains_no_baseline(copy: Path) -> None:
    known = len(counted(copy))
    ran = stages_run(run(copy, "dvc", "exp", "run", "-n", "longer", "-S", "gan.steps=18"))
    assert set(ran) == {
        "check",
        "train_gan@10",
        "generate@10",
        "judge@10",
        "assess@10",
        "train_augmented@10",
        "train_controls@10",
        "compare",
        "report",
    }
    shown = json.loads(run(copy, "dvc", "exp", "show", "--json"))
    names = [experiment["name"] for state in shown for experiment in state["experiments"] or []]
    assert names == ["longer"]
    assert "gan.steps" in run(copy, "dvc", "exp", "diff", "HEAD", "longer", "--all", "--md")
    assert "18" in run(copy, "dvc", "params", "diff", "--md")
    assert "real+gan" in run(copy, "dvc", "metrics", "diff", "--all", "--md")

    ledger = counted(copy)  # the experiment opened the test set once more
    assert len(ledger) == known + 1 and tuple(ledger.iloc[-1][["part", "seed"]]) == ("all", "7")
    (saved,) = run(copy, "git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/longer").split()
    assert ledger.iloc[-1]["commit"] == saved[:12]


def test_another_margin_reruns_the_comparison_alone(copy: Path) -> None:
    ledger = counted(copy)
    ran = stages_run(run(copy, "dvc", "exp", "run", "-S", "compare.margin=0.2"))
    assert ran == ["check", "compare", "report"]
    assert counted(copy).equals(ledger)  # the same predictions, compared anew


def test_looking_at_a_study_with_dvc(study: Path) -> None:
    assert "real+classical" in run(study, "dvc", "metrics", "show", "--md")
    assert "train_gan@10" in run(study, "dvc", "dag", "--md")
    assert "file://" in run(study, "dvc", "plots", "show", "-o", str(study.parent / "plots"))
    assert "Accuracy of each replicate" in (study.parent / "plots/index.html").read_text()


def test_push_and_pull_restore_all_in_a_second_clone(study: Path, copy: Path, tmp_path: Path) -> None:
    run(copy, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    run(copy, "dvc", "push")
    second = tmp_path / "second"
    run(tmp_path, "git", "clone", "-q", str(study), str(second))
    run(second, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    run(second, "dvc", "pull")
    assert (second / "report/index.html").read_bytes() == (study / "report/index.html").read_bytes()
    assert stages_run(run(second, "dvc", "repro")) == []


def test_gc_keeps_what_the_workspace_needs(study: Path, copy: Path, tmp_path: Path) -> None:
    run(copy, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    run(copy, "dvc", "commit", "-f", "-q")
    change_params(copy, {"compare": {"margin": 0.3}})
    run(copy, "dvc", "repro")
    run(copy, "dvc", "gc", "--workspace", "--force")
    shutil.rmtree(copy / "artifacts")
    run(copy, "dvc", "checkout")
    assert stages_run(run(copy, "dvc", "repro")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gan": {"stepz": 5}}, "gan.stepz: unknown key; did you mean steps?"),
        ({"classifier": {"steps": "many"}}, "classifier.steps: must be a whole number"),
        ({"study": {"replicates": 0}}, "study.replicates: must be positive"),
        ({"gan": {"recipe": "none_such"}}, "gan.recipe: unknown recipe 'none_such'; known recipes:"),
    ],
)
def test_wrong_params_end_in_one_line_before_anything_runs(copy: Path, changes: dict, message: str) -> None:
    change_params(copy, changes)
    done = subprocess.run(["dvc", "repro"], cwd=copy, env=ENVIRONMENT, text=True, capture_output=True)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert message in output
    assert "Traceback" not in output
    assert stages_run(output) == ["check"]


def test_more_replicates_than_images_name_what_would_fit(copy: Path) -> None:
    change_params(copy, {"study": {"replicates": 600}})
    output = run(copy, "dvc", "repro", status=255)
    assert "at this budget the most replicates are 502" in output
    assert "Traceback" not in output


def test_a_killed_stage_leaves_nothing_half_written_and_the_next_run_recovers(copy: Path) -> None:
    change_params(copy, {"gan": {"steps": 4000}})
    process = subprocess.Popen(
        ["dvc", "repro", "train_gan@10"],
        cwd=copy,
        env=ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_for(lambda: "train_gan@10: step" in process.stdout.readline(), 300)  # type: ignore[union-attr]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (copy / "artifacts/gan/10").exists()
    change_params(copy, {"gan": {"steps": 20}})
    assert "train_gan@10" in stages_run(run(copy, "dvc", "repro", "train_gan@10"))
    assert (copy / "artifacts/gan/10/config.json").exists()


def test_an_interrupt_ends_in_one_line(copy: Path) -> None:
    change_params(copy, {"gan": {"steps": 4000}})
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.stages.train_gan", "--budget", "10", "--params", "params.yaml"],
        cwd=copy,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_for(lambda: "train_gan@10: step" in process.stdout.readline(), 300)  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "train_gan@10: interrupted" in output
    assert "Traceback" not in output


def test_a_folder_of_colour_images_goes_all_the_way(sources: Path, tmp_path: Path) -> None:
    repository = tmp_path / "shapes"
    run(tmp_path, "git", "clone", "-q", str(sources), str(repository))
    draws = np.random.default_rng(0)
    for label in ("disc", "frame", "stripes"):
        (repository / "datasets/shapes" / label).mkdir(parents=True)
        for number in range(60):
            coloured_shape(label, draws).save(repository / "datasets/shapes" / label / f"{number:02d}.png")
    changes = {
        "data": {"source": "folder", "root": "datasets/shapes", "image_size": 32},
        "study": {"budgets": [8]},
        "split": {"development_per_class": 4},
        "compare": {"primary": {"budget": 8}},
    }
    change_params(repository, changes)
    run(repository, "dvc", "repro")
    summary = json.loads((repository / "artifacts/data/summary.json").read_text())
    assert summary["classes"] == ["disc", "frame", "stripes"]
    assert summary["shape"] == [3, 32, 32]
    assert set(pd.read_csv(repository / "results/deltas.csv")["budget"]) == {8}
    assert "stripes" in (repository / "report/index.html").read_text()
    # the folder is a dependency like MNIST's files: another image makes stage prepare stale
    coloured_shape("disc", draws).save(repository / "datasets/shapes/disc/60.png")
    assert "datasets/shapes" in run(repository, "dvc", "status", "prepare")


def coloured_shape(label: str, draws: np.random.Generator) -> Image.Image:
    """A shape of a random colour, place and size on black, 40 x 36 pixels."""
    image = Image.new("RGB", (40, 36))
    colour = tuple(int(value) for value in draws.integers(90, 256, 3))
    left, top, size = (int(draws.integers(low, high)) for low, high in ((1, 12), (1, 10), (14, 24)))
    pen = ImageDraw.Draw(image)
    if label == "disc":
        pen.ellipse((left, top, left + size, top + size), fill=colour)
    elif label == "frame":
        pen.rectangle((left, top, left + size, top + size), outline=colour, width=3)
    else:
        for line in range(0, size, 6):
            pen.line((left, top + line, left + size, top + line), fill=colour, width=2)
    return image
