"""A study of a few toy images, stage by stage in the working folder, in a second: for tests of what the stages do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import verify
from pipeline.errors import InputError
from pipeline.images import LabelledImages, save_arrays
from pipeline.stages import (
    assess,
    compare,
    generate,
    judge,
    split,
    train_augmented,
    train_baseline,
    train_controls,
    train_gan,
    train_oracle,
    train_teacher,
)
from pipeline.stages.stage import Stage, read_params, write_json

ROOT = Path(__file__).parent.parent
BUDGET, REPLICATES = 2, 3
SMALL: dict[str, dict[str, Any]] = {
    "study": {"budgets": [BUDGET], "replicates": REPLICATES, "seed": 7},
    "split": {"development_per_class": 4},
    "oracle": {"width": 4, "steps": 4, "batch_size": 12},
    "gan": {"steps": 2},
    "generate": {"per_class": 6},
    "classifier": {"width": 4, "steps": 2, "batch_size": 12},
    "arms": {"copies_per_class": 4, "interpolated_per_class": 4},
    "variants": {
        "generated": [
            {"name": "agreeing", "of": "real+gan", "keep": "agreeing"},
            {"name": "convincing", "of": "real+gan+classical", "keep": "convincing"},
            {"name": "novel", "of": "gan", "keep": "novel"},
            {"name": "soft", "of": "real+gan", "labels": "soft"},
            {"name": "narrow", "of": "real+gan", "scale": 0.7},
            {"name": "few", "of": "real+gan", "per_class": 2, "share": 0.25},
            {"name": "light", "of": "real+gan", "weight": 0.5},
            {"name": "first", "of": "real+gan", "order": "pretrained"},
        ]
    },
    "compare": {"primary": {"budget": BUDGET, "arm": "real+gan", "reference": "real"}},
    "compute": {"device": "cpu", "workers": 1},
}


class Study:
    """A study in the working folder, stage by stage as dvc.yaml has them."""

    def __init__(self, folder: Path, **changes: dict[str, Any]) -> None:
        """changes: sections of the params, as in SMALL."""
        self.folder = folder
        self.params = read_params(ROOT / "params.yaml")
        for section, values in [*SMALL.items(), *changes.items()]:
            self.params[section] |= values
        (folder / "params.yaml").write_text(json.dumps(self.params))  # JSON is YAML
        (folder / "conf").symlink_to(ROOT / "conf")

    def data(self, train: LabelledImages, test: LabelledImages) -> None:
        train.save(Path("artifacts/data/train.npz"))
        save_arrays(Path("artifacts/data/test_images.npz"), pixels=test.pixels)
        save_arrays(Path("artifacts/data/test_labels.npz"), labels=test.labels)
        write_json(Path("artifacts/data/summary.json"), {"classes": list(train.classes)})

    def run(self, *bodies: Callable[[Stage], None]) -> None:
        for body in bodies:
            name = body.__name__
            budget = None if name in ("train_oracle", "compare") else BUDGET
            body(Stage(name, budget, self.params, self.folder / "params.yaml"))

    def rest(self) -> None:
        """All that follows the GAN, but for the comparison."""
        self.run(generate.generate, judge.judge, assess.assess, *CLASSIFIERS, train_controls.train_controls)

    def all(self) -> None:
        """Every stage from the oracle to the comparison."""
        self.run(train_oracle.train_oracle, split.split, train_teacher.train_teacher, train_gan.train_gan)
        self.rest()
        self.run(compare.compare)

    def refused(self, *texts: str) -> None:
        """Stage compare refuses the study by one line that says each of `texts`, and writes no number."""
        shutil.rmtree("results", ignore_errors=True)
        with pytest.raises(InputError) as error:
            self.run(compare.compare)
        message = str(error.value)
        assert message.startswith("leak: ") and "\n" not in message
        assert all(text in message for text in texts), message
        assert not Path("results").exists()


CLASSIFIERS = (train_baseline.train_baseline, train_augmented.train_augmented)


def verified(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit status of `python -m pipeline.verify` in the working folder, and what it says."""
    capsys.readouterr()
    status = verify.main()
    return status, capsys.readouterr().out.splitlines()


def finished_study(folder: Path, train: LabelledImages, test: LabelledImages, **changes: dict[str, Any]) -> Path:
    """Run a whole study in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        study = Study(folder, **changes)
        study.data(train, test)
        study.all()
    return folder


def copied_study(finished: Path, folder: Path, patch: pytest.MonkeyPatch, **changes: dict[str, Any]) -> Study:
    """A copy of a finished study to spoil, as the working folder; what is trained again comes from its cache."""
    for name in ("artifacts", "results", ".cache"):
        shutil.copytree(finished / name, folder / name)
    patch.chdir(folder)
    return Study(folder, **changes)
