"""What real studies tell of spread and correlation: docs/calibration-model.json, from which simulated ones are drawn.

A column is an arm at a budget (`real+gan@50`), in the words of dvc.yaml. Of each study the file holds the latent
correlations of its columns, as `population.fit` finds them, and its mean accuracies, unless the study's result is to be
read in one place alone. Several studies that measured the same two columns are pooled: the mean of their correlations,
weighted by their replicates less one, because a spread between 6 replicates is itself known badly.

Test images are the same at all budgets, so that columns of two budgets share their image's part; their real subsets and
seeds are drawn apart (pipeline.subsets), so that nothing else is shared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.population import Array, Population, fit, moments, normal_covariance
from pipeline.comparison import MeanSquares
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load_arrays
from pipeline.stages.stage import read_params

MODEL = Path("docs/calibration-model.json")
PARTS = ("image", "replicate", "rest")


@dataclass(frozen=True)
class Measured:
    """One study. columns: C names. accuracy: (C,), shares, or None. image, replicate, rest: correlations (C, C).

    histograms: by budget, how many test images `real` gets wrong in 0, 1, ... R replicates, and how many `real+gan`
    wins less loses, -R to R: what the correlations were not fitted to.
    """

    seed: int
    words: str
    replicates: int
    images: int
    columns: tuple[str, ...]
    accuracy: Array | None
    image: Array
    replicate: Array
    rest: Array
    histograms: dict[str, dict[str, list[int]]] = field(default_factory=dict)


def column(arm: str, budget: int) -> str:
    return f"{arm}@{budget}"


def read_study(root: Path, budgets: Sequence[int], words: str, tell: bool) -> Measured:
    """The study whose params.yaml and artifacts/ lie in `root`. budgets: none for those of its params.yaml.

    tell: also write accuracies and histograms, from which the study's result can be read.
    """
    params = read_params(root / "params.yaml")["study"]
    labels = load_arrays(root / "artifacts/data/test_labels.npz")["labels"]
    tables: dict[str, NDArray[np.int8]] = {}
    for budget in budgets or params["budgets"]:
        for kind in ("baseline", "augmented"):
            predictions = load_arrays(root / f"artifacts/{kind}/{budget}/predictions.npz")
            tables |= {column(arm, budget): (said == labels).astype(np.int8) for arm, said in predictions.items()}
    if len({table.shape for table in tables.values()}) != 1:
        raise InputError(f"{root}: its budgets differ in their replicates; name those that do not with --budgets")
    return tables_to_measured(tables, params["seed"], words, tell)


def tables_to_measured(tables: dict[str, NDArray[np.int8]], seed: int, words: str, tell: bool) -> Measured:
    """tables: column -> 1 where it is right, else 0, (R, T)."""
    correct = np.stack(list(tables.values()))
    _, replicates, images = correct.shape
    found = fit(tuple(tables), moments(correct))
    budgets = np.array([name.rsplit("@", 1)[1] for name in tables])
    together = budgets[:, None] == budgets[None, :]
    replicate, rest = found.replicate * together, found.rest * together
    histograms = {}
    for budget in dict.fromkeys(budgets) if tell else ():
        reference, arm = tables[f"real@{budget}"], tables[f"real+gan@{budget}"]
        histograms[str(budget)] = to_histograms(arm, reference)
    accuracy = found.accuracy if tell else None
    return Measured(seed, words, replicates, images, found.arms, accuracy, found.image, replicate, rest, histograms)


def to_histograms(arm: NDArray[np.int8], reference: NDArray[np.int8]) -> dict[str, list[int]]:
    """Of two tables (R, T): images by how often the reference is wrong, 0 to R, and by the arm's net wins, -R to R."""
    R = len(arm)
    net = (arm - reference).sum(axis=0) + R
    return {
        "reference_wrong": np.bincount(R - reference.sum(axis=0), minlength=R + 1).tolist(),
        "net_wins": np.bincount(net, minlength=2 * R + 1).tolist(),
    }


def add_to_model(study: Measured) -> None:
    """Write the study into the file, in place of what the file holds of the same seed."""
    studies = {s.seed: s for s in read_model()} if MODEL.exists() else {}
    studies[study.seed] = study
    write_model([studies[seed] for seed in sorted(studies)])


def write_model(studies: Sequence[Measured]) -> None:
    """Whole or not at all; a row of numbers on one line."""
    text = json.dumps([_plain(study) for study in studies], indent=1, allow_nan=False)
    text = re.sub(r"\[[^\[\]{}\"]*\]", lambda row: "[" + " ".join(row[0][1:-1].split()) + "]", text)
    partial = MODEL.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(MODEL)


def _plain(study: Measured) -> dict[str, Any]:
    matrices = {part: np.round(getattr(study, part), 8).tolist() for part in PARTS}
    accuracy = None if study.accuracy is None else np.round(study.accuracy, 8).tolist()
    names = {name: getattr(study, name) for name in ("seed", "words", "replicates", "images", "histograms")}
    return {**names, "columns": list(study.columns), "accuracy": accuracy, **matrices}


def read_model() -> list[Measured]:
    """All studies of the file."""
    if not MODEL.exists():
        raise InputError(f"{MODEL}: no such file; make it with `python -m benchmarks.calibration estimate`")
    studies = []
    for entry in read_json(MODEL):
        arrays = {name: np.array(entry[name]) for name in PARTS}
        accuracy = None if entry["accuracy"] is None else np.array(entry["accuracy"])
        studies.append(Measured(**{**entry, **arrays, "columns": tuple(entry["columns"]), "accuracy": accuracy}))
    return studies


def pool(studies: Sequence[Measured], only: int | None = None) -> Population:
    """The population of all columns, its components not yet made possible. only: the seed of the one study to take.

    Two columns that no study holds together are taken as independent; a column's accuracy is that of the studies that
    tell it. Raises InputError if there is no such study, or a column whose accuracy none tells.
    """
    chosen = [study for study in studies if only in (None, study.seed)]
    if not chosen:
        raise InputError(f"{MODEL}: no study of seed {only}; add it with `python -m benchmarks.calibration estimate`")
    columns = list(dict.fromkeys(name for study in chosen for name in study.columns))
    places = [[columns.index(name) for name in study.columns] for study in chosen]
    count = len(columns)

    def mean(name: str, shape: tuple[int, ...]) -> Array:
        total, weight = np.zeros(shape), np.zeros(shape)
        for study, place in zip(chosen, places, strict=True):
            values = getattr(study, name)
            if values is not None:
                at = np.ix_(*[place] * len(shape))
                total[at] += (study.replicates - 1) * values
                weight[at] += study.replicates - 1
        return np.divide(total, weight, out=np.full(shape, np.nan if name == "accuracy" else 0.0), where=weight > 0)

    accuracy = mean("accuracy", (count,))
    if np.isnan(accuracy).any():
        untold = columns[int(np.isnan(accuracy).argmax())]
        raise InputError(f"{MODEL}: no study tells the accuracy of {untold}; estimate one without --correlations-alone")
    image, replicate, rest = (mean(part, (count, count)) for part in PARTS)
    return Population(tuple(columns), accuracy, image, replicate, rest)


def expected(pair: Population, replicates: int, images: int) -> MeanSquares:
    """The mean squares, on average, of the second column's table less the first's. A component may be below 0.

    `fit` turned about: of the one study that was fitted these are its own mean squares, but for the square of its
    accuracies' error.
    """
    m = stats.norm.ppf(pair.accuracy)

    def variance(part: Array) -> float:
        same = [normal_covariance(m[i], m[i], min(part[i, i], 0.9999999)) for i in (0, 1)]
        return sum(same) - 2 * normal_covariance(m[0], m[1], part[0, 1])

    of_image, of_replicate = variance(pair.image), variance(pair.replicate)
    everything = pair.image + pair.replicate + pair.rest
    own = float((pair.accuracy * (1 - pair.accuracy)).sum())
    rest = own - 2 * normal_covariance(m[0], m[1], everything[0, 1]) - of_image - of_replicate
    delta = float(pair.accuracy[1] - pair.accuracy[0])
    return MeanSquares(replicates, images, delta, rest + images * of_replicate, rest + replicates * of_image, rest)
