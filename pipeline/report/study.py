"""Everything the report shows, read from the files of the stages before it and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from pipeline.config import from_mapping
from pipeline.files import read_json, reading
from pipeline.images import LabelledImages, load, load_arrays
from pipeline.ledger import ACCURACIES, LEDGER, Reuse, accuracies_to_key, count, read_ledger
from pipeline.trials import TRIALS, read_trials
from pipeline.tuning import TuningCheck, tuning_check
from pipeline.verdict import CompareConfig

STAGES = ("prepare", "train_oracle", "compare")
BUDGET_STAGES = (
    "split",
    "train_teacher",
    "train_gan",
    "generate",
    "judge",
    "assess",
    "train_baseline",
    "train_augmented",
    "train_controls",
)


@dataclass(frozen=True)
class Budget:
    """What a study made at one budget.

    size: real images a class. split: budget, replicates, asked, digests. real, synthetic: of replicate 0.
    development: how many training images no study draws. health: one entry a replicate. grids: (step, PNG) of
    replicate 0's GAN while it trained. quality: a row a replicate; by_class: a row a replicate and class. suspects:
    arrays synthetic, real, unused (K, C, H, W), distance, distance_unused (K,).
    film: the animated PNG of these, if there is one. classifier_history: stage, arm, replicate, step, loss.
    arms: what each arm was made of, by name.
    """

    size: int
    split: dict[str, Any]
    development: int
    real: LabelledImages
    synthetic: LabelledImages
    gan_history: pd.DataFrame
    health: list[dict[str, Any]]
    grids: list[tuple[int, bytes]]
    film: bytes | None
    quality: pd.DataFrame
    by_class: pd.DataFrame
    suspects: dict[str, NDArray[Any]]
    classifier_history: pd.DataFrame
    arms: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """A finished study.

    train: all training images. runs: (name, record) of every stage that made an artifact, in the order of the pipeline.
    reuse: of the test set, None where there is no ledger. tuning: what docs/tuning.csv holds.
    """

    params: Mapping[str, Any]
    compare: CompareConfig
    deltas: pd.DataFrame
    accuracies: pd.DataFrame
    recalls: pd.DataFrame
    mcnemar: pd.DataFrame
    groups: pd.DataFrame
    interactions: pd.DataFrame
    controls: pd.DataFrame
    worth: pd.DataFrame
    metrics: dict[str, Any]
    data: dict[str, Any]
    train: LabelledImages
    oracle_history: pd.DataFrame
    budgets: list[Budget]
    runs: list[tuple[str, dict[str, Any]]]
    reuse: Reuse | None
    tuning: pd.DataFrame

    @property
    def classes(self) -> list[str]:
        """The class names."""
        return [str(name) for name in self.data["classes"]]

    def budget_accuracies(self, size: int) -> pd.DataFrame:
        """Accuracy in percent at one budget: a row a replicate, a column an arm, in the study's order of arms."""
        rows = self.accuracies[self.accuracies["budget"] == size]
        return rows.pivot(index="replicate", columns="arm", values="accuracy")[list(rows["arm"].unique())]

    def tuning_check(self, size: int) -> TuningCheck:
        """What docs/tuning.csv says of this study at one budget."""
        return tuning_check(self.tuning, self.params, size)


def load_study(root: Path, budgets: Sequence[int], params: Mapping[str, Any]) -> Study:
    """Read the study whose repository is `root`. Raises InputError that names a file which is missing or damaged."""
    results, artifacts = root / "results", root / "artifacts"
    train = load(artifacts / "data/train.npz")
    parts = [_load_budget(artifacts, budget, train) for budget in budgets]
    names = [STAGES[0], *(f"{stage}@{budget}" for budget in budgets for stage in BUDGET_STAGES), *STAGES[1:]]
    return Study(
        params=params,
        compare=from_mapping(CompareConfig, params["compare"], "compare"),
        deltas=_table(results / "deltas.csv"),
        accuracies=_table(results / "accuracies.csv"),
        recalls=_table(results / "recalls.csv"),
        mcnemar=_table(results / "mcnemar.csv"),
        groups=_table(results / "groups.csv"),
        interactions=_table(results / "interactions.csv"),
        controls=_table(results / "controls.csv"),
        worth=_table(results / "worth.csv"),
        metrics=read_json(results / "metrics.json"),
        data=read_json(artifacts / "data/summary.json"),
        train=train,
        oracle_history=_table(artifacts / "oracle/history.csv"),
        budgets=parts,
        runs=[(name, read_json(artifacts / f"runs/{name}.json")) for name in names],
        reuse=_reuse(root, params["data"]),
        tuning=read_trials(root / TRIALS),
    )


def _reuse(root: Path, data: Mapping[str, Any]) -> Reuse | None:
    if not (root / LEDGER).exists():
        return None
    return count(read_ledger(root / LEDGER), data, accuracies_to_key(_bytes(root / ACCURACIES)))


def _load_budget(artifacts: Path, budget: int, train: LabelledImages) -> Budget:
    split = load_arrays(artifacts / f"splits/{budget}.npz")
    gan = artifacts / f"gan/{budget}"
    history = _table(gan / "history.csv")
    # A GAN that diverged stopped early: it has no pictures of the steps it never reached.
    last = history.loc[history["replicate"] == 0, "step"].max()
    steps = [step for step in read_json(gan / "config.json")["grid_steps"] if step <= last]
    film = gan / "grids/replicate-0.png"  # older studies have none
    return Budget(
        size=budget,
        split=read_json(artifacts / f"splits/{budget}.json"),
        development=len(split["development"]),
        real=LabelledImages(train.pixels[split["subsets"][0]], split["labels"][0], train.classes),
        synthetic=load(artifacts / f"synthetic/{budget}/replicate-0.npz"),
        gan_history=history,
        health=read_json(gan / "health.json")["replicates"],
        grids=[(step, _bytes(gan / f"grids/replicate-0-step-{step:06d}.png")) for step in steps],
        film=_bytes(film) if film.exists() else None,
        quality=_table(artifacts / f"quality/{budget}/quality.csv"),
        by_class=_table(artifacts / f"quality/{budget}/classes.csv"),
        suspects=load_arrays(artifacts / f"quality/{budget}/suspects.npz"),
        classifier_history=pd.concat(
            [
                _table(artifacts / f"{part}/{budget}/history.csv").assign(stage=f"train_{part}")
                for part in ("baseline", "augmented")
            ],
            ignore_index=True,
        ),
        arms={
            name: arm
            for part in ("baseline", "augmented")
            for name, arm in read_json(artifacts / f"{part}/{budget}/arms.json").items()
        },
    )


def _table(path: Path) -> pd.DataFrame:
    with reading(path):
        table = pd.read_csv(path)
        if "class" in table:  # a class name is text, also where it looks like a number or is called "none"
            table["class"] = pd.read_csv(path, usecols=["class"], dtype=str, keep_default_na=False)["class"]
        return table


def _bytes(path: Path) -> bytes:
    with reading(path):
        return path.read_bytes()
