"""The calibration study's arithmetic: the population it draws from, the rival intervals, its rows and its page."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from benchmarks import calibration, intervals, measured, scenarios, twins
from benchmarks.blocks import write_blocks
from benchmarks.calibration_page import rows_to_blocks
from benchmarks.family import EVENTS, FAMILIES, family, squares_to_claims, tables_to_squares
from benchmarks.intervals import Studies
from benchmarks.measured import Measured, expected, pool, read_model, tables_to_measured
from benchmarks.population import Population, Shape, fit, moments, normal_covariance, population, possible, square_root
from benchmarks.scenarios import CONFIG, bounds_to_row, matched, simulate_studies
from pipeline.classifier.settings import ClassifierConfig
from pipeline.comparison import (
    MeanSquares,
    Predictions,
    differences_to_interval,
    differences_to_mean_squares,
    predictions_to_deltas,
)
from pipeline.compute import ComputeConfig
from pipeline.contrasts import Contrast
from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.stages.stage import read_params
from pipeline.verdict import CompareConfig

SHAPES: tuple[Shape, ...] = ("normal", "failures", "heavy")


def two_arms(shape: Shape = "normal", spread: float = 1) -> Population:
    image = np.array([[0.7, 0.6], [0.6, 0.65]])
    replicate = np.array([[0.04, 0.01], [0.01, 0.05]])
    rest = np.array([[0.26, 0.1], [0.1, 0.3]])
    arms = population(("real", "mine"), np.array([0.9, 0.92]), image, replicate, rest)
    return arms.wider(spread, shape)


# The population


def test_covariance_of_two_signs_is_known() -> None:
    # P(x < 0, y < 0) = 1/4 + arcsin(rho) / (2 pi): Sheppard 1899.
    for rho in (-0.9, 0.0, 0.3, 0.99):
        assert normal_covariance(0, 0, rho) == pytest.approx(math.asin(rho) / (2 * math.pi))
    for h, k, rho in [(1.7, 1.2, 0.8), (-0.5, 2, -0.4), (2, 2, 0.05)]:
        both = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([h, k])
        assert normal_covariance(h, k, rho) == pytest.approx(both - stats.norm.cdf(h) * stats.norm.cdf(k), abs=1e-6)


def test_moments_are_those_of_all_pairs_of_entries() -> None:
    correct = np.random.default_rng(0).integers(0, 2, (2, 3, 4))
    found = moments(correct)
    sums: dict[str, list[int]] = {"both": [], "image": [], "replicate": [], "neither": []}
    cells = list(itertools.product(range(3), range(4)))
    for (r, t), (r2, t2) in itertools.product(cells, cells):
        kind = {(True, True): "both", (False, True): "image", (True, False): "replicate"}.get((r == r2, t == t2))
        sums[kind or "neither"].append(int(correct[0, r, t] * correct[1, r2, t2]))
    means = {kind: np.mean(values) for kind, values in sums.items()}
    for kind in ("both", "image", "replicate"):
        assert found[kind][0, 1] == pytest.approx(means[kind] - means["neither"])
    assert found["accuracy"] == pytest.approx(correct.mean(axis=(1, 2)))


def test_the_fit_finds_the_population_that_was_drawn_from() -> None:
    truth = two_arms()
    scores = truth.scores(150, 6000, np.random.default_rng(0))
    correct = (scores > -truth.thresholds(truth.accuracy)[:, None, None]).astype(np.int8)
    found = fit(truth.arms, moments(correct))
    assert found.accuracy == pytest.approx(truth.accuracy, abs=0.01)
    assert found.image == pytest.approx(truth.image, abs=0.03)
    assert found.replicate == pytest.approx(truth.replicate, abs=0.012)
    assert found.rest == pytest.approx(truth.rest, abs=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_true_delta_is_the_one_asked_for(shape: Shape) -> None:
    # The arm's own replicate effect is all that is not normal: integrate its density.
    arms = two_arms(shape, 2)
    m = arms.thresholds([0.9, 0.93])
    own = square_root(arms.replicate)[1, 1]
    others = math.sqrt(arms.image[1, 1] + arms.replicate[1, 1] + arms.rest[1, 1] - own**2)
    densities = {
        "normal": stats.norm.pdf,
        "failures": lambda x: stats.expon.pdf(1 - x),
        "heavy": lambda x: math.sqrt(3) * stats.t.pdf(math.sqrt(3) * x, 3),
    }
    upper = 1 if shape == "failures" else math.inf
    accuracy, _ = integrate.quad(
        lambda x: densities[shape](x) * stats.norm.cdf((m[1] + own * x) / others), -math.inf, upper
    )
    assert accuracy == pytest.approx(0.93, abs=2e-5)
    total = arms.image[0, 0] + arms.replicate[0, 0] + arms.rest[0, 0]
    assert stats.norm.cdf(m[0] / math.sqrt(total)) == pytest.approx(0.9)


@pytest.mark.parametrize("shape", SHAPES)
def test_simulated_studies_are_right_on_average(shape: Shape) -> None:
    drawn = simulate_studies(two_arms(shape, 2), (0.0, 3.0), (4,), 200, 500, 0, seed=3)
    for (delta, _), studies in drawn.studies.items():
        means = 100 * studies.means.mean(axis=1)
        assert abs(means.mean() - delta) < 4 * means.std() / math.sqrt(len(means))


def test_components_below_0_become_0_and_the_others_stay() -> None:
    assert possible(np.array([[2.0, 1], [1, 2]])).tolist() == [[2, 1], [1, 2]]
    mended = possible(np.array([[1.0, 2], [2, 1]]))  # eigenvalues 3 and -1
    assert mended == pytest.approx(np.array([[1.5, 1.5], [1.5, 1.5]]))
    assert square_root(mended) @ square_root(mended).T == pytest.approx(mended)


# What real studies tell


def tables(replicates: int, seed: int = 0) -> dict[str, NDArray[np.int8]]:
    """Two arms at two budgets, in which replicates and images differ."""
    arms, rng = two_arms(), np.random.default_rng(seed)
    found = {}
    for budget in (5, 7):
        right = arms.scores(replicates, 4000, rng) > -arms.thresholds([0.85, 0.9])[:, None, None]
        found |= {f"{arm}@{budget}": table for arm, table in zip(("real", "real+gan"), right, strict=True)}
    return {name: table.astype(np.int8) for name, table in found.items()}


def test_a_study_alone_gives_back_its_own_mean_squares() -> None:
    right = tables(5)
    everyone = pool([tables_to_measured(right, 1, "", tell=True)])
    for budget in (5, 7):
        real, gan = f"real@{budget}", f"real+gan@{budget}"
        found, own = (
            expected(everyone.subset([real, gan]), 5, 4000),
            differences_to_mean_squares(right[gan] - right[real]),
        )
        assert tuple(found) == pytest.approx(tuple(own), rel=0.02)


def test_budgets_share_their_images_and_nothing_else() -> None:
    study = tables_to_measured(tables(5), 1, "", tell=True)
    for part in (study.replicate, study.rest):
        assert (part[:2, 2:] == 0).all() and (part[:2, :2] != 0).all() and (part[2:, 2:] != 0).all()
    assert (study.image != 0).all()


def test_what_is_not_told_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, untold = (tables_to_measured(tables(5), seed, "words", tell) for seed, tell in [(1, True), (2, False)])
    assert untold.accuracy is None and untold.histograms == {}
    with pytest.raises(InputError, match="no study tells the accuracy of real@5"):
        pool([untold])
    assert pool([told, untold]).accuracy == pytest.approx(told.accuracy)
    assert told.histograms["5"]["reference_wrong"] == np.bincount((1 - tables(5)["real@5"]).sum(axis=0)).tolist()

    monkeypatch.setattr(measured, "MODEL", tmp_path / "model.json")
    with pytest.raises(InputError, match="no such file"):
        read_model()
    for study in (untold, told, told):  # a seed is held once
        measured.add_to_model(study)
    again = read_model()
    assert [study.seed for study in again] == [1, 2]
    for study, kept in zip((told, untold), again, strict=True):
        assert kept.image == pytest.approx(study.image, abs=1e-8) and kept.columns == study.columns
        assert (kept.accuracy is None) == (study.accuracy is None) and kept.histograms == study.histograms


def test_studies_count_by_their_replicates_less_one() -> None:
    one, same = np.ones((1, 1)), np.eye(2)
    wide = Measured(1, "", 3, 9, ("a@1",), np.array([0.9]), 0.3 * one, 0.6 * one, 0.1 * one)
    long = Measured(2, "", 9, 9, ("b@1", "a@1"), np.array([0.8, 0.4]), 0.4 * same, 0.1 * same, 0.5 * same)
    everyone = pool([wide, long])
    assert everyone.arms == ("a@1", "b@1")
    assert everyone.accuracy == pytest.approx([(2 * 0.9 + 8 * 0.4) / 10, 0.8])
    assert everyone.replicate == pytest.approx(np.diag([(2 * 0.6 + 8 * 0.1) / 10, 0.1]))
    assert pool([wide, long], only=1).arms == ("a@1",)
    with pytest.raises(InputError, match="no study of seed 3"):
        pool([wide, long], only=3)


def test_estimate_reads_a_study_from_disk(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("params.yaml").write_text("study: {seed: 9, budgets: [5, 7], replicates: 5}\n")
    right = tables(5)
    Path("artifacts/data").mkdir(parents=True)
    labels = np.random.default_rng(0).integers(0, 2, 4000)
    np.savez("artifacts/data/test_labels.npz", labels=labels)
    for budget in (5, 7):
        for kind, arm in (("baseline", "real"), ("augmented", "real+gan")):
            folder = Path(f"artifacts/{kind}/{budget}")
            folder.mkdir(parents=True)
            np.savez(folder / "predictions.npz", **{arm: np.where(right[f"{arm}@{budget}"] == 1, labels, 1 - labels)})
    monkeypatch.setattr("sys.argv", ["calibration", "estimate", "--correlations-alone", "--words", "small"])
    calibration.main()
    assert "seed 9, 4 columns, 5 replicates" in capsys.readouterr().out
    (study,) = read_model()
    assert (study.words, study.accuracy, study.images) == ("small", None, 4000)
    assert study.image == pytest.approx(tables_to_measured(right, 9, "", tell=True).image, abs=1e-7)
    monkeypatch.setattr("sys.argv", ["calibration", "estimate", "--budgets", "7"])
    calibration.main()
    assert read_model()[0].columns == ("real@7", "real+gan@7")


def test_the_committed_model_reproduces_its_own_mean_squares(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    match = matched(read_model(), 12, seed=0).set_index(["scenario", "figure"])
    for scenario, name in itertools.product(("gan", "alike", "ten", "on_classical"), ("ms_t", "ms_e", "discordant")):
        row = match.loc[(scenario, name)]
        assert abs(row["real"] - row["simulated_mean"]) < 4 * row["simulated_sd"] / math.sqrt(12) + 0.02 * row["real"]
    assert match.loc["alike", "real"].filter(like="net_wins").sum() == scenarios.IMAGES


# The studies


def test_the_short_cut_by_sums_is_the_whole_table() -> None:
    arms = two_arms()
    drawn = simulate_studies(arms, (0.0, 2.0), (3, 5), 60, 4, 0, seed=8)
    rng = np.random.default_rng(derive(8, "scores"))
    for number in range(4):
        scores = arms.scores(5, 60, rng)
        for delta in (0.0, 2.0):
            m = arms.thresholds([0.9, 0.9 + delta / 100])
            right = (scores > -m[:, None, None]).astype(int)
            for replicates in (3, 5):
                d = right[1, :replicates] - right[0, :replicates]
                studies = drawn.studies[delta, replicates]
                assert studies.squares[number] == differences_to_mean_squares(d)
                assert studies.means[number] == pytest.approx(d.mean(axis=1))
                low, high = intervals.present(studies, 0.95)
                assert (low[number], high[number]) == differences_to_interval(d, 0.95)[1:3]


def test_rows_are_the_ones_counted_by_hand() -> None:
    low, high = np.array([-0.1, 0.3, -2.0, np.nan]), np.array([0.2, 0.9, -1.0, np.nan])
    row = bounds_to_row(low, high, 0.1)
    assert row["coverage"] == 25 and row["truth_below"] == 25 and row["truth_above"] == 25
    assert row["excludes_0"] == 50
    assert [row[word] for word in ("helps", "hurts", "equivalent", "inconclusive")] == [25, 25, 25, 0]
    assert row["width"] == pytest.approx((0.3 + 0.6 + 1.0) / 3)
    assert row["coverage_se"] == pytest.approx(100 * math.sqrt(0.25 * 0.75 / 4))


def test_rows_say_how_often_mean_squares_were_pooled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for name, value in {"IMAGES": 300, "REPLICATES": (3, 4), "DELTAS": (0.0,)}.items():
        monkeypatch.setattr(scenarios, name, value)
    monkeypatch.setattr(scenarios, "SCENARIOS", scenarios.SCENARIOS[1:2])
    model = read_model()
    rows = scenarios.simulated_rows(model, 32, seed=0).set_index(["method", "replicates"])
    pair = scenarios.SCENARIOS[0].population(model)
    drawn = simulate_studies(pair, (0.0,), (3, 4), 300, 32, 0, derive(0, "alike")).studies
    for replicates in (3, 4):
        studies = drawn[0.0, replicates]
        below = np.array([m.ms_r < m.ms_e for m in studies.squares])
        low, high = intervals.present(studies, 0.95)
        row = rows.loc[("present", replicates)]
        assert 0 < below.sum() < 32 and row["pooled"] == pytest.approx(100 * below.mean())
        assert row["coverage_pooled"] == pytest.approx(100 * ((low <= 0) & (high >= 0))[below].mean())


# The family


def study_of_two_budgets() -> tuple[dict[int, NDArray[np.bool_]], tuple[str, ...]]:
    """Five arms, of which one is better and one worse at the second budget."""
    rng, arms = np.random.default_rng(6), ("real", "real+classical", "real+copies", "real+gan", "real+gan+classical")
    shares = {5: [0.5] * 5, 7: [0.5, 0.5, 0.7, 0.3, 0.5]}
    return {b: rng.random((5, 6, 300)) < np.array(share)[:, None, None] for b, share in shares.items()}, arms


@pytest.mark.parametrize("replicates", [3, 6])
def test_the_family_is_judged_as_the_comparison_judges_it(replicates: int) -> None:
    right, arms = study_of_two_budgets()
    squares = {k: m for b, r in right.items() for k, m in tables_to_squares(b, arms, r, (3, 6))[replicates].items()}
    wrong = {b: dict(zip(arms, (~r[:, :replicates]).astype(np.int8), strict=True)) for b, r in right.items()}
    study = Predictions(wrong, np.zeros(300, np.int64), ("right", "wrong"))
    for primary in (Contrast(5, "real+gan", "real"), Contrast(7, "real+gan", "real")):
        config = CompareConfig(0.25, 0.95, primary)
        deltas = predictions_to_deltas(study, config)
        assert [(c.budget, c.arm, c.reference) for c in squares] == list(
            deltas[["budget", "arm", "reference"]].itertuples(index=False, name=None)
        )
        first = (deltas["budget"] == primary.budget) & (deltas["arm"] == "real+gan") & (deltas["reference"] == "real")
        claimed, excluded = deltas["verdict"].isin(["helps", "hurts"]), deltas["ci_low"] * deltas["ci_high"] > 0
        below = np.array([m.ms_r < m.ms_e for m in squares.values()])
        claims = squares_to_claims(squares, config)
        assert claims.primary == claimed[first].any() == (primary.budget == 7)
        assert claims.secondary == claimed[~first].any()
        assert claims.pooled == (claimed & below)[~first].any()
        assert claims.corrected == (deltas.loc[~first, "p_holm"] < 0.05).any()
        assert claims.uncorrected == excluded[~first].any()


def test_mean_squares_of_all_contrasts_at_once_are_those_of_each() -> None:
    right, arms = study_of_two_budgets()
    for replicates, found in tables_to_squares(7, arms, right[7], (3, 6)).items():
        for contrast, squares in found.items():
            arm, reference = (
                right[7][arms.index(a), :replicates].astype(int) for a in (contrast.arm, contrast.reference)
            )
            assert squares == differences_to_mean_squares(arm - reference)


def test_families_of_the_committed_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    table = family(pool(read_model()), 3, 0, 500, CONFIG)
    assert len(table) == len(FAMILIES) * 4 * len(EVENTS)
    numbers = table.drop_duplicates("family").set_index("family")["secondaries"]
    assert numbers.to_dict() == {"default": 12, "four_budgets": 51, "on_top": 25}
    wide = table.pivot(index=["family", "replicates"], columns="event", values="percent")
    assert (wide["pooled"] <= wide["secondary"]).all() and (wide["secondary"] <= wide["corrected"]).all()
    assert (wide["corrected"] <= wide["uncorrected"]).all()
    assert (3 * wide / 100).to_numpy() == pytest.approx((3 * wide / 100).to_numpy().round())


# Rival intervals


def table_to_studies(*tables: NDArray[np.int64]) -> Studies:
    return Studies(np.array([d.mean(axis=1) for d in tables]), [differences_to_mean_squares(d) for d in tables])


def test_fixed_images_is_the_one_sample_t_interval() -> None:
    d = np.random.default_rng(0).integers(-1, 2, (5, 40))
    low, high = intervals.fixed_images(table_to_studies(d), 0.95)
    reference = stats.ttest_1samp(d.mean(axis=1), 0).confidence_interval(0.95)
    assert (low[0], high[0]) == pytest.approx((reference.low, reference.high))


def test_hillis_is_the_one_worked_by_hand() -> None:
    # MS_R 2, MS_T 5, MS_E 1: total 6, 3 degrees of freedom x (6 / 2)^2 = 27.
    studies = Studies(np.zeros((1, 4)), [MeanSquares(4, 100, 0.0, 2.0, 5.0, 1.0)])
    _, high = intervals.hillis(studies, 0.95)
    assert high[0] == pytest.approx(stats.t.ppf(0.975, 27) * math.sqrt(6 / 400))


@pytest.mark.parametrize(("rows", "columns"), [(1.5, 1.0), (0.0, 1.0), (1.5, 0.0), (0.0, 0.0)])
def test_mixed_model_is_reml(rows: float, columns: float) -> None:
    rng = np.random.default_rng(4)
    R, T = 4, 7
    y = rows * rng.standard_normal((R, 1)) + columns * rng.standard_normal((1, T)) + rng.standard_normal((R, T))
    if rows == 0:  # no spread of the rows at all: its component is below 0
        y -= y.mean(axis=1, keepdims=True)
    if columns == 0:
        y -= y.mean(axis=0)
    ones_r, ones_t, one = np.ones((R, R)), np.ones((T, T)), np.ones(R * T)

    def covariance(s: NDArray[np.float64]) -> NDArray[np.float64]:
        by_row, by_column = s[0] ** 2 * np.kron(np.eye(R), ones_t), s[1] ** 2 * np.kron(ones_r, np.eye(T))
        return by_row + by_column + s[2] ** 2 * np.eye(R * T)

    def loss(s: NDArray[np.float64]) -> float:
        v = covariance(s)
        inverse = np.linalg.inv(v)
        weight = one @ inverse @ one
        residual = y.ravel() - (one @ inverse @ y.ravel()) / weight
        return float(np.linalg.slogdet(v)[1] + math.log(weight) + residual @ inverse @ residual)

    best = optimize.minimize(loss, [1.0, 1.0, 1.0], method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-7})
    variance = 1 / (one @ np.linalg.inv(covariance(best.x)) @ one)
    m = y.mean()
    ms_r, ms_t = T * y.mean(axis=1).var(ddof=1), R * y.mean(axis=0).var(ddof=1)
    rest = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + m
    ms_e = (rest**2).sum() / ((R - 1) * (T - 1))
    studies = Studies(y.mean(axis=1)[None], [MeanSquares(R, T, m, ms_r, ms_t, ms_e)])
    low, high = intervals.mixed_model(studies, 0.95)
    narrow_low, narrow_high = intervals.mixed_model(studies, 0.5)
    # Two confidences give the standard error and the degrees of freedom.
    freedom = optimize.brentq(
        lambda f: stats.t.ppf(0.975, f) / stats.t.ppf(0.75, f) - (high - low)[0] / (narrow_high - narrow_low)[0],
        0.5,
        1e4,
    )
    assert ((high - low)[0] / 2 / stats.t.ppf(0.975, freedom)) ** 2 == pytest.approx(variance, rel=1e-3)


def test_two_way_is_the_bootstrap_of_rows_and_columns() -> None:
    rng = np.random.default_rng(0)
    d = (rng.random((4, 300)) < 0.1).astype(int) - (rng.random((4, 300)) < 0.05)
    low, high = intervals.two_way(d, 0.95, rng, resamples=4000)
    plain = [d[rng.integers(4, size=4)][:, rng.integers(300, size=300)].mean() for _ in range(4000)]
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=0.005)


def test_studentised_bootstrap_of_two_replicates_knows_nothing() -> None:
    # Half of all resamples of two have no spread, and an infinite t.
    low, high = intervals.bootstrap_t(Studies(np.array([[0.1, 0.3]]), []), 0.95)
    assert (low[0], high[0]) == (-math.inf, math.inf)


@pytest.mark.parametrize("method", [intervals.bootstrap_t, intervals.percentile, intervals.bca])
def test_bootstraps_agree_with_theory_where_replicates_are_many(method: intervals.Method) -> None:
    values = np.random.default_rng(1).standard_normal((3, 400))
    low, high = method(Studies(values, []), 0.95)
    half = 1.96 * values.std(axis=1, ddof=1) / 20
    assert high - values.mean(axis=1) == pytest.approx(half, rel=0.15)
    assert values.mean(axis=1) - low == pytest.approx(half, rel=0.15)


def test_project_interval_is_the_mixed_model_with_two_degrees_fewer() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        R, T, ms = int(rng.integers(2, 8)), int(rng.integers(2, 60)), rng.exponential(size=3)
        studies = Studies(np.zeros((1, R)), [MeanSquares(R, T, 0.0, *ms)])
        wide, narrow = (intervals.present(studies, level)[1][0] for level in (0.95, 0.5))
        others = [intervals.mixed_model(studies, level)[1][0] for level in (0.95, 0.5)]
        ratio = others[0] / others[1]  # the degrees of freedom, whatever the error
        f = optimize.brentq(lambda f, r=ratio: stats.t.ppf(0.975, f) / stats.t.ppf(0.75, f) - r, 0.05, 1e6)
        error = others[0] / stats.t.ppf(0.975, f)
        assert wide == pytest.approx(error * stats.t.ppf(0.975, max(R - 1, f - 2)), rel=1e-5)
        assert narrow == pytest.approx(error * stats.t.ppf(0.75, max(R - 1, f - 2)), rel=1e-5)


def test_floored_is_the_one_worked_by_hand() -> None:
    # MS_R 1 is held at MS_E 2; MS_T 5: total 5, df 25 / (4/3 + 25/99 + 4/297).
    studies = Studies(np.zeros((1, 4)), [MeanSquares(4, 100, 0.0, 1.0, 5.0, 2.0)])
    _, high = intervals.floored(studies, 0.95)
    freedom = 25 / (4 / 3 + 25 / 99 + 4 / 297)
    assert high[0] == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(5 / 400))


# The page


def test_blocks_are_replaced_and_the_words_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    write_blocks(page, {"a": "new"})
    write_blocks(page, {"a": "newer"})
    assert page.read_text() == "before\n<!-- begin a -->\nnewer\n<!-- end a -->\nafter\n"
    with pytest.raises(InputError, match="no place for b"):
        write_blocks(page, {"b": "new"})


def test_the_committed_page_shows_the_committed_rows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    tables = [calibration.pd.read_csv(path) for path in (calibration.ROWS, calibration.MATCH, calibration.FAMILY)]
    page = calibration.PAGE.read_text(encoding="utf-8")
    for name, block in rows_to_blocks(*tables, read_model()).items():
        assert f"<!-- begin {name} -->\n{block}\n<!-- end {name} -->" in page, f"{name}: run `... calibration report`"


# Twins


def test_halves_share_no_image_and_hold_each_class_alike(digits: LabelledImages) -> None:
    test, others = twins.halves(digits, 8, seed=0)
    assert not set(test) & set(others) and len(test) + len(others) == len(digits)
    assert np.bincount(digits.labels[test]).tolist() == [8] * 10
    assert twins.halves(digits, 8, seed=1)[0].tolist() != test.tolist()


def test_twins_train_from_different_seeds_and_are_remembered(
    digits: LabelledImages, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_params(root / "params.yaml")["classifier"]
    monkeypatch.setattr("pipeline.compute.CACHE", tmp_path)
    config = ClassifierConfig(**{**settings, "steps": 3})
    compute = ComputeConfig(device="cpu", workers=1)
    study = twins.twin_study(digits, 3, 2, 10, config, compute, seed=4)
    arms = study.by_budget[3]
    assert arms["real"].shape == arms["again"].shape == (2, 100)
    assert (arms["real"] != arms["again"]).any()
    monkeypatch.setattr("pipeline.classifier.replicate.train", None)  # a second training would fail
    again = twins.twin_study(digits, 3, 2, 10, config, compute, seed=4)
    assert all((again.by_budget[3][arm] == arms[arm]).all() for arm in arms)


def test_twins_row_and_summary() -> None:
    right = np.zeros((2, 50), np.int64)
    wrong = right.copy()
    wrong[:, :5] = 1
    row = twins.study_to_row(Predictions({20: {"real": wrong, "again": right}}, right[0], ("a", "b")))
    assert (row["real"], row["again"], row["delta"]) == pytest.approx((90, 100, 10))
    table = calibration.pd.DataFrame([row | {"ci_low": -1.0, "ci_high": 1.0, "delta": -10.0}, row | {"ci_low": 0.1}])
    assert twins.summary(table).startswith("1 of 2 intervals exclude 0; mean delta +0.000 ± 10.000 points")
