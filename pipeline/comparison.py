"""Predictions become paired deltas with intervals, tests and a verdict in words.

Arms share their real subsets (one a replicate), seeds and test images, so a contrast is a table d[r, t] in {-1, 0, 1}:
is the arm right on test image t in replicate r, minus is the reference. The estimand is the expected delta over fresh
subsets *and* fresh test images, so both are random and crossed: d = delta + subset_r + image_t + rest_rt. The variance
components come from mean squares, as in generalizability theory (Brennan 2001) and in multi-reader multi-case studies
(Dorfman, Berbaum and Metz 1992; Hillis 2007), where our replicates are the readers and our test images the cases.

Chosen by calibration (docs/calibration.md): simulated studies of known true delta, against eight other intervals. A
bootstrap over replicates is not used: with few of them its percentile interval is too narrow (for four, it covers about
78 % where 95 % is claimed), and it leaves out that the test images are a sample too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pipeline.contrasts import Contrast, budgets_to_contrasts
from pipeline.errors import InputError
from pipeline.verdict import CompareConfig, interval_to_verdict, sentence


@dataclass(frozen=True)
class Predictions:
    """What the classifiers of a study said of the same T test images.

    by_budget: budget -> arm -> int (R, T), row r from replicate r. labels: int (T,). classes: the class names. of: the
    arm that a variant varies. fair: of an arm that knows unlabelled images, the real ones with pseudo-labels
    (`contrasts.arms_to_fair`). reals: of each arm the real images as it has them (`contrasts.arms_to_reals`).
    Raises InputError if the arms of a budget are not paired, lack `real`, or if a label or prediction names no class.
    """

    by_budget: Mapping[int, Mapping[str, NDArray[np.integer]]]
    labels: NDArray[np.integer]
    classes: Sequence[str]
    of: Mapping[str, str] = field(default_factory=dict)
    fair: Mapping[str, str] = field(default_factory=dict)
    reals: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or len(self.labels) < 2:
            raise InputError(f"test labels: a comparison needs 2 or more in one row, got shape {self.labels.shape}")
        _check_classes(self.labels, len(self.classes), "test labels")
        for budget, arms in self.by_budget.items():
            if "real" not in arms:
                raise InputError(f"budget {budget}: no arm real to compare with, only {', '.join(arms) or 'none'}")
            for arm, table in arms.items():
                where = f"budget {budget}, arm {arm}"
                if table.ndim != 2 or table.shape[1] != len(self.labels) or len(table) == 0:
                    raise InputError(f"{where}: predictions of shape {table.shape} for {len(self.labels)} test images")
                if len(table) != len(arms["real"]):
                    raise InputError(f"{where}: {len(table)} replicates, but arm real has {len(arms['real'])}")
                _check_classes(table, len(self.classes), where)

    def correct(self, budget: int, arm: str) -> NDArray[np.int64]:
        """1 where the arm is right, else 0: (R, T)."""
        return np.asarray(self.by_budget[budget][arm] == self.labels, dtype=np.int64)


def _check_classes(indices: NDArray[np.integer], classes: int, where: str) -> None:
    if not np.issubdtype(indices.dtype, np.integer):
        raise InputError(f"{where}: must be whole numbers, got {indices.dtype}")
    outside = indices[(indices < 0) | (indices >= classes)]
    if len(outside):
        raise InputError(f"{where}: {outside[0]} is outside the {classes} classes")


class Interval(NamedTuple):
    delta: float  # the estimate; all in the unit of the table
    low: float
    high: float
    p: float  # dual to the bounds: below 1 - confidence exactly when they exclude 0


class MeanSquares(NamedTuple):
    """A table of differences in five numbers: all that its interval depends on."""

    replicates: int
    images: int
    delta: float  # mean of the table
    ms_r: float  # of the replicates
    ms_t: float  # of the test images
    ms_e: float  # of the rest


def sums_to_mean_squares(rows: NDArray[np.integer], column_squares: int, squares: int, images: int) -> MeanSquares:
    """rows: sums over the images of each replicate, (R,). column_squares: of the images' sums over the replicates, each
    squared. squares: of the single differences. Whole numbers, so that a zero is exactly zero. R >= 2, T >= 2.
    """
    rows = rows.astype(np.int64)
    R, T, total = len(rows), images, int(rows.sum())
    by_row, by_column = R * int((rows**2).sum()), T * column_squares  # sums of squares times R T
    rest = R * T * squares - by_row - by_column + total**2
    return MeanSquares(
        replicates=R,
        images=T,
        delta=total / (R * T),
        ms_r=(by_row - total**2) / (R * T * (R - 1)),
        ms_t=(by_column - total**2) / (R * T * (T - 1)),
        ms_e=rest / (R * T * (R - 1) * (T - 1)),
    )


def mean_squares_to_interval(m: MeanSquares, confidence: float, held: bool = False) -> Interval:
    """Two-sided t-interval for the expected difference; replicates and test images both random.

        Var(mean) = (MS_R + MS_T - MS_E) / (R T)

    A component that would be below 0 is 0, as in REML: its mean square then estimates the same as MS_E, is pooled with
    it and drops out. Degrees of freedom are Satterthwaite's less two, and R - 1 at least: they are estimated from the
    same mean squares, so that an MS_R small by luck would narrow the interval twice. docs/calibration.md measures what
    both give, against holding MS_R above MS_E (two arms alike: covered in 99 % of studies) and against the plain
    degrees of freedom (claims a little more often than it says). A constant table has width 0.

    held: hold MS_R above MS_E after all. That is for p-values of a family (`holm`), which are read far out in the tail:
    there few replicates that agree by luck, pooled, would count for as much as thousands of images.
    """
    R, T, delta = m.replicates, m.images, m.delta
    rest, freedom = m.ms_e, (R - 1) * (T - 1)
    above = []
    ms_r = max(m.ms_r, m.ms_e) if held else m.ms_r
    for ms, df in sorted([(ms_r, R - 1), (m.ms_t, T - 1)]):
        if ms < rest:
            rest, freedom = (rest * freedom + ms * df) / (freedom + df), freedom + df
        else:
            above.append((ms, df))
    # The mean squares of Var(mean), signed, and their degrees of freedom.
    terms = [*above, (-rest, freedom)] if len(above) == 2 else above or [(rest, freedom)]
    variance = sum(ms for ms, _ in terms)
    if variance == 0:
        return Interval(delta, delta, delta, float(delta == 0))
    satterthwaite = variance**2 / sum(ms**2 / df for ms, df in terms)
    used = max(R - 1, satterthwaite - 2)
    error = math.sqrt(variance / (R * T))
    half = error * float(stats.t.ppf((1 + confidence) / 2, used))
    return Interval(delta, delta - half, delta + half, 2 * float(stats.t.sf(abs(delta) / error, used)))


def differences_to_mean_squares(d: NDArray[np.integer]) -> MeanSquares:
    """Of a table of differences d (R, T), whole numbers; R >= 2, T >= 2."""
    d = d.astype(np.int64)
    return sums_to_mean_squares(d.sum(axis=1), int((d.sum(axis=0) ** 2).sum()), int((d**2).sum()), d.shape[1])


def differences_to_interval(d: NDArray[np.integer], confidence: float, held: bool = False) -> Interval:
    """`mean_squares_to_interval` of a table of differences d (R, T), whole numbers. Bounds and p are NaN for R < 2."""
    if len(d) < 2:
        return Interval(int(d.astype(np.int64).sum()) / d.size, math.nan, math.nan, math.nan)
    return mean_squares_to_interval(differences_to_mean_squares(d), confidence, held)


def _contrasts(study: Predictions, config: CompareConfig) -> list[Contrast]:
    return budgets_to_contrasts(study.by_budget, config.primary, study.of, study.fair, study.reals)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values (Holm 1979) of one family; a NaN is no member of it and stays NaN."""
    p = np.asarray(p, dtype=np.float64)
    family = np.flatnonzero(~np.isnan(p))
    order = family[np.argsort(p[family], kind="stable")]
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def predictions_to_deltas(study: Predictions, config: CompareConfig) -> pd.DataFrame:
    """One row per budget, arm and reference: the arm's accuracy (percent), and arm minus reference (points).

    Columns: budget, arm, reference, replicates, accuracy_mean, accuracy_sd, delta, ci_low, ci_high, wins, losses,
    p_holm, verdict. wins: replicates in which the arm is strictly better. The primary contrast's p_holm is its own p;
    all others, over all budgets, are one family, of `held` p-values. Raises InputError if the study lacks the primary
    contrast.
    """
    rows, compared = [], _contrasts(study, config)
    for contrast in compared:
        budget, arm, reference = astuple(contrast)
        correct = study.correct(budget, arm)
        d = correct - study.correct(budget, reference)
        delta, low, high, p = differences_to_interval(d, config.confidence)
        if contrast != config.primary:
            p = differences_to_interval(d, config.confidence, held=True).p
        accuracies, gains = pd.Series(100 * correct.mean(axis=1)), d.sum(axis=1)
        row = [budget, arm, reference, len(d), accuracies.mean(), accuracies.std()]
        rows.append([*row, 100 * delta, 100 * low, 100 * high, int((gains > 0).sum()), int((gains < 0).sum()), p])
    columns = ["budget", "arm", "reference", "replicates", "accuracy_mean", "accuracy_sd", "delta", "ci_low", "ci_high"]
    deltas = pd.DataFrame(rows, columns=[*columns, "wins", "losses", "p_holm"])
    secondary = np.array([contrast != config.primary for contrast in compared])
    deltas.loc[secondary, "p_holm"] = holm(deltas.loc[secondary, "p_holm"])
    bounds = zip(deltas["ci_low"], deltas["ci_high"], deltas["p_holm"], strict=True)
    deltas["verdict"] = [interval_to_verdict(low, high, p, config) for low, high, p in bounds]
    return deltas


def predictions_to_accuracies(study: Predictions) -> pd.DataFrame:
    """Columns budget, arm, replicate, accuracy (percent)."""
    accuracies = {
        (budget, arm): pd.Series(100 * study.correct(budget, arm).mean(axis=1), name="accuracy")
        for budget in sorted(study.by_budget)
        for arm in study.by_budget[budget]
    }
    return pd.concat(accuracies, names=["budget", "arm", "replicate"]).reset_index()


def predictions_to_recalls(study: Predictions) -> pd.DataFrame:
    """Columns budget, arm, class, recall_mean, recall_sd (percent), delta (to arm real, points); NaN: no test image."""
    members = pd.DataFrame(np.eye(len(study.classes))[study.labels], columns=list(study.classes))  # (T, K)
    tables = {}
    for budget in sorted(study.by_budget):
        arms = study.by_budget[budget]
        recalls = {arm: 100 * (study.correct(budget, arm) @ members) / members.sum() for arm in arms}  # (R, K)
        for arm, recall in recalls.items():
            columns = {"recall_mean": recall.mean(), "recall_sd": recall.std()}
            tables[budget, arm] = pd.DataFrame({**columns, "delta": (recall - recalls["real"]).mean()})
    return pd.concat(tables, names=["budget", "arm", "class"]).reset_index()


def predictions_to_mcnemar(study: Predictions, config: CompareConfig) -> pd.DataFrame:
    """McNemar's exact test in every replicate: columns budget, arm, reference, replicate, only_arm, only_reference, p.

    only_arm: test images that the arm alone gets right. Descriptive: it knows one subset, and p is not adjusted.
    """
    rows = []
    for contrast in _contrasts(study, config):
        budget, arm, reference = astuple(contrast)
        d = study.correct(budget, arm) - study.correct(budget, reference)
        won, lost = (d > 0).sum(axis=1).tolist(), (d < 0).sum(axis=1).tolist()
        for replicate, (n, m) in enumerate(zip(won, lost, strict=True)):
            p = float(stats.binomtest(n, n + m).pvalue) if n + m else 1.0
            rows.append((budget, arm, reference, replicate, n, m, p))
    return pd.DataFrame(rows, columns=["budget", "arm", "reference", "replicate", "only_arm", "only_reference", "p"])


def deltas_to_metrics(
    study: Predictions,
    deltas: pd.DataFrame,
    config: CompareConfig,
    oracle_predictions: NDArray[np.integer],
    uneven: Collection[int] = (),
) -> dict[str, Any]:
    """What results/metrics.json holds: numbers of 4 decimals, null for NaN, nested for `dvc metrics show` and `diff`.

    deltas: from `predictions_to_deltas` of the same study. oracle_predictions: int (T,), of the classifier that was
    trained on all training images. uneven: the budgets at which only some classes, the rare ones, are that small.
    Raises InputError if there is not one prediction of the oracle a test image.
    """
    if oracle_predictions.shape != study.labels.shape:
        raise InputError(f"oracle: predictions {oracle_predictions.shape} for {len(study.labels)} test images")
    oracle = 100 * float((oracle_predictions == study.labels).mean())
    accuracy: dict[str, Any] = {str(budget): {} for budget in sorted(study.by_budget)}
    delta: dict[str, Any] = {budget: {} for budget in accuracy}
    primary: dict[str, Any] = {}
    for (budget, arm), group in predictions_to_accuracies(study).groupby(["budget", "arm"], sort=False)["accuracy"]:
        accuracy[str(budget)][arm] = {"mean": _plain(group.mean()), "sd": _plain(group.std()), "n": len(group)}
    for row in deltas.drop(columns=["accuracy_mean", "accuracy_sd"]).to_dict("records"):
        plain = {str(name): _plain(value) for name, value in row.items()}
        contrast = Contrast(plain.pop("budget"), plain.pop("arm"), plain.pop("reference"))
        delta[str(contrast.budget)][f"{contrast.arm}_vs_{contrast.reference}"] = plain
        if contrast == config.primary:
            said = sentence(row, config.margin, config.confidence, contrast.budget in uneven)
            primary = {**asdict(contrast), **plain, "sentence": said}
    return {"primary": primary, "oracle": {"accuracy": _plain(oracle)}, "accuracy": accuracy, "delta": delta}


def _plain(value: Any) -> Any:
    """A JSON value: text and whole numbers as they are, other numbers to 4 decimals, NaN as None."""
    if isinstance(value, str | int):
        return value
    return None if math.isnan(value) else round(float(value), 4) + 0.0
