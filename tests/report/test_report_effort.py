"""Equal effort: steps, images, seconds, and the check of the settings."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from made_study import SKILLS, make_study
from rendered import Page, section

from pipeline.report.effort import budget_to_efforts, fairness
from pipeline.report.page import study_to_page
from pipeline.report.study import load_study
from pipeline.report.words import warnings
from pipeline.stages.stage import write_json
from pipeline.trials import params_to_settings, variant_definitions


def test_every_arm_had_the_same_effort(html: str) -> None:
    shown = section(html, "effort").split("<h3")[0]
    rows = [Page(row).text.strip() for row in re.findall("<tr.*?</tr>", shown, re.DOTALL)][1:]
    by_arm = dict(zip(SKILLS, rows, strict=True))
    assert all(row.startswith(f"{arm} ") and " 25,600 400 " in row for arm, row in by_arm.items())  # 400 x 64
    assert "Bars of one length" in shown and shown.count("width: 100.0%") == len(SKILLS)
    assert by_arm["real+classical"].endswith("64 real, distorted afresh 0.01 4.0")  # seconds: 400 steps of 10 ms
    assert by_arm["real+gan"].endswith("32 real + 32 synthetic 0.01 8.0")
    assert by_arm["gan"].endswith("64 synthetic 0.01 8.0")
    assert "1,000 steps, 10.0 s a replicate, which the other arms do without" in Page(shown).text


def test_equal_terms_are_said_where_they_are(html: str) -> None:
    assert "All arms have the same steps, batch size, schedule and first weights" in Page(section(html, "method")).text


def test_unequal_effort_is_said(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    history, record = loaded.budgets[0].classifier_history, {"milliseconds_per_step_by_arm": {"gan": 30.0}}
    short = replace(loaded.budgets[0], classifier_history=history[(history["arm"] != "gan") | (history["step"] <= 200)])
    runs = [(name, run | record if name == "train_augmented@5" else run) for name, run in loaded.runs]
    unequal = replace(loaded, budgets=[short], runs=runs)
    whole = loaded.budgets[0]
    assert warnings(loaded) == [] and fairness(loaded, whole, budget_to_efforts(loaded, whole)) == "equal"
    (warning,) = warnings(unequal)
    assert "the arms were not trained alike: real 400 steps; " in warning and "; gan 200 steps." in warning
    efforts = {effort.arm: effort for effort in budget_to_efforts(unequal, short)}
    assert (efforts["gan"].steps, efforts["gan"].seen, efforts["gan"].seconds) == (200, 12_800, 6.0)  # its own 30 ms
    assert efforts["real+gan"].seconds == 8.0 and efforts["real+gan"].shared  # its stage's mean
    assert not efforts["gan"].shared


def test_distances_of_its_own_are_told(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/baseline/5/arms.json"
    arms = json.loads(path.read_text())
    arms["real+classical"]["distortion"] = {"rotate": 30.0, "scale": None, "blur": 0.0}
    path.write_text(json.dumps(arms))
    loaded = load_study(root, [5], study[1])
    efforts = {effort.arm: effort for effort in budget_to_efforts(loaded, loaded.budgets[0])}
    assert (efforts["real+classical"].own, efforts["real"].own) == ("rotate 30, blur 0", "")


def test_phases_are_told_one_after_another(study: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = shutil.copytree(study[0], tmp_path / "study")
    path = root / "artifacts/augmented/5/arms.json"
    arms = json.loads(path.read_text())
    halves = [{"steps": 200, "batch": {"gan": 64}}, {"steps": 200, "batch": {"real": 64}}]
    arms["real+gan"]["phases"] = halves
    arms["real+gan+classical"]["phases"] = [{"steps": 400, "batch": {"real": 62.8, "gan": 1.2}}]  # rare classes filled
    write_json(path, arms)
    loaded = load_study(root, [5], study[1])
    assert warnings(loaded) == [], "all saw as many images"
    efforts = {effort.arm: effort for effort in budget_to_efforts(loaded, loaded.budgets[0])}
    assert (efforts["real+gan"].real, efforts["real+gan"].synthetic) == (12_800, 12_800)
    assert (efforts["real+gan+classical"].real, efforts["real+gan+classical"].synthetic) == (25_120, 480)
    shown = Page(section(study_to_page(loaded), "effort")).text
    assert "200 times 64 synthetic, then 200 times 64 real" in shown
    assert "62.8 real + 1.2 synthetic, distorted afresh" in shown


def trial_rows(params: dict[str, Any], accuracies: dict[str, tuple[float, float]], spread: float = 1.0) -> pd.DataFrame:
    """docs/tuning.csv of a study at 5 a class: each arm with its own settings and with twice the steps."""
    rows = []
    for number in range(2):
        settings = params | {"classifier": params["classifier"] | {"steps": (400, 800)[number]}}
        for arm, means in accuracies.items():
            rows += [
                {"budget": 5, "seed": 1}
                | params_to_settings(settings, 5)
                | {"arm": arm, "variant": variant_definitions(params, 5).get(arm, "")}
                | {"replicate": replicate, "accuracy": means[number] + spread * replicate}
                for replicate in range(4)
            ]
    return pd.DataFrame(rows)


def test_the_tuning_check_is_shown_or_its_lack(study: tuple[Path, dict[str, Any]], html: str) -> None:
    assert "Not checked: python -m pipeline.tune" in Page(section(html, "effort")).text  # no file here
    loaded = load_study(study[0], [5], study[1])
    rows = trial_rows(study[1], {"real": (90, 92), "real+gan": (94, 93)})
    checked = replace(loaded, tuning=rows)
    shown = Page(section(study_to_page(checked), "effort")).text
    assert "on 4 fresh subsets, tested on the development part" in shown
    assert "real 91.50 93.50 steps 800 +2.00 ± 0.00" in shown and "real+gan 95.50 94.50 shared –" in shown
    assert "real+gan over real: +4.00\u00a0points there with the settings as they are, +2.00 with each arm" in shown
    assert "a change of −2.00 ± 0.00" in shown
    other = replace(checked, params=study[1] | {"gan": {"recipe": "dcgan", "steps": 7}})
    shown = Page(section(study_to_page(other), "effort")).text
    assert (
        "does not cover these settings: it was measured with gan.recipe relativistic (here dcgan) and gan.steps "
        in shown
    )
    assert "93.50" not in shown and "python -m pipeline.tune --budget 5" in shown


def test_settings_that_do_not_suit_are_warned_of(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    margin = loaded.compare.margin
    assert warnings(loaded) == []  # not checked, and in no regime that the settings were not chosen for

    def warned(gain: float) -> list[str]:
        rows = trial_rows(study[1], {"real": (90, 90 + gain), "real+gan": (94, 94)})
        return warnings(replace(loaded, tuning=rows))

    assert warned(margin - 0.01) == []
    (line,) = warned(margin + 0.1)
    assert line.startswith("At 5 images a class, other settings do better on the development part")
    assert f"real by +{margin + 0.1:.2f} ± 0.00 (steps 800) points" in line and "distortions" not in line
    # Under more blur than the study has, which no arm can have alone.
    rows = trial_rows(study[1], {"real": (90, 90), "real+classical": (94, 94)})
    soft = rows.assign(**{"arms.classical.blur": 0.5})
    soft.loc[soft["arm"] == "real+classical", "accuracy"] += 1
    (line,) = warnings(replace(loaded, tuning=pd.concat([rows, soft])))
    assert "real+classical by +1.00 ± 0.00 (blur 0.5) points" in line
    shared = "distortions and width are for all arms but variants, and set in params.yaml."
    assert f"the best that it can have alone; {shared}" in line
    # A gain whose interval holds 0 is no finding: 0 or 3 by turns has mean 1.5 and error 0.87.
    rows = trial_rows(study[1], {"real": (90, 90), "real+gan": (94, 94)}, spread=0)
    longer = (rows["arm"] == "real") & (rows["classifier.steps"] == 800)
    rows.loc[longer & rows["replicate"].isin([1, 3]), "accuracy"] += 3
    assert warnings(replace(loaded, tuning=rows)) == []


def test_a_regime_that_nobody_checked_is_warned_of(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    data = {**loaded.data, "shift": "blurred"}
    params = study[1] | {"data": study[1]["data"] | {"shift": "blurred"}}
    blurred = replace(loaded, data=data, params=params)
    (line,) = warnings(blurred)
    assert "nobody checked whether the classifier's settings suit this regime" in line
    assert len(warnings(replace(blurred, tuning=trial_rows(study[1], {"real": (90, 90)})))) == 1  # of another regime
    assert warnings(replace(blurred, tuning=trial_rows(params, {"real": (90, 90)}))) == []


def test_arms_at_their_own_best_are_no_unequal_effort(study: tuple[Path, dict[str, Any]]) -> None:
    loaded = load_study(study[0], [5], study[1])
    whole = loaded.budgets[0]
    history, made = whole.classifier_history.copy(), dict(whole.arms)
    history.loc[history["arm"] == "real", "step"] *= 2
    made["real"] = made["real"] | {"phases": [{"steps": 800, "batch": {"real": 64}}]}
    own = [{"arm": "real", "steps": 800}, {"arm": "gan", "label_smoothing": 0.3}]
    longer = replace(
        loaded,
        budgets=[replace(whole, classifier_history=history, arms=made)],
        params=study[1] | {"arms": study[1]["arms"] | {"own_settings": own}},
    )
    unmeasured = "the arms were not trained alike: real 800 steps, else as all; real+classical 400 steps, else as all; "
    assert any(unmeasured in line for line in warnings(longer))
    best = {arm: (90.0, 89.0) for arm in SKILLS} | {"real": (90.0, 92.0)}
    shown = {}
    for name, means in (("tuned", best), ("untuned", best | {"real": (92.0, 90.0)})):
        rows = trial_rows(study[1], means)
        smoother = rows[rows["classifier.steps"] == 400].assign(**{"classifier.label_smoothing": 0.3, "accuracy": 80.0})
        smoother.loc[smoother["arm"] == "gan", "accuracy"] = 95.0
        checked = replace(longer, tuning=pd.concat([rows, smoother]))
        html = study_to_page(checked)
        shown[name] = Page(section(html, "effort")).text
        assert "some have settings of their own" in Page(section(html, "method")).text
        said = [line for line in warnings(checked) if unmeasured in line]
        assert bool(said) == (name == "untuned")
    # Equally many steps are not enough, and settings that change nothing are none.
    for changes, said in (
        ({"learning_rate": 1e-5}, "not trained alike: real a rate of 1e-05; real+classical a rate of 0.01; "),
        ({"dropout": 0.0, "steps": None}, "not trained alike: real dropout 0; real+classical else as all; "),
        ({"steps": 400, "dropout": None}, ""),
    ):
        arms = study[1]["arms"] | {"own_settings": [{"arm": "real"} | changes]}
        same = replace(loaded, params=study[1] | {"arms": arms})
        page, found = Page(section(study_to_page(same), "effort")).text, " ".join(warnings(same))
        assert said in found and ("every arm saw as many images" in page) == (not said) == (not found)
    assert "Each arm was trained with the settings that did best for it" in shown["tuned"]
    assert "Not equal" in shown["untuned"]
    assert "51,200 800 64 real" in shown["tuned"] and "25,600 400 64 synthetic label_smoothing 0.3" in shown["tuned"]
    assert "steps 800 label_smoothing 0.3 has best gains" in shown["tuned"]
    assert "real 91.50 93.50 80.00 steps 800 steps 800 –" in shown["tuned"]
    assert "real 93.50 91.50 80.00 steps 800 shared +2.00 ± 0.00" in shown["untuned"]


def test_settings_at_one_budget_alone_are_said(tmp_path: Path) -> None:
    params = make_study(tmp_path, (2, 20), 3)
    shown = {}
    for name, budgets in (("one", [2]), ("both", [2, 20]), ("other", [5])):
        own = [{"arm": "real", "budget": budget, "dropout": 0.1} for budget in budgets]
        study = load_study(tmp_path, [2, 20], params | {"arms": params["arms"] | {"own_settings": own}})
        shown[name] = Page(section(study_to_page(study), "method")).text, " ".join(warnings(study))
    differ = "Arms have other settings at one number of real images than at another"
    assert "some have settings of their own at 2 images a class (see" in shown["one"][0] and differ in shown["one"][1]
    assert "some have settings of their own (see" in shown["both"][0] and differ not in shown["both"][1]
    assert "All arms have the same steps" in shown["other"][0] and differ not in shown["other"][1]
