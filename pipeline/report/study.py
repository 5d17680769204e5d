"""Everything the report shows, read from the files of the stages before it and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from numpy.typing import NDArray

from pipeline.comparison import CompareConfig
from pipeline.config import from_mapping
from pipeline.errors import InputError
from pipeline.images import LabelledImages, load, load_arrays

T = TypeVar("T")

STAGES = ("prepare", "train_oracle", "compare")
BUDGET_STAGES = ("split", "train_gan", "generate", "assess", "train_baseline", "train_augmented", "train_controls")


@dataclass(frozen=True)
class Budget:
    """What a study made at one budget.

    size: real images a class. split: budget, replicates, asked, digests. real, synthetic: of replicate 0.
    development: how many training images no study draws. health: one entry a replicate. grids: (step, PNG) of
    replicate 0's GAN while it trained. suspects: arrays synthetic, real (K, C, H, W), distance, distance_unused (K,).
    film: the animated PNG of these, if there is one. classifier_history: stage, arm, replicate, step, loss.
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
    agreement: pd.DataFrame
    suspects: dict[str, NDArray[Any]]
    classifier_history: pd.DataFrame


@dataclass(frozen=True)
class Study:
    """A finished study.

    train: all training images. runs: (name, record) of every stage that made an artifact, in the order of the pipeline.
    """

    params: Mapping[str, Any]
    compare: CompareConfig
    deltas: pd.DataFrame
    accuracies: pd.DataFrame
    recalls: pd.DataFrame
    mcnemar: pd.DataFrame
    controls: pd.DataFrame
    worth: pd.DataFrame
    metrics: dict[str, Any]
    data: dict[str, Any]
    train: LabelledImages
    oracle_history: pd.DataFrame
    budgets: list[Budget]
    runs: list[tuple[str, dict[str, Any]]]

    @property
    def classes(self) -> list[str]:
        """The class names."""
        return [str(name) for name in self.data["classes"]]

    def budget_accuracies(self, size: int) -> pd.DataFrame:
        """Accuracy in percent at one budget: a row a replicate, a column an arm, in the study's order of arms."""
        rows = self.accuracies[self.accuracies["budget"] == size]
        return rows.pivot(index="replicate", columns="arm", values="accuracy")[list(rows["arm"].unique())]


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
        controls=_table(results / "controls.csv"),
        worth=_table(results / "worth.csv"),
        metrics=_json(results / "metrics.json"),
        data=_json(artifacts / "data/summary.json"),
        train=train,
        oracle_history=_table(artifacts / "oracle/history.csv"),
        budgets=parts,
        runs=[(name, _json(artifacts / f"runs/{name}.json")) for name in names],
    )


def _load_budget(artifacts: Path, budget: int, train: LabelledImages) -> Budget:
    split = load_arrays(artifacts / f"splits/{budget}.npz")
    gan = artifacts / f"gan/{budget}"
    history = _table(gan / "history.csv")
    # A GAN that diverged stopped early: it has no pictures of the steps it never reached.
    last = history.loc[history["replicate"] == 0, "step"].max()
    steps = [step for step in _json(gan / "config.json")["grid_steps"] if step <= last]
    film = gan / "grids/replicate-0.png"  # older studies have none
    return Budget(
        size=budget,
        split=_json(artifacts / f"splits/{budget}.json"),
        development=len(split["development"]),
        real=train.subset(split["subsets"][0]),
        synthetic=load(artifacts / f"synthetic/{budget}/replicate-0.npz"),
        gan_history=history,
        health=_json(gan / "health.json")["replicates"],
        grids=[(step, _read(gan / f"grids/replicate-0-step-{step:06d}.png", Path.read_bytes)) for step in steps],
        film=_read(film, Path.read_bytes) if film.exists() else None,
        quality=_table(artifacts / f"quality/{budget}/quality.csv"),
        agreement=_table(artifacts / f"quality/{budget}/agreement.csv"),
        suspects=load_arrays(artifacts / f"quality/{budget}/suspects.npz"),
        classifier_history=pd.concat(
            [
                _table(artifacts / f"{part}/{budget}/history.csv").assign(stage=f"train_{part}")
                for part in ("baseline", "augmented")
            ],
            ignore_index=True,
        ),
    )


def _table(path: Path) -> pd.DataFrame:
    table = _read(path, pd.read_csv)
    if "class" in table:  # a class name is text, also where it looks like a number or is called "none"
        table["class"] = pd.read_csv(path, usecols=["class"], dtype=str, keep_default_na=False)["class"]
    return table


def _json(path: Path) -> Any:
    return _read(path, lambda path: json.loads(path.read_text(encoding="utf-8")))


def _read(path: Path, parse: Callable[[Path], T]) -> T:
    try:
        return parse(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` (or `dvc pull`) to make it") from None
    except (ValueError, OSError) as error:  # pandas and json raise kinds of ValueError for a damaged file
        raise InputError(f"{path}: damaged ({error}); delete it and run `dvc repro`") from None
