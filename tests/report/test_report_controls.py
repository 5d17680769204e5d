"""Classifiers that are no networks, on the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rendered import Page, section

from pipeline.controls import ARMS as CONTROL_ARMS
from pipeline.controls import controls_to_deltas
from pipeline.report.page import study_to_page
from pipeline.report.study import load_study
from pipeline.report.summary import study_to_summary
from pipeline.report.text import signed, typeset


def test_controls_are_shown_where_there_are_any(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "no networks" not in html and "#controls" not in html
    loaded, rng = load_study(study[0], [5], study[1]), np.random.default_rng(0)
    assert "no networks" not in study_to_summary(loaded)
    labels = rng.integers(0, 10, 200)
    tables = {
        f"{model}/{arm}": np.where(rng.random((4, 200)) < 0.7 + 0.04 * i, labels, (labels + 1) % 10)
        for model in ("knn", "forest")
        for i, arm in enumerate(CONTROL_ARMS)
    }
    deltas = controls_to_deltas({5: tables}, labels, loaded.classes, loaded.compare)
    with_controls = replace(loaded, controls=deltas)
    shown = Page(section(study_to_page(with_controls), "controls"))
    row = deltas[(deltas["model"] == "forest") & (deltas["arm"] == "real+gan")].to_dict("records")[0]
    said = f"random forest {signed(row['delta'])} points ("
    first = f"(real+gan against real): nearest neighbours {signed(deltas['delta'][2])} points ("
    assert typeset(first) in shown.text
    assert typeset(said) in shown.text and said in study_to_summary(with_controls)
    assert shown.text.count("random forest real") == 5  # rows of the table: four arms, and one pair more
