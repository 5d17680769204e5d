"""The tables of docs/regimes.md: by hand, and as the page has them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from benchmarks import regimes
from benchmarks.regimes import controls_to_table, difference, groups_to_table, study_to_table, worth_to_table

NOTHING = float("nan")


def deltas(rows: list[tuple[int, str, str, float, float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["budget", "arm", "reference", "delta", "ci_low", "ci_high", "verdict"])


def accuracies(means: dict[tuple[int, str], list[float]]) -> pd.DataFrame:
    rows = [(budget, arm, r, each) for (budget, arm), own in means.items() for r, each in enumerate(own)]
    return pd.DataFrame(rows, columns=["budget", "arm", "replicate", "accuracy"])


def test_a_difference_says_what_there_is() -> None:
    whole = {"delta": 0.886, "ci_low": 0.717, "ci_high": 1.056, "verdict": "helps"}
    assert difference(whole) == "+0.89 (+0.72 to +1.06): helps"
    assert difference({"delta": -1.0, "ci_low": -2.5, "ci_high": 0.5}) == "−1.00 (−2.50 to +0.50)"
    alone = {"delta": 0.1, "ci_low": NOTHING, "ci_high": NOTHING, "verdict": "descriptive"}
    assert difference(alone) == "+0.10: descriptive"


def test_a_study_has_a_row_an_arm_and_no_empty_column(tmp_path: Path) -> None:
    rows = [
        (50, "real+gan", "real", 1.0, 0.5, 1.5, "helps"),
        (50, "real+gan", "real+copies", -1.0, -1.5, -0.5, "hurts"),
        (50, "half", "real+gan", 0.0, -0.1, 0.1, "equivalent"),
        (50, "half", "real", 1.0, 0.4, 1.6, "helps"),
    ]
    deltas(rows).to_csv(tmp_path / "deltas.csv")
    means = {(50, "real"): [90.0, 91.0], (50, "real+gan"): [91.0, 92.0], (50, "half"): [91.5, 91.5]}
    accuracies(means).to_csv(tmp_path / "accuracies.csv")
    table = study_to_table(tmp_path)
    assert table.columns.tolist() == ["arm", "accuracy", "over `real`", "over others"]
    assert table.to_numpy().tolist() == [
        ["`real`", "90.50", "", ""],
        ["`real+gan`", "91.50", "+1.00 (+0.50 to +1.50): helps", ""],
        ["`half`", "91.50", "+1.00 (+0.40 to +1.60): helps", "`real+gan` +0.00 (−0.10 to +0.10): equivalent"],
    ]


def test_settings_of_their_own_stand_beside_the_arms(tmp_path: Path) -> None:
    own = [{"arm": "half", "steps": 500, "label_smoothing": 0.3}]
    (tmp_path / "params.yaml").write_text(json.dumps({"arms": {"own_settings": own}, "classifier": {"steps": 3000}}))
    deltas([(50, "half", "real", 1.0, 0.4, 1.6, "helps")]).to_csv(tmp_path / "deltas.csv")
    accuracies({(50, "real"): [90.0], (50, "half"): [91.5]}).to_csv(tmp_path / "accuracies.csv")
    table = study_to_table(tmp_path)
    assert table.columns.tolist() == ["arm", "trained with", "accuracy", "over `real`"]
    assert table["trained with"].tolist() == ["", "steps 500, label smoothing 0.3"]
    own[0]["budget"] = 10
    (tmp_path / "params.yaml").write_text(json.dumps({"arms": {"own_settings": own}, "classifier": {"steps": 3000}}))
    deltas([(budget, "half", "real", 1.0, 0.4, 1.6, "helps") for budget in (10, 50)]).to_csv(tmp_path / "deltas.csv")
    accuracies({(10, "half"): [91.5], (50, "half"): [91.5]}).to_csv(tmp_path / "accuracies.csv")
    assert study_to_table(tmp_path)["trained with"].tolist() == ["steps 500, label smoothing 0.3", ""]


def test_rare_classes_are_held_against_every_reference(tmp_path: Path) -> None:
    rows = []
    for arm, reference, by_group in (
        ("real", "real", (80.0, 0, 99.0, 0, 93.0, 0)),
        ("real+gan", "real", (82.0, 2, 98.5, -0.5, 94.0, 1)),
    ):
        for group, accuracy, delta in zip(("rare", "common", "balanced"), by_group[::2], by_group[1::2], strict=True):
            bound = NOTHING if group == "balanced" else 0.25
            rows.append((10, arm, reference, group, accuracy, 1.0, delta, delta - bound, delta + bound))
    columns = ["budget", "arm", "reference", "group", "accuracy_mean", "accuracy_sd", "delta", "ci_low", "ci_high"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "groups.csv")
    assert groups_to_table(tmp_path).to_dict("records")[1] == {
        "rare a class": 10,
        "arm": "`real+gan`",
        "rare": "82.00",
        "rare over `real`": "+2.00 (+1.75 to +2.25)",
        "common over `real`": "−0.50 (−0.75 to −0.25)",
        "balanced": "94.00",
    }


def test_controls_are_held_against_their_own_models_arms(tmp_path: Path) -> None:
    rows = [("knn", "real+copies", "real", 1.0), ("knn", "real+copies+gan", "real", 1.5)]
    rows += [("knn", "real+copies+gan", "real+copies", 0.5)]
    made = [(50, *row, 90 + row[3], row[3] - 0.25, row[3] + 0.25, "helps") for row in rows]
    columns = ["budget", "model", "arm", "reference", "delta", "accuracy_mean", "ci_low", "ci_high", "verdict"]
    pd.DataFrame(made, columns=columns).to_csv(tmp_path / "controls.csv")
    table = controls_to_table(tmp_path)
    assert table["accuracy"].tolist() == ["90.00", "91.00", "91.50"]  # its `real` is what the arms were held against
    assert table["over `real`"].tolist() == ["", "+1.00 (+0.75 to +1.25): helps", "+1.50 (+1.25 to +1.75): helps"]
    assert table["over `real+copies`"].tolist() == ["", "", "+0.50 (+0.25 to +0.75): helps"]


def test_what_an_arm_is_worth_ends_where_the_curve_does(tmp_path: Path) -> None:
    deltas([(b, "real+gan", "real", 1.0, 0.5, 1.5, "helps") for b in (10, 100)]).to_csv(tmp_path / "deltas.csv")
    accuracies({(10, "real"): [80.0], (100, "real"): [90.0]}).to_csv(tmp_path / "accuracies.csv")
    rows = [(10, "real+gan", 12.4, 0.0, 15.0, 10, 100), (100, "real+gan", float("inf"), 98.0, float("inf"), 10, 100)]
    names = ["budget", "arm", "worth", "worth_low", "worth_high", "curve_from", "curve_to"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "worth.csv")
    assert worth_to_table(tmp_path)["`real+gan` is worth"].tolist() == [
        "12 (fewer than 10 to 15)",
        "more than 100 (98 to more than 100)",
    ]


def test_the_page_has_the_tables_of_the_studies_that_are_kept(root: Path) -> None:
    page = (root / regimes.PAGE).read_text(encoding="utf-8")
    blocks = regimes.studies_to_blocks(root / regimes.STUDIES)
    assert blocks
    for name, block in blocks.items():
        assert f"<!-- begin {name} -->\n{block}\n<!-- end {name} -->" in page, (
            f"run python -m benchmarks.regimes: {name}"
        )
