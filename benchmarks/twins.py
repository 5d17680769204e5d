"""A/A for real: two arms that differ by their seed alone, trained again and again on the development part.

A check of the wiring (subsets, seeds, pairing, comparison), not of the 5 %: that takes thousands of studies, which
`benchmarks.calibration simulate` has. Each repeat halves the development part afresh: real subsets from one half, test
images from the other. The official test set is never opened. Finished trainings are kept in .cache/, so that a stopped
run takes up where it was.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.comparison import Predictions, predictions_to_deltas
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.contrasts import Contrast
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.sources import read
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params, write_csv
from pipeline.subsets import development_part, disjoint_subsets
from pipeline.verdict import CompareConfig, interval_to_verdict

OUTPUT = Path("docs/calibration-real.csv")
ARMS = ("real", "again")
BUDGET, REPLICATES, STEPS, HELD_OUT = 20, 4, 150, 200  # HELD_OUT: test images of a class, of the 400


def halves(part: LabelledImages, held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted indices of `held_out` images of each class to test on, and of all the others."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(part.labels == label))[:held_out] for label in range(len(part.classes))]
    test = np.sort(np.concatenate(chosen))
    return test, np.setdiff1d(np.arange(len(part)), test)


def twin_study(
    part: LabelledImages,
    budget: int,
    replicates: int,
    held_out: int,
    config: ClassifierConfig,
    compute: ComputeConfig,
    seed: int,
) -> Predictions:
    """Arms `real` and `again` on the same subsets and the same test images, trained from different seeds."""
    test, _ = halves(part, held_out, derive(seed, "halves"))
    subsets = disjoint_subsets(part.labels, test, budget, replicates, seed)
    keys = [(arm, number) for arm in ARMS for number in range(replicates)]
    jobs = [
        {
            "material": Material(real=part.subset(subsets[number]), synthetic=None, distortion=None),
            "test_pixels": part.subset(test).pixels,
            "config": config,
            "seed": derive(seed, arm, number),
        }
        for arm, number in keys
    ]
    results = run_replicates(train_replicate, jobs, compute, "twins", [config.steps] * len(jobs))
    tables = {
        arm: np.stack([r["predictions"] for (a, _), r in zip(keys, results, strict=True) if a == arm]).astype(int)
        for arm in ARMS
    }
    return Predictions({budget: tables}, part.labels[test], part.classes)


def study_to_row(study: Predictions) -> dict[str, float | str]:
    """What the comparison says of the twins. p: of the one contrast, and so its own."""
    ((budget, arms),) = study.by_budget.items()
    config = CompareConfig(0.25, 0.95, Contrast(budget, "again", "real"))
    (row,) = predictions_to_deltas(study, config).to_dict("records")
    assert row["verdict"] == interval_to_verdict(row["ci_low"], row["ci_high"], row["p_holm"], config)
    real = 100 * float(study.correct(budget, "real").mean())
    kept = {name: row[name] for name in ("delta", "ci_low", "ci_high", "verdict")}
    return {"replicates": len(arms["real"]), "real": real, "again": row["accuracy_mean"], **kept, "p": row["p_holm"]}


def real(repeats: int, seed: int) -> None:
    """Write docs/calibration-real.csv, a row a repeat, and say how many intervals exclude 0 and how p is spread."""
    params = to_params(read_params(PARAMS))
    train = read(params.data).train
    part = train.subset(development_part(train.labels, params.split.development_per_class))
    config = dataclasses.replace(params.classifier, steps=STEPS)
    rows = []
    for repeat in range(repeats):
        study = twin_study(part, BUDGET, REPLICATES, HELD_OUT, config, params.compute, derive(seed, "twins", repeat))
        rows.append({"repeat": repeat, **study_to_row(study)})
    table = pd.DataFrame(rows)
    write_csv(OUTPUT, table)
    print(summary(table))


def summary(table: pd.DataFrame) -> str:
    """Two lines on the rows of `real`."""
    excluded = int(((table["ci_low"] > 0) | (table["ci_high"] < 0)).sum())
    p, mean = table["p"], table["delta"].mean()
    error = table["delta"].std() / math.sqrt(len(table))
    test = float(stats.kstest(p, "uniform").pvalue)
    return (
        f"{excluded} of {len(table)} intervals exclude 0; mean delta {mean:+.3f} ± {error:.3f} points\n"
        f"p from {p.min():.3f} to {p.max():.3f}, quartiles {p.quantile(0.25):.2f}, {p.median():.2f}, "
        f"{p.quantile(0.75):.2f}; against uniform, Kolmogorov-Smirnov p {test:.2f}"
    )
