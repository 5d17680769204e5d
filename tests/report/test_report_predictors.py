"""Do measures predict the gain? Rank correlations against SciPy's, planted relations found, chance not mistaken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_study import make_study
from rendered import Page, render, section
from scipy import stats

from benchmarks import predictors as published
from benchmarks.predictors import folders_to_runs
from pipeline.report.correlation import LARGEST, rank_correlation, smallest_telling
from pipeline.report.predictors import (
    MEASURES,
    correlations_to_sentence,
    runs_to_correlations,
    study_to_predictors,
    study_to_runs,
)
from pipeline.report.study import load_study


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def scipys_rho(x: Any, y: Any) -> float:
    return float(stats.spearmanr(x, y).statistic)


class TestCorrelation:
    @pytest.mark.parametrize("ties", [False, True])
    def test_one_group_matches_scipy(self, rng: np.random.Generator, ties: bool) -> None:
        x, y = rng.integers(0, 4, (2, 6)) if ties else rng.normal(size=(2, 6))
        expected = stats.permutation_test(
            (x,), lambda x: scipys_rho(x, y), permutation_type="pairings", n_resamples=np.inf, vectorized=False
        )
        found = rank_correlation(x, y, np.zeros(6), seed=1)
        assert found.rho == pytest.approx(scipys_rho(x, y), abs=1e-12)
        # SciPy doubles the smaller tail of a null that is symmetric only without ties.
        share = np.mean(np.abs(expected.null_distribution) >= abs(expected.statistic) - 1e-9)
        assert found.p == pytest.approx(share, abs=1e-12)
        if not ties:
            assert found.p == pytest.approx(expected.pvalue, abs=1e-12)

    def test_groups_are_averaged_by_size(self, rng: np.random.Generator) -> None:
        groups = np.repeat([10, 50], [4, 7])
        x, y = rng.normal(size=(2, 11))
        rhos = [scipys_rho(x[groups == group], y[groups == group]) for group in (10, 50)]
        assert rank_correlation(x, y, groups, 1).rho == pytest.approx((4 * rhos[0] + 7 * rhos[1]) / 11)

    def test_p_of_two_groups_by_hand(self) -> None:
        # In both groups of three the given order is one of six; all reversed is as large: 2 of 36.
        x, groups = np.array([1, 2, 3, 1, 2, 3]), np.repeat([0, 1], 3)
        found = rank_correlation(x, x + 100 * groups, groups, 1)
        assert (found.rho, found.p, found.runs) == (pytest.approx(1), pytest.approx(2 / 36), 6)

    def test_a_difference_between_groups_is_no_correlation(self, rng: np.random.Generator) -> None:
        groups = np.repeat([0, 1], 20)
        x, y = rng.normal(size=(2, 40)) + 10 * groups
        assert scipys_rho(x, y) > 0.6
        found = rank_correlation(x, y, groups, 1)
        assert abs(found.rho) < 0.4 and found.p > 0.05

    def test_many_runs_draw_permutations(self, rng: np.random.Generator) -> None:
        x = rng.normal(size=20)
        y = 0.5 * x + rng.normal(size=20)
        found, again = (rank_correlation(x, y, np.zeros(20), 3) for _ in range(2))
        expected = stats.spearmanr(x, y)
        assert found == again
        assert found.rho == pytest.approx(expected.statistic)
        assert found.p == pytest.approx(expected.pvalue, abs=0.01)
        assert rank_correlation(x, x, np.zeros(20), 3).p == pytest.approx(1 / (LARGEST + 1))  # never 0

    def test_what_tells_nothing(self) -> None:
        for x in ([1, 1, 1, 1], [1, 2, np.nan, np.nan], [np.nan] * 4):
            found = rank_correlation(x, [1, 2, 3, 4], np.zeros(4), 1)
            assert np.isnan(found.rho) and np.isnan(found.p) and found.runs == 0
        found = rank_correlation([1, 2, 3, np.nan, 5, 5], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 1], 1)
        assert (found.rho, found.runs) == (pytest.approx(1), 3)

    def test_smallest_telling_is_the_tables_critical_value(self) -> None:
        # Zar 1972, two-sided 0.05: 6 runs 0.886, 7 runs 0.786, 8 runs 0.738; 5 runs: only 1.
        for size, expected in ((5, 1.0), (6, 0.886), (7, 0.786), (8, 0.738)):
            assert smallest_telling([size], 1) == pytest.approx(expected, abs=5e-4)
        assert smallest_telling([4], 1) is None
        assert smallest_telling([2, 1], 1) is None
        several = smallest_telling([4, 4], 1)
        assert several is not None and several < 1
        assert smallest_telling([15], 1) == pytest.approx(0.521, abs=0.02)  # drawn


def made_up(rng: np.random.Generator, replicates: int, **columns: Any) -> pd.DataFrame:
    """Runs of two budgets in which every number is chance but the given columns, functions of the CAS's own noise."""
    cas = rng.normal(size=2 * replicates)
    runs = pd.DataFrame({column: rng.normal(size=2 * replicates) for column in MEASURES})
    runs["budget"], runs["cas"], runs["delta"] = np.repeat([10, 50], replicates), cas, rng.normal(size=2 * replicates)
    return runs.assign(**{name: change(cas) for name, change in columns.items()})


class TestReading:
    def test_a_planted_relation_is_named(self, rng: np.random.Generator) -> None:
        runs = made_up(rng, 6, delta=lambda cas: 2 * cas, frechet=lambda cas: -cas)
        table = runs_to_correlations(runs, "delta", 1)
        assert table.loc["cas", "rho"] == pytest.approx(1) and table.loc["frechet", "rho"] == pytest.approx(-1)
        said = correlations_to_sentence(table, runs, "delta", 1)
        assert said.startswith("Over 12 GANs what GAN images add to real ones goes with ")
        assert "CAS (ρ +1.00" in said and "the more, the more" in said
        assert "Fréchet distance (ρ -1.00" in said and "the more, the less" in said
        assert "cas" not in runs_to_correlations(runs, "cas", 1).index  # not against itself

    def test_a_measure_that_is_alike_everywhere_does_not_count(self, rng: np.random.Generator) -> None:
        runs = made_up(rng, 6)
        table, constant = (
            runs_to_correlations(each, "delta", 1) for each in (runs, runs.assign(exact_copies=0.0, frechet=np.nan))
        )
        assert constant.loc[["exact_copies", "frechet"], ["rho", "p", "p_holm"]].isna().all(axis=None)
        first = table.drop(["exact_copies", "frechet"])["p"].idxmin()
        assert constant.loc[first, "p_holm"] == pytest.approx(min(1, table.loc[first, "p"] * (len(table) - 2)))

    def test_chance_claims_no_more_than_one_study_in_twenty(self) -> None:
        said = []
        for seed in range(60):
            runs = made_up(np.random.default_rng(seed), 5)
            said.append(correlations_to_sentence(runs_to_correlations(runs, "delta", 1), runs, "delta", 1))
        assert sum("goes with" in sentence for sentence in said) <= 8  # 3 are expected at most
        assert any("One alone looks as if" in sentence for sentence in said)
        assert any(re.search(r"chance alone keeps ρ within ±0\.\d\d in 19 of 20 cases", sentence) for sentence in said)

    def test_too_few_runs_say_so(self, rng: np.random.Generator) -> None:
        runs = made_up(rng, 2)
        said = correlations_to_sentence(runs_to_correlations(runs, "cas", 1), runs, "cas", 1)
        assert (
            said
            == "Whether a measure predicts the CAS cannot be said: that takes three replicates of a budget, or more."
        )
        runs = made_up(rng, 4).query("budget == 10")
        said = correlations_to_sentence(runs_to_correlations(runs, "cas", 1), runs, "cas", 1)
        assert said.startswith("Over 4 GANs not even a rank correlation of 1 could be told from chance")


class TestPublished:
    """benchmarks.predictors"""

    def folder(self, root: Path, name: str, rng: np.random.Generator, lift: float) -> Path:
        """A study at 10 a class in which recall goes with the delta; `lift` moves both."""
        delta = rng.normal(size=8) + lift
        arms = {"real": np.full(8, 90.0), "real+gan": 90 + delta, "gan": 80 + rng.normal(size=8)}
        rows = [[10, arm, r, values[r]] for arm, values in arms.items() for r in range(8)]
        (root / name).mkdir(parents=True)
        table = pd.DataFrame(rows, columns=["budget", "arm", "replicate", "accuracy"])
        table.to_csv(root / name / "accuracies.csv", index=False)
        quality = pd.DataFrame({"budget": 10, "replicate": range(8), "recall": delta, "kid": rng.normal(size=8) + lift})
        quality.to_csv(root / name / "quality.csv", index=False)
        return root / name

    def test_studies_are_pooled_within_their_own_budgets(self, rng: np.random.Generator, tmp_path: Path) -> None:
        runs = folders_to_runs([self.folder(tmp_path, name, rng, lift) for name, lift in (("a", 0), ("b", 50))])
        assert runs.groupby("budget").size().to_dict() == {"a 10": 8, "b 10": 8}
        table = runs_to_correlations(runs, "delta", 1)
        assert table.loc["recall", "rho"] == pytest.approx(1) and table.loc["recall", "runs"] == 16
        assert scipys_rho(runs["kid"], runs["delta"]) > 0.6 > abs(table.loc["kid", "rho"])  # of the lift alone
        assert np.isnan(table.loc["frechet", "p"])  # neither study has it

    def test_the_command(
        self,
        rng: np.random.Generator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.argv", ["predictors"])
        assert published.main() == 2
        assert capsys.readouterr().err.startswith("predictors: no folder of docs holds a quality.csv")
        self.folder(tmp_path / "docs", "a", rng, 0)
        folder = self.folder(tmp_path / "docs" / "more", "b", rng, 50)
        assert published.main() == 0
        said = capsys.readouterr().out
        assert said.startswith("16 GANs: a 10 a class (8), b 10 a class (8)")
        assert "Over 16 GANs what GAN images add to real ones goes with recall (ρ +1.00" in said
        (folder / "accuracies.csv").unlink()
        assert published.main() == 2
        assert "docs/more/b/accuracies.csv: no such file" in capsys.readouterr().err


def test_runs_are_the_replicates_own_numbers(tmp_path: Path) -> None:
    params = make_study(tmp_path, (2, 20), 3)
    study = load_study(tmp_path, [2, 20], params)
    runs = study_to_runs(study).set_index(["budget", "replicate"])
    accuracies = pd.read_csv(tmp_path / "results/accuracies.csv").set_index(["budget", "arm", "replicate"])["accuracy"]
    quality = pd.read_csv(tmp_path / "artifacts/quality/20/quality.csv")
    assert len(runs) == 6
    for replicate in range(3):
        row = runs.loc[(20, replicate)]
        assert row["delta"] == pytest.approx(accuracies[20, "real+gan", replicate] - accuracies[20, "real", replicate])
        assert row["cas"] == accuracies[20, "gan", replicate]
        assert row["kid"] == quality["kid"][replicate]
    no_gan = replace(study, accuracies=study.accuracies[study.accuracies["arm"] != "real+gan"])
    assert study_to_runs(no_gan)["delta"].isna().all()
    assert "cannot be said" in study_to_predictors(no_gan).sentences[0]

    shown = section(render(tmp_path, params), "predictors")
    page = Page(shown)
    assert "● 2 real images a class, ■ 20 real images a class." in page.text
    assert sum(tag == "img" for tag, _ in page.tags) == 2 * len(MEASURES) - 1
    assert "average" in page.text and "Over 6 GANs" in page.text


def test_one_budget_on_the_page(tmp_path: Path) -> None:
    shown = Page(section(render(tmp_path, make_study(tmp_path, (5,), 1)), "predictors")).text
    assert "cannot be said: that takes three replicates" in shown
    assert "no ρ: too few, or all alike" in shown and "nan" not in shown and "averaged" not in shown
