"""The non-neural controls in words and as a table: do GAN images help them, alone and beside distorted copies?"""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.controls import NAMES
from pipeline.report.study import Study
from pipeline.report.tables import deltas_to_text
from pipeline.report.text import between, listed, signed

QUESTIONS = {
    ("real+gan", "real"): "GAN images added to real images",
    ("gan", "real"): "GAN images in place of real images",
    ("real+copies+gan", "real+copies"): "GAN images in place of half of the distorted copies",
}


def section(study: Study) -> dict[str, Any] | None:
    """What the page shows; None where the study has no controls."""
    if study.controls.empty:
        return None
    return {"sentences": sentences(study), "table": controls_to_text(study.controls)}


def sentences(study: Study) -> list[str]:
    """One for each of `QUESTIONS`, at the primary contrast's budget: every model's delta."""
    rows, found = study.controls[study.controls["budget"] == study.compare.primary.budget], []
    for (arm, reference), subject in QUESTIONS.items():
        asked = rows[(rows["arm"] == arm) & (rows["reference"] == reference)].to_dict("records")
        answers = [
            f"{NAMES[row['model']]} {signed(row['delta'])} points ({between(row['ci_low'], row['ci_high'])}, "
            f"{row['verdict']})"
            for row in asked
        ]
        if answers:
            size = study.compare.primary.budget
            found.append(f"{subject}, at {size} real images a class ({arm} against {reference}): {listed(answers)}.")
    return found


def controls_to_text(controls: pd.DataFrame) -> pd.DataFrame:
    """One row a contrast, all cells text; columns model and those of `tables.deltas_to_text`."""
    text = deltas_to_text(controls)
    text.insert(0, "model", controls["model"].map(NAMES).to_numpy())
    return text
