"""What the page says: a shift, a trial, what the arms knew, where it was tuned, how often the test set was opened."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_study import write_json
from rendered import Page, render, section

from pipeline import groups, interactions
from pipeline.ledger import COLUMNS, accuracies_to_key
from pipeline.report import words
from pipeline.report.page import _delta_panels, study_to_page
from pipeline.report.study import load_study
from pipeline.report.summary import study_to_summary
from pipeline.report.text import signed
from pipeline.report.words import information, regime, tuning, warnings, without_gan


@pytest.mark.parametrize(("shift", "said"), [("rotated", "±30 degrees"), ("blurred", "Gaussian"), ("usps", "USPS")])
def test_shifted_test_images_are_said_beside_the_verdict(
    shift: str, said: str, study: tuple[Path, dict[str, Any]], html: str
) -> None:
    loaded = load_study(study[0], [5], study[1])
    shifted = replace(loaded, data=loaded.data | {"shift": shift})
    page, plain = study_to_page(shifted), replace(loaded, data=loaded.data | {"shift": "none"})
    for text in (
        page.split('class="cards"')[0],
        section(page, "data"),
        study_to_summary(shifted).split("## Deltas")[0],
    ):
        assert "Tested under a shift: " in text and said in text
    for text in (html, study_to_page(plain), study_to_summary(plain)):
        assert "under a shift" not in text


def test_openings_of_the_test_set_are_shown(study: tuple[Path, dict[str, Any]], html: str, tmp_path: Path) -> None:
    assert "Not counted: python -m pipeline.openings does so." in Page(section(html, "reuse")).text  # no ledger here
    root, params = shutil.copytree(study[0], tmp_path / "copy"), study[1]
    primary = {"budget": 5, "arm": "real+gan", "reference": "real", "replicates": 4, "delta": 1.234}
    row = (
        dict.fromkeys(COLUMNS, 0)
        | primary
        | {"date": "2026-01-02 10:00", "commit": "abc", "data": "mnist", "part": "all"}
    )
    rows = [row | {"predictions": "one"}, row | {"predictions": "two", "part": "development"}]
    (root / "docs").mkdir()
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    own = json.loads((root / "results/metrics.json").read_text())["primary"]
    shown = Page(section(render(root, params), "reuse")).text
    assert "the test set of mnist has been opened twice, this study among them. Trials on" in shown
    assert "and leave it shut: 1." in shown
    assert "abc 2026-01-02 10:00 0 0 real+gan against real at 5 +1.23 " in shown
    assert f"this study – 20 relativistic real+gan against real at 5 {signed(own['delta'])} " in shown
    rows.append(row | {"predictions": accuracies_to_key((root / "results/accuracies.csv").read_bytes())})
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    shown = Page(section(render(root, params), "reuse")).text
    assert "has been opened twice, this study among them" in shown and "this study –" not in shown
    by_hand = dict.fromkeys(COLUMNS) | {"predictions": "three", "commit": "none", "date": "2026-01-03", "data": "mnist"}
    pd.DataFrame([*rows, by_hand]).to_csv(root / "docs/openings.csv", index=False)
    assert "none 2026-01-03 – – none – none" in Page(section(render(root, params), "reuse")).text
    pd.DataFrame(rows).to_csv(root / "docs/openings.csv", index=False)
    trial = params | {"data": params["data"] | {"part": "development"}}
    assert "has been opened twice. Trials" in Page(section(render(root, trial), "reuse")).text


def test_a_trial_on_the_development_part_says_so(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    (warning,) = warnings(replace(loaded, data=loaded.data | {"part": "development"}))
    assert warning.startswith("A trial on the development part") and "test set, which nothing was tested on" in warning


def test_what_a_replicate_was_given_is_said() -> None:
    assert regime({"per_class": {"a": 5, "b": 5}, "wrong_labels": 0, "unlabelled": 0}) == []
    lines = regime({"per_class": {"a": 500, "b": 20, "c": 10}, "wrong_labels": 7, "unlabelled": 40})
    assert lines[0] == "only some classes are that short: b (20) and c (10); the others have 500."
    assert lines[1].startswith("7 of a replicate's labels are wrong")
    assert lines[2].startswith("each replicate has 40 images without labels")
    assert "Arms with GAN images know them through the GAN" in lines[2]


def test_a_contrast_of_unequal_knowledge_is_marked(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path, split = root / "artifacts/baseline/5/arms.json", root / "artifacts/splits/5.json"
    made = json.loads(path.read_text())
    made["real+pseudo"] = made["real"] | {"name": "real+pseudo", "of": "real", "pseudo": True}
    write_json(path, made)
    write_json(split, json.loads(split.read_text()) | {"unlabelled": 40})
    for name in ("results/accuracies.csv", "artifacts/baseline/5/history.csv"):
        table = pd.read_csv(root / name)
        pd.concat([table, table[table["arm"] == "real"].assign(arm="real+pseudo")]).to_csv(root / name, index=False)
    deltas = pd.read_csv(root / "results/deltas.csv")
    row = deltas[(deltas["arm"] == "real+gan") & (deltas["reference"] == "real")]
    others = [row.assign(reference="real+pseudo", delta=0.25), row.assign(arm="real+pseudo")]
    pd.concat([deltas, *others]).to_csv(root / "results/deltas.csv", index=False)
    loaded = load_study(root, [5], study[1])
    marks = information(loaded)
    assert marks[5, "real+gan", "real"] == marks[5, "real+pseudo", "real"] == "knows more"
    assert (5, "real+gan", "real+pseudo") not in marks and (5, "real+classical", "real") not in marks
    assert set(marks.values()) == {"knows more"}
    titles = [title for title, _ in _delta_panels(loaded, loaded.budgets[0])]
    assert "Against real images with pseudo-labels, which know as much" in titles

    html = render(root, study[1])
    hero, cards = html.split('<div class="hero')[1].split('<div class="cards">')[:2]
    assert "Not on equal terms: real+gan knows unlabelled images" in hero
    fair, unfair = (
        next(card for card in cards.split("</section>") if f"{title}</h3>" in card)
        for title in ("GAN images, against pseudo-labels", "GAN images")
    )
    assert "knows more: not the gain of GAN images alone" in unfair and "knows more" not in fair
    rows = [Page(row).text for row in re.findall("<tr.*?</tr>", section(html, "table"), re.DOTALL)]
    assert sum("knows more" in row for row in rows) == len(marks)
    summary = (root / "report/summary.md").read_text(encoding="utf-8")
    assert "**Not on equal terms" in summary and summary.count("(knows more) |") == len(marks)

    assert information(load_study(study[0], [5], study[1])) == {}
    plain = render(*study)
    assert "knows more" not in plain and "Knows more" not in plain and "Not on equal terms" not in plain


def test_an_uneven_study_says_whose_images_are_few(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/splits/5.json"
    write_json(path, json.loads(path.read_text()) | {"per_class": {"0": 5, "1": 500}})
    rows = [[5, "real+gan", "real", group, 90.0, 1.0, 1.0, 0.5, 1.5] for group in ("rare", "common", "balanced")]
    rows += [[5, "real", "real", *row[3:]] for row in rows]
    pd.DataFrame(rows, columns=groups.COLUMNS).to_csv(root / "results/groups.csv", index=False)
    text = Page(render(root, study[1])).text
    assert "mnist · 5 real images of each rare class ·" in text
    assert "Budget: real training images of each rare class." in text
    assert "The tables have 3 intervals, and none is adjusted for their number" in text
    assert "At 5 real images of each rare class; the oracle" in (root / "report/summary.md").read_text()
    assert "rare class" not in Page(render(*study)).text


@pytest.mark.parametrize(
    ("source", "undrawn", "said"),
    [
        (
            "mnist",
            4000,
            "4,000 training images are never drawn by a study; GAN, classifier and arms were chosen on them.",
        ),
        ("mnist", 50, "chosen on 400 a class of MNIST's training images, and this study may draw some of those."),
        ("folder", 0, "chosen on MNIST's training images, none on images of folder; 0 training images are never drawn"),
    ],
)
def test_what_was_tuned_where(study: tuple[Path, dict[str, Any]], source: str, undrawn: int, said: str) -> None:
    loaded = load_study(study[0], [5], study[1])
    budgets = [replace(loaded.budgets[0], development=undrawn)]
    changed = replace(loaded, data=loaded.data | {"source": source}, budgets=budgets)
    assert said in tuning(changed)
    assert tuning(changed) in Page(section(study_to_page(changed), "method")).text


def test_what_needs_no_gan_stands_beside_the_verdict(study: tuple[Path, dict[str, Any]], html: str) -> None:
    loaded = load_study(study[0], [5], study[1])
    deltas = loaded.deltas.set_index(["arm", "reference"])
    row = deltas.loc[("real+gan", "real+classical")]  # the most accurate arm of the made study without a GAN
    low, high = signed(-row["ci_high"]), signed(-row["ci_low"])
    expected = f"The best arm that needs no GAN, real+classical, is better still: {signed(-row['delta'])} points over "
    expected += f"real+gan ({low} to {high})."
    assert row["verdict"] == "hurts" and row["delta"] < 0 and without_gan(loaded) == expected
    assert expected in Page(html).text.replace("\u00a0", " ")
    assert expected in study_to_summary(loaded).split("## Deltas")[0]
    for verdict, said in (("helps", "is behind"), ("equivalent", "does as well"), ("inconclusive", "may differ")):
        assert said in without_gan(replace(loaded, deltas=loaded.deltas.assign(verdict=verdict)))
    around = loaded.deltas.assign(verdict="inconclusive", ci_low=-9.0, ci_high=9.0)
    assert "cannot be told from it" in without_gan(replace(loaded, deltas=around))
    # The best arm is named where nothing was held against it, too.
    aside = loaded.deltas[loaded.deltas["reference"] != "real+classical"]
    means = loaded.budget_accuracies(5).mean()
    assert without_gan(replace(loaded, deltas=aside)) == (
        f"The best arm that needs no GAN, real+classical, has {means['real+classical']:.2f} %, real+gan "
        f"{means['real+gan']:.2f} %; the study does not hold the two against each other."
    )
    alone = loaded.deltas.assign(ci_low=float("nan"), ci_high=float("nan"), verdict="descriptive")
    assert "stands beside it" in (said := without_gan(replace(loaded, deltas=alone))) and "(no interval)" in said
    # Nothing to add where the primary reference is that arm, or where the primary arm has no GAN images.
    for arm, reference in (("real+gan+classical", "real+classical"), ("real+classical", "real")):
        primary = replace(loaded.compare.primary, arm=arm, reference=reference)
        assert without_gan(replace(loaded, compare=replace(loaded.compare, primary=primary))) == ""


def test_interactions_are_told_where_there_are_any(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    assert words.interactions(loaded, loaded.budgets[0]) == []
    assert "depend on the distortion" not in study_to_page(loaded)
    row = [5, "gan+sharp", "real+sharp", "real+gan+classical", "real+classical", 0.5, -0.25, 0.75, 0.1, 1.4]
    told = replace(loaded, interactions=pd.DataFrame([row], columns=[*interactions.COLUMNS]))
    (line,) = words.interactions(told, told.budgets[0])
    assert line == (
        "gan+sharp over real+sharp: +0.50 points; real+gan+classical over real+classical: -0.25; a change of +0.75 "
        "(+0.10 to +1.40)."
    )
    assert "a change of +0.75 (+0.10 to +1.40)." in study_to_page(told)
