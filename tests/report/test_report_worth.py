"""Worth how many real images, on the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_study import make_study
from rendered import Page, render, section

from pipeline.report.text import typeset
from pipeline.report.worth import interval, sentence, worth_to_text


def test_what_an_arm_is_worth(tmp_path: Path) -> None:
    params = make_study(tmp_path, (2, 8, 20), 3)
    params["compare"]["primary"]["budget"] = 8
    page = Page(html := render(tmp_path, params))
    table = pd.read_csv(tmp_path / "results/worth.csv")
    shown = Page(section(html, "worth"))
    row = table[(table["arm"] == "real+gan") & (table["budget"] == 8)].to_dict("records")[0]
    assert 8 < row["worth"] < 20  # SKILLS
    assert (
        f"real+gan at 8 a class is worth {row['worth']:.{0 if row['worth'] > 9.95 else 1}f} real images" in shown.text
    )
    assert "from 2 to 20 a class" in shown.text
    for shown_row in worth_to_text(table).to_numpy().tolist():
        assert typeset(" ".join(shown_row)).replace("+", "") in shown.text.replace("+", "")
    assert typeset(sentence(row)) in shown.text and "extra" in sentence(row)
    assert len(shown.values("alt")) == 2 and sentence(row) in shown.values("alt")[1]
    assert "#worth" in page.values("href")
    summary = (tmp_path / "report/summary.md").read_text(encoding="utf-8")
    assert sentence(row) in summary.split("## Worth how many real images?")[1]


def test_one_budget_is_no_curve(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "Worth how many" not in html and "#worth" not in html
    assert "Worth how many" not in (study[0] / "report/summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("worth", "said", "more"),
    [
        ((71.2, 58.4, 89.9), "71 real images a class (58 to 90)", "-929 (-942 to -910)"),
        ((7.44, 5.1, 12), "7.4 real images a class (5.1 to 12)", "-993 (-995 to -988)"),
        ((1240, 620, np.inf), "1,240 real images a class (620 to more than 5,000)", "+240 (-380 to more than +4,000)"),
        ((9.96, 0, 90), "10 real images a class (fewer than 5 to 90)", "-990 (less than -995 to -910)"),
        (
            (np.inf, 4000, np.inf),
            "more than 5,000 real images a class (4,000 to more than 5,000)",
            "more than +4,000 (+3,000 to more than +4,000)",
        ),
        ((np.inf, 5000, np.inf), "more than 5,000 real images a class", "more than +4,000"),
        ((0, 0, 5), "fewer than 5 real images a class", "less than -995"),
        ((1003.4, 1000, 1012), "1,003 real images a class (1,000 to 1,012)", "+3.4 (0 to +12)"),
        (
            (60, 0, np.inf),
            "60 real images a class (fewer than 5 to more than 5,000)",
            "-940 (less than -995 to more than +4,000)",
        ),
    ],
)
def test_worth_in_words(worth: tuple[float, float, float], said: str, more: str) -> None:
    row = {"budget": 1000, "arm": "real+gan", "curve_from": 5, "curve_to": 5000}
    row |= dict(zip(("worth", "worth_low", "worth_high"), worth, strict=True))
    assert sentence(row) == f"real+gan at 1,000 a class is worth {said}: {more} extra."
    assert interval(row) in said
