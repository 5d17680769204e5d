"""Tables of the page and the terminal."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rendered import render

from pipeline import groups
from pipeline.report.study import load_study
from pipeline.report.tables import classes_to_heat, print_table, quality_to_text


def test_table_for_the_terminal(study: tuple[Path, dict[str, Any]]) -> None:
    deltas = pd.read_csv(study[0] / "results/deltas.csv")
    lines = print_table(deltas).splitlines()
    assert len(lines) == 2 + len(deltas)
    assert lines[0].split()[:5] == ["images", "a", "class", "arm", "against"]
    best = deltas.iloc[0]
    assert re.fullmatch(rf"\s+5  {re.escape(best['arm'])} +real +\+{best['delta']:.2f} .* helps .*", lines[2])
    assert "nan" not in print_table(deltas.assign(ci_low=np.nan, ci_high=np.nan, p_holm=np.nan, accuracy_sd=np.nan))


def test_quality_by_class_stands_beside_what_real_images_get(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    by_class = loaded.budgets[0].by_class.astype({"kid": float})
    seven = by_class["class"] == "7"
    by_class.loc[seven, ["kid", "recall", "spread"]] = [[18.0, 0.1 + 0.1 * r, 0.1] for r in range(4)]
    by_class.loc[seven, "spread_real"] = 0.4
    by_class.loc[by_class["class"] == "3", ["kid", "spread_real"]] = np.nan  # one real image has no spread
    table = classes_to_heat(loaded, replace(loaded.budgets[0], by_class=by_class))
    rows = dict(table.rows)
    measures = ("KID", "precision", "recall", "spread")
    assert table.columns == [label for measure in measures for label in (measure, f"{measure}, real")]
    assert [cell.text for cell in rows["7"]] == ["18.0", "-0.1", "0.80", "0.90", "0.25", "0.95", "0.10", "0.40"]
    assert [cell.heat for cell in rows["7"]] == [-1.0, 0, -0.1, 0, -0.7, 0, -0.75, 0]
    assert (rows["3"][6].text, rows["3"][6].heat, rows["3"][7].text) == ("0.44", 0, "–")
    assert rows["0"][0].heat == -0.5 and (rows["3"][0].text, rows["3"][0].heat) == ("–", 0)


def test_the_quality_table_has_the_distance_ratio(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    budget = loaded.budgets[0]
    quality = budget.quality.assign(pose_distance_ratio=[0.8, 0.9, 1.0, 0.9])
    rows = quality_to_text(replace(loaded, budgets=[replace(budget, quality=quality)])).set_index("measure")
    assert rows.loc["distance ratio, common pose", "5 a class"] == "0.90 (0.80 to 1.00)"
    assert "1 if nothing was learnt by heart" in rows.loc["distance ratio, common pose", "how to read it"]


def test_rare_classes_have_a_table_of_their_own(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    rows = [
        [5, arm, "real", group, 90.0, 1.0, delta, low, high]
        for arm in ("real", "real+gan")
        for group, delta, low, high in (
            ("rare", 3.0, 1.0, 5.0),
            ("common", -0.5, -1.0, 0.0),
            ("balanced", 1.0, None, None),
        )
    ]
    pd.DataFrame(rows, columns=groups.COLUMNS).to_csv(root / "results/groups.csv", index=False)
    html = render(root, study[1])
    assert "Rare and common classes" in html and "+3.00 (+1.00 to +5.00)" in html
    assert "Rare and common classes" not in render(*study)
