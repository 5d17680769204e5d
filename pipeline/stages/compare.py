"""Hold the arms against each other: the only stage that opens the test labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.comparison import (
    Predictions,
    deltas_to_metrics,
    predictions_to_accuracies,
    predictions_to_deltas,
    predictions_to_mcnemar,
    predictions_to_recalls,
)
from pipeline.contrasts import arms_to_fair, arms_to_reals
from pipeline.controls import controls_to_deltas
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.groups import predictions_to_groups, uneven_budgets
from pipeline.images import load_arrays
from pipeline.interactions import predictions_to_interactions
from pipeline.stages.controls import gather_controls
from pipeline.stages.evidence import gather
from pipeline.stages.stage import Stage, run, write_csv, write_json
from pipeline.verdict import CompareConfig
from pipeline.worth import predictions_to_worth

RESULTS = Path("results")


def compare(stage: Stage) -> None:
    config = stage.config("compare", CompareConfig)
    labels = read_labels()
    provenance, breaks = gather(stage.value("study.budgets"), labels)
    controls, seen, found = gather_controls(provenance, stage.value("controls.models"))
    provenance, breaks = provenance | seen, breaks + found
    if breaks:
        more = f" ({len(breaks)} breaks; `python -m pipeline.verify` lists them)" if len(breaks) > 1 else ""
        raise InputError(f"leak: {breaks[0]}{more}; run `dvc repro -f` from the stage that wrote it")
    metrics = write_results(RESULTS, stage.value("study.budgets"), labels, controls, config)
    write_json(RESULTS / "provenance.json", provenance)
    print(f"compare: {metrics['primary']['sentence']}")


def write_results(
    folder: Path,
    budgets: Sequence[int],
    labels: NDArray[np.int64],
    controls: Mapping[int, Mapping[str, NDArray[np.int64]]],
    config: CompareConfig,
) -> dict[str, Any]:
    """Write into `folder` what the predictions on disk come down to: all of results/ but provenance.json.

    labels: of the test images. controls: as `gather_controls` gives them. Returns what metrics.json holds.
    """
    by_budget: dict[int, dict[str, NDArray[np.integer]]] = {}
    of: dict[str, str] = {}
    fair: dict[str, str] = {}
    reals: dict[str, str] = {}
    splits = {budget: read_json(Path(f"artifacts/splits/{budget}.json")) for budget in budgets}
    for budget in budgets:
        arms: dict[str, NDArray[np.integer]] = {}
        made: dict[str, dict[str, Any]] = {}
        for kind in ("baseline", "augmented"):
            arms |= load_arrays(Path(f"artifacts/{kind}/{budget}/predictions.npz"))
            made |= read_json(Path(f"artifacts/{kind}/{budget}/arms.json"))
        of |= {name: arm["of"] for name, arm in made.items() if arm["of"]}
        fair |= arms_to_fair(made, splits[budget]["unlabelled"])
        reals |= arms_to_reals(made)
        by_budget[budget] = {arm: predictions.astype(int) for arm, predictions in arms.items()}
    classes = read_json(Path("artifacts/data/summary.json"))["classes"]
    study = Predictions(by_budget, labels, classes, of, fair, reals)
    per_class = {budget: split["per_class"] for budget, split in splits.items()}
    oracle = load_arrays(Path("artifacts/oracle/predictions.npz"))["predictions"].astype(int)
    deltas = predictions_to_deltas(study, config)
    write_csv(folder / "deltas.csv", deltas)
    write_csv(folder / "accuracies.csv", predictions_to_accuracies(study))
    write_csv(folder / "recalls.csv", predictions_to_recalls(study))
    write_csv(folder / "mcnemar.csv", predictions_to_mcnemar(study, config))
    write_csv(folder / "groups.csv", predictions_to_groups(study, per_class, config.confidence))
    write_csv(folder / "interactions.csv", predictions_to_interactions(study, config.confidence))
    write_csv(folder / "controls.csv", controls_to_deltas(controls, labels, classes, config))
    write_csv(folder / "worth.csv", predictions_to_worth(study, config.confidence))
    metrics = deltas_to_metrics(study, deltas, config, oracle, uneven_budgets(per_class))
    write_json(folder / "metrics.json", metrics)
    return metrics


def read_labels() -> NDArray[np.int64]:
    """The test labels, (T,)."""
    return load_arrays(Path("artifacts/data/test_labels.npz"))["labels"]


if __name__ == "__main__":
    run("compare", compare)
