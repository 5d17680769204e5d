"""The tuning check: its arithmetic by hand, which studies it covers, and the command on a small real study."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_study import SMALL

from pipeline.adoption import adopt
from pipeline.classifier.arms import ARMS
from pipeline.errors import InputError
from pipeline.report import words
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, processor, read_params
from pipeline.trials import TRIALS, own_settings, params_to_settings, read_trials, variant_definitions
from pipeline.tune import default_changes, params_to_machine, put_in, to_changes, to_trial
from pipeline.tuning import SHARED, can_be_alone, clearly_above, setting_to_text, tuning_check

STEPS = (3000, 1000, 6000)


@pytest.fixture
def params(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(root)  # where conf/gan lies
    values = read_params(PARAMS)
    values["classifier"]["steps"] = STEPS[0]
    return values


def with_classifier(params: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return params | {"classifier": params["classifier"] | changes}


def table(accuracies: dict[str, list[list[float]]], params: dict[str, Any], budget: int = 50) -> pd.DataFrame:
    """Rows as the command writes them. accuracies: of each arm a list of replicates, each a list over `STEPS`."""
    rows = [
        {"budget": budget, "seed": 1}
        | params_to_settings(with_classifier(params, steps=steps), budget)
        | {"arm": arm, "variant": "", "replicate": replicate, "accuracy": value}
        for number, steps in enumerate(STEPS)
        for arm, replicates in accuracies.items()
        for replicate, value in enumerate(values[number] for values in replicates)
    ]
    return pd.DataFrame(rows)


def test_gains_and_changes_by_hand(params: dict[str, Any]) -> None:
    measured = {
        "real": [[92.0, 90.0, 91.0], [92.0, 91.0, 95.0], [92.0, 92.0, 93.0]],  # best 6000 steps: +1 on average
        "real+gan": [[94.0, 95.0, 90.0], [94.0, 93.0, 90.0], [95.0, 94.0, 90.0]],  # best as they are
    }
    check = tuning_check(table(measured, params), params, 50)
    assert (check.differing, check.replicates, check.covers) == ([], 3, True)
    assert [*map(setting_to_text, check.settings)] == [SHARED, "steps 1000", "steps 6000"]
    real, gan = check.arms
    assert real.accuracies == pytest.approx([92, 91, 93]) and real.best == 2
    # -1, +3, +1: mean 1, standard deviation 2
    assert real.gain == pytest.approx((1, 2 / math.sqrt(3)))
    # Best on the others: 6000 (94 to 92), then 92 each, the shared one first, then 6000 (93 to 92): 91, 92, 93.
    assert real.crossed == pytest.approx((0, 1 / math.sqrt(3)))
    assert (gan.best, gan.gain) == (0, (0, 0))
    (contrast,) = check.contrasts
    assert (contrast.arm, contrast.reference) == ("real+gan", "real")
    assert contrast.delta[0] == pytest.approx(7 / 3) and contrast.best == pytest.approx(4 / 3)
    assert contrast.change == pytest.approx((-1, 2 / math.sqrt(3)))
    # real+gan at the best on the others: 94.5 to 93.5; 94.5 each, the shared one first; 94 each, so too: 94, 94, 95.
    # Deltas 3, 2, 2 against 2, 2, 3 with the settings as they are: 1, 0, -1.
    assert contrast.crossed == pytest.approx((0, 1 / math.sqrt(3)))


def test_the_studys_own_settings_come_first_wherever_they_were_measured(params: dict[str, Any]) -> None:
    rows = table({"real": [[1.0, 2.0, 3.0]]}, params)
    check = tuning_check(rows, with_classifier(params, steps=6000), 50)
    assert [*map(setting_to_text, check.settings)] == [SHARED, "steps 3000", "steps 1000"]
    assert check.arms[0].accuracies == [3, 1, 2]


def test_an_arm_with_settings_of_its_own_is_held_against_these(params: dict[str, Any]) -> None:
    measured = {"real": [[92.0, 90.0, 91.0], [92.0, 91.0, 95.0]], "real+gan": [[94.0, 95.0, 90.0], [94.0, 93.0, 90.0]]}
    rows = table(measured, params)

    def with_own(*own: dict[str, Any]) -> dict[str, Any]:
        return params | {"arms": params["arms"] | {"own_settings": list(own)}}

    check = tuning_check(rows, with_own({"arm": "real", "steps": 6000}), 50)
    real, gan = check.arms
    assert (real.own, real.best, real.gain) == (2, 2, (0, 0)) and (gan.own, gan.best) == (0, 0)
    assert check.contrasts[0].delta == pytest.approx((1, 2))  # 94 - 91 and 94 - 95
    assert check.contrasts[0].change == (0, 0)
    # One that changes nothing is the shared one; one that nobody measured is said.
    assert tuning_check(rows, with_own({"arm": "real", "steps": 3000}), 50).arms[0].own == 0
    assert tuning_check(rows, with_own({"arm": "real", "steps": 70}), 50).differing == [
        ("real at", "shared or steps 1000 or steps 6000", "steps 70")
    ]
    assert tuning_check(rows, with_own({"arm": "gan", "steps": 70}), 50).covers  # gan was not measured at all


def test_a_variant_is_known_by_what_defines_it(params: dict[str, Any]) -> None:
    rows = table({"real": [[92.0, 90.0, 91.0]], "half": [[92.0, 95.0, 91.0]]}, params)
    rows.loc[rows["arm"] == "half", "variant"] = "of real+gan, share 0.5"

    def arms(*variants: dict[str, Any]) -> list[str]:
        found = tuning_check(rows, params | {"variants": {"baseline": [], "generated": list(variants)}}, 50)
        return [arm.arm for arm in found.arms]

    assert arms({"name": "half", "of": "real+gan", "share": 0.5}) == ["real", "half"]
    assert arms({"name": "half", "of": "real+gan+classical", "share": 0.5}) == arms() == ["real"]


def test_a_variant_with_distances_of_its_own_is_known_by_these(params: dict[str, Any]) -> None:
    def definition(**distortion: Any) -> str:
        sharp = {"name": "sharp", "of": "real+classical", "distortion": distortion}
        return variant_definitions(params | {"variants": {"baseline": [sharp]}}, 50)["sharp"]

    assert definition(blur=0, rotate=5.0) == "distortion blur 0 rotate 5, of real+classical"
    assert definition(rotate=5, blur=0.0, scale=None) == definition(blur=0, rotate=5.0)
    assert definition(blur=0.1) != definition(blur=0)


def test_what_asks_a_teacher_is_known_by_the_teachers_settings_too(params: dict[str, Any]) -> None:
    own = params["arms"] | {"own_settings": [{"arm": "real+classical", "steps": 70}, {"arm": "real", "steps": 9}]}
    soft, hard = {"name": "soft", "of": "real+gan", "labels": "soft"}, {"name": "few", "of": "real+gan", "per_class": 5}
    asking = params | {"variants": {"baseline": [], "generated": [soft, hard]}}
    moved = "rotate 12, scale 0.12, shear 0.15, translate 0.07, elastic 0.02, elastic_cells 5, blur 0.036"
    rest = f"batch_size 32, learning_rate 0.03, weight_decay 0.01, dropout 0.3, label_smoothing 0.1, {moved}"
    assert variant_definitions(asking, 50) == {
        "soft": f"labels soft, of real+gan, teacher width 24, steps 3000, {rest}",
        "few": "of real+gan, per_class 5",
    }
    teacher = f"width 24, steps 70, {rest}"
    assert variant_definitions(asking | {"arms": own}, 50)["soft"] == f"labels soft, of real+gan, teacher {teacher}"
    # Where it labels images for the GAN, every arm is another under another teacher.
    unlabelled = params | {"split": params["split"] | {"unlabelled_per_class": 5}}
    assert params_to_settings(params | {"arms": own}, 50)["teacher"] is None
    assert params_to_settings(unlabelled | {"arms": own}, 50)["teacher"] == teacher
    rows = table({"real": [[92.0, 90.0, 91.0]]}, unlabelled)
    rows["teacher"] = params_to_settings(unlabelled, 50)["teacher"]  # whatever setting the arms have
    assert tuning_check(rows, unlabelled, 50).covers
    assert [key for key, _, _ in tuning_check(rows, unlabelled | {"arms": own}, 50).differing] == ["teacher"]
    assert tuning_check(rows, unlabelled | {"arms": own}, 50, own={}).differing  # own settings do not hide it


def test_distortions_are_settings_that_no_arm_has_alone(params: dict[str, Any]) -> None:
    rows = table({"real": [[92, 90, 93]], "real+classical": [[95, 94, 96]]}, params)
    soft = rows.assign(**{"arms.classical.blur": 0.07})
    soft.loc[soft["arm"] == "real+classical", "accuracy"] += 2  # batches of real are not distorted
    check = tuning_check(pd.concat([rows, soft]), params, 50)
    assert [*map(setting_to_text, check.settings)] == [
        *(SHARED, "steps 1000", "steps 6000"),
        *("blur 0.07", "steps 1000, blur 0.07", "steps 6000, blur 0.07"),
    ]
    assert [*map(can_be_alone, check.settings)] == [True, True, True, False, False, False]
    real, distorted = check.arms
    assert real.best == real.best_alone == 2  # of two that do as well the one that changes less
    assert (distorted.best, distorted.best_alone, distorted.gain[0]) == (5, 2, 3)
    # The other way round: what blurs is held against what does not.
    classical = params["arms"]["classical"] | {"blur": 0.07}
    blurs = params | {"arms": params["arms"] | {"classical": classical}}
    check = tuning_check(pd.concat([rows, soft]), blurs, 50)
    assert f"blur {params['arms']['classical']['blur']:g}" in map(setting_to_text, check.settings)
    assert check.arms[1].best == check.arms[1].best_alone
    assert not can_be_alone((("classifier.width", 8),)) and can_be_alone((("classifier.dropout", 0.1),))


def test_a_setting_that_lacks_an_arm_of_the_study_is_left_out(params: dict[str, Any]) -> None:
    rows = table({"real": [[92.0, 90.0, 91.0]], "real+gan": [[92.0, 95.0, 91.0]]}, params)
    rows = rows[(rows["arm"] == "real") | (rows["classifier.steps"] != 1000)]
    check = tuning_check(rows, params, 50)
    assert [arm.arm for arm in check.arms] == ["real", "real+gan"]
    assert [*map(setting_to_text, check.settings)] == [SHARED, "steps 6000"] and check.covers
    alone = tuning_check(rows[rows["classifier.steps"] == 3000], params, 50)
    assert alone.arms and not alone.covers  # nothing was tried beside it


def test_what_is_clearly_above() -> None:
    # Student's t for 95 % and 3 degrees of freedom is 3.182.
    assert clearly_above((1, 0.31), 4, 0.25) and not clearly_above((1, 0.32), 4, 0.25)
    assert not clearly_above((0.25, 0), 4, 0.25) and clearly_above((1, 0.32), 5, 0.25)
    assert not clearly_above((9, math.nan), 1, 0.25)


def test_one_replicate_has_no_error(params: dict[str, Any]) -> None:
    check = tuning_check(table({"real": [[1, 2, 3]], "real+gan": [[3, 2, 1]]}, params), params, 50)
    assert check.arms[0].gain[0] == 2 and math.isnan(check.arms[0].gain[1])
    assert all(math.isnan(value) for value in (*check.arms[0].crossed, *check.contrasts[0].crossed))


def test_only_replicates_that_every_setting_has_are_compared(params: dict[str, Any]) -> None:
    rows = table({"real": [[1, 2, 3], [4, 5, 6]], "gan": [[1, 1, 1], [2, 2, 2]]}, params)
    rows = rows[~((rows["classifier.steps"] == 1000) & (rows["replicate"] == 1))]
    check = tuning_check(rows, params, 50)
    assert check.replicates == 1
    assert [(arm.arm, arm.accuracies) for arm in check.arms] == [("real", [1, 2, 3]), ("gan", [1, 1, 1])]


def test_settings_are_compared_on_one_machine(params: dict[str, Any]) -> None:
    here = table({"real": [[1, 2, 3]]}, params).assign(machine="here")
    there = table({"real": [[4, 5, 6]]}, params).assign(machine="there")
    before = table({"real": [[7, 8, 9]]}, params)  # when this was not recorded
    steps = "classifier.steps"
    check = tuning_check(pd.concat([before[before[steps] < 6000], here, there[there[steps] < 6000]]), params, 50)
    assert (check.machine, check.arms[0].accuracies) == ("here", [1, 2, 3])
    assert words.tuned(check)[-1] == "All of it on one machine (here)."
    # One that did not try the study's own settings can tell nothing of them.
    check = tuning_check(pd.concat([before[before[steps] == 3000], here[here[steps] != 3000]]), params, 50)
    assert (check.machine, check.arms[0].accuracies) == ("", [7])
    assert words.tuned(check) == ["On what machine was not recorded."]
    # Of equals the latest; the one asked for, if it tried the study's settings; one that tried what an arm has.
    both = pd.concat([here, there])
    assert tuning_check(both, params, 50).machine == "there"
    assert tuning_check(both, params, 50, machine="here").machine == "here"
    assert tuning_check(both, params, 50, machine="nowhere").machine == "there"
    short = pd.concat([here[here[steps] < 6000], there[there[steps] != 1000]])
    for tried, machine in ((1000, "here"), (6000, "there")):
        assert tuning_check(short, params, 50, {"real": {"steps": tried}}).machine == machine
    # What has more of the study's arms, and more replicates, before what lacks them.
    more = table({"real": [[1, 2, 3]], "gan": [[1, 1, 1]]}, params).assign(machine="more")
    assert tuning_check(pd.concat([more, here]), params, 50).machine == "more"
    longer = table({"real": [[1, 2, 3], [2, 3, 4]]}, params).assign(machine="longer")
    assert tuning_check(pd.concat([longer, here]), params, 50).machine == "longer"


def test_the_machine_is_what_trains(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(**compute: Any) -> str:
        return params_to_machine(params | {"compute": params["compute"] | compute})

    assert machine(device="cpu") == processor()
    assert machine(device="cpu", backend="dask") == "dask CPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    assert machine(device="cuda") == "A GPU"
    assert machine(device="cuda", backend="ray") == "ray CUDA"


def test_nothing_measured_covers_nothing(params: dict[str, Any], tmp_path: Path) -> None:
    check = tuning_check(read_trials(tmp_path / "none.csv"), params, 50)
    assert not check.covers and check.differing == []


def test_another_regime_or_setting_is_named(params: dict[str, Any]) -> None:
    rows = table({"real": [[1, 2, 3]]}, params)

    def differing(**sections: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        check = tuning_check(rows, params | {name: params[name] | new for name, new in sections.items()}, 50)
        assert not check.covers
        return check.differing

    assert differing(data={"shift": "blurred"}) == [("data.shift", "none", "blurred")]
    assert differing(split={"label_noise": 0.2}) == [("split.label_noise", 0, 0.2)]
    assert differing(split={"rare_classes": ["2", "5"]})[0] == ("split.rare_classes", None, "2, 5")
    assert differing(gan={"steps": 7}) == [("gan.steps", params["gan"]["steps"], 7)]
    assert differing(classifier={"steps": 150}) == [("classifier.steps", 3000, 150)]
    assert tuning_check(rows, params, 10).differing == [("budget", 50, 10)]
    older = params | {"arms": {}}  # a param that was not there yet
    assert ("arms.synthetic_share.gan", 0.1, None) in tuning_check(rows, older, 50).differing
    # What a study does not use makes no difference: a folder's channels, common classes, and other things than these.
    unused = params | {
        "data": params["data"] | {"root": "elsewhere", "channels": "colour"},
        "split": params["split"] | {"common_per_class": 7},
        "study": {"seed": 99, "replicates": 3},
        "variants": {},
    }
    assert tuning_check(rows, unused, 50).covers
    # Of several regimes the closest is held against, of equals the latest.
    blurred = params | {"data": params["data"] | {"shift": "blurred"}}
    both = pd.concat([rows, table({"real": [[4, 5, 6]]}, blurred, 10)])
    assert tuning_check(both, blurred, 10).arms[0].accuracies == [4, 5, 6]
    assert tuning_check(both, blurred, 50).differing == [("budget", 10, 50)]


def test_rows_measured_again_take_their_old_places(params: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "tuning.csv"
    rows = table({"real": [[90.0, 91.0, 1 / 3]]}, params)
    put_in(path, rows)
    first = path.read_bytes()
    put_in(path, rows.iloc[:1])
    assert path.read_bytes() == first
    put_in(path, rows.iloc[:1].assign(accuracy=95.0))
    later = table({"real": [[4, 5, 6]]}, params | {"split": params["split"] | {"rare_classes": ["2"]}})
    put_in(path, later.assign(**{"classifier.new": 0.5}))  # a param that was not there before
    whole = pd.read_csv(path)
    assert whole["accuracy"].tolist() == [95, 91, 0.333333, 4, 5, 6]
    assert tuning_check(read_trials(path), params, 50).arms[0].accuracies == [95, 91, 0.333333]


@pytest.mark.parametrize(
    "text", ["", "budget,seed\n1,2\n", "budget,seed,arm,replicate,accuracy\n1,2,real,0,much\n", "a\n1,2\n1,2,3\n"]
)
def test_a_damaged_table_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tuning.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"tuning\.csv: damaged .*; restore it with") as error:
        read_trials(path)
    assert "\n" not in str(error.value)


def test_changes_are_read_from_the_command(params: dict[str, Any]) -> None:
    assert to_changes("steps=500,label_smoothing=0.3") == {"steps": 500, "label_smoothing": 0.3}
    classical = {"rotate": 12.0, "scale": 0.12, "shear": 0.15, "translate": 0.06, "elastic": 0.03, "blur": 0.0}
    tried = default_changes(params | {"arms": params["arms"] | {"classical": classical}})
    assert tried == [
        {"steps": 500},
        {"steps": 1000},
        {"steps": 6000},
        {"learning_rate": 0.015},
        {"learning_rate": 0.06},
        {"rotate": 8.0, "scale": 0.08, "shear": 0.1, "translate": 0.04, "elastic": 0.02},
        {"rotate": 16.0, "scale": 0.16, "shear": 0.2, "translate": 0.08, "elastic": 0.04},
        {"blur": 0.036},  # a pixel of 28
    ]
    soft = default_changes(params | {"arms": params["arms"] | {"classical": classical | {"blur": 0.07}}})
    assert soft == [*tried[:-1], {"blur": 0.0}]
    wild = {"rotate": 150.0, "scale": 0.8, "shear": 0.0, "translate": 0.0, "elastic": 0.0}
    further = default_changes(params | {"arms": params["arms"] | {"classical": wild}})[6]
    assert further == {"rotate": 180.0, "scale": 0.9}  # as far as there is
    to_trial(params, 20, 2, further)
    still = dict.fromkeys(classical, 0.0)
    assert default_changes(params | {"arms": params["arms"] | {"classical": still}}) == [*tried[:5], tried[-1]]
    for text in ("steps", "=3", "steps=3,,"):
        with pytest.raises(InputError, match=r"--set .*: expected KEY=VALUE"):
            to_changes(text)
    trial = to_trial(params, 20, 2, {"steps": 7})
    assert (trial["classifier"]["steps"], trial["data"]["part"]) == (7, "validation")
    assert (trial["study"]["budgets"], trial["compare"]["primary"]["budget"]) == ([20], 20)
    assert params["classifier"]["steps"] == 3000 and params["data"]["part"] == "all"  # not changed beneath the caller
    own = params["arms"] | {"own_settings": [{"arm": "gan", "steps": 9}]}
    trial = to_trial(params | {"arms": own}, 20, 2, {"blur": 0.1, "dropout": 0.5})
    assert (trial["arms"]["classical"]["blur"], trial["classifier"]["dropout"]) == (0.1, 0.5)
    assert trial["arms"]["own_settings"] == [] and params["arms"]["classical"]["blur"] != 0.1
    before_arms = to_trial(params | {"arms": own}, 20, 2)  # the study's own, for teacher, GAN and judges
    assert before_arms["arms"] == own and before_arms["classifier"] == params["classifier"]
    for changes, said in (
        ({"stepz": 7}, "classifier.stepz"),
        ({"steps": "many"}, "classifier.steps"),
        ({"blur": -1}, "arms.classical.blur"),
    ):
        with pytest.raises(InputError, match=said):
            to_trial(params, 20, 2, changes)


def folder_of_small_study(root: Path, folder: Path) -> Path:
    """Params of a small study of MNIST with wrong labels, blurred, in `folder`."""
    values = read_params(root / PARAMS)
    changes = SMALL | {
        "data": {"root": str(root / "datasets"), "shift": "blurred"},
        "split": {"label_noise": 0.5, "development_per_class": 10},
        "variants": {"generated": [{"name": "agreeing", "of": "real+gan", "keep": "agreeing"}]},
        "compute": {"device": "cpu", "workers": 2},
    }
    for section, new in changes.items():
        values[section] |= new
    (folder / PARAMS).write_text(json.dumps(values))
    (folder / "conf").symlink_to(root / "conf")
    return folder


def call(root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.tune", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.timeout(1800)  # some thirty processes, each with its start
def test_the_command_on_a_small_study(root: Path, tmp_path: Path) -> None:
    folder = folder_of_small_study(root, tmp_path)
    before = (folder / PARAMS).read_bytes()
    done = call(root, folder, "--replicates", "2", "--set", "steps=5,learning_rate=0.5", "blur=0.3")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(folder / TRIALS)
    arms = set(found["arm"])
    assert {"real", "real+gan", "agreeing", "gan"} <= arms and len(found) == len(arms) * 2 * 3
    assert set(found["split.label_noise"]) == {0.5} and set(found["data.shift"]) == {"blurred"}
    assert sorted(set(found["classifier.steps"])) == [2, 5] and set(found["classifier.learning_rate"]) > {0.5}
    assert set(found["machine"]) == {processor()}
    # Tested on the development part, 10 images a class: every accuracy is a whole number of them.
    assert np.allclose(found["accuracy"] % 1, 0) and found["accuracy"].between(0, 100).all()
    assert (
        "agreeing" in done.stdout
        and "real+gan over real: " in done.stdout
        and "steps 5, learning_rate 0.5" in done.stdout
    )
    assert (folder / PARAMS).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [".cache", "conf", "docs", "params.yaml"]
    first = (folder / TRIALS).read_bytes()
    adopted = call(root, folder, "--adopt")
    assert adopted.returncode == 0, adopted.stderr
    soft = found["arms.classical.blur"] == 0.3
    tables = [rows.set_index(["arm", "replicate"])["accuracy"] for rows in (found[soft], found[~soft])]
    shared = tables[1][(found[~soft]["classifier.steps"] == 2).to_numpy()]
    changed_by_blur = {str(arm) for arm, _ in shared.index[(tables[0] != shared).to_numpy()]}
    assert changed_by_blur <= {"real+classical", "real+gan+classical", "real+copies"}  # what is distorted
    means = found[~soft].groupby(["arm", "classifier.steps"])["accuracy"].mean().unstack()
    better = {str(arm) for arm in means.index[means[5] > means[2]]}
    own = read_params(folder / PARAMS)["arms"]["own_settings"]
    assert better and {one["arm"] for one in own} == better
    (budget,) = SMALL["study"]["budgets"]
    best = tables[0].groupby("arm").mean() > means.max(axis=1)
    softer = {str(arm) for arm in best.index[best]}
    assert adopted.stdout.count(" does better still with blur 0.3, which no arm can have alone; set") == len(softer)
    assert adopted.stdout.count("tune: ") == len(better) + len(softer) + 2
    assert f"tune: at {budget} a class, chosen among shared; steps 5, learning_rate 0.5\n" in adopted.stdout
    teacher = (
        "keep agreeing, of real+gan, teacher width 4, steps {}, batch_size 12, learning_rate {}, weight_decay 0.01"
    )
    asking = [teacher.format(*own) for own in (("2", "0.03"), ("5", "0.5"))]
    (variant,) = set(found["variant"].dropna())  # in the trial with more blur, too
    assert variant.startswith(asking[0])
    assert all(one == {"arm": one["arm"], "budget": budget, "steps": 5, "learning_rate": 0.5} for one in own)
    again = call(root, folder, "--replicates", "2", "--set", "steps=5,learning_rate=0.5")
    assert again.returncode == 0
    changed = "real+classical" in better  # and with it the teacher, so that the arm that asks it is another
    variants = pd.read_csv(folder / TRIALS)["variant"].dropna().unique()
    assert len(variants) == 1 + changed and all(map(str.startswith, variants, asking))
    if not changed:
        assert (folder / TRIALS).read_bytes() == first


def test_each_budget_gets_the_best_that_was_measured_there(
    params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [arm.name for arm in ARMS]
    better = {10: {"real": [1.0, 3.0, 2.0], "gan": [1.0, 2.0, 3.0]}, 20: {"gan": [2.0, 1.0, 3.0]}}  # over STEPS
    rows = [
        table({arm: [better[budget].get(arm, [3.0, 2.0, 1.0])] * 2 for arm in names}, params, budget)
        for budget in better
    ]
    several = params | {"study": params["study"] | {"budgets": [10, 20, 50]}}
    elsewhere = {"arm": "gan", "budget": 200, "steps": 7}
    several["arms"] = params["arms"] | {"own_settings": [{"arm": "real+copies", "dropout": 0.1}, elsewhere]}
    (tmp_path / "conf").symlink_to(Path("conf").resolve())
    monkeypatch.chdir(tmp_path)
    TRIALS.parent.mkdir()
    pd.concat(rows).to_csv(TRIALS, index=False)
    PARAMS.write_text(json.dumps(several))
    said = adopt(several, None, "")
    assert f"at 10 a class, real: steps {STEPS[1]}" in said and f"at 20 a class, gan: steps {STEPS[2]}" in said
    assert "what arms had of their own at every budget is written down for each of the study's now" in said
    keeps = "at 50 a class (.*); measure it first: python -m pipeline.tune --budget 50; arms keep what they have there"
    assert len([line for line in said if re.search(keeps, line)]) == 1
    assert read_params(PARAMS)["arms"]["own_settings"] == [
        {"arm": "real", "budget": 10, "steps": STEPS[1]},
        {"arm": "gan", "budget": 10, "steps": STEPS[2]},
        {"arm": "gan", "budget": 20, "steps": STEPS[2]},
        {"arm": "real+copies", "budget": 50, "dropout": 0.1},  # as it was
        elsewhere,
    ]
    adopted = read_params(PARAMS)
    assert [own_settings(adopted, budget).get("real") for budget in (10, 20)] == [{"steps": STEPS[1]}, None]
    checks = [tuning_check(read_trials(), adopted, budget) for budget in (10, 20)]
    assert all(check.covers and all(arm.own == arm.best for arm in check.arms) for check in checks)
    before = PARAMS.read_bytes()
    assert adopt(adopted, [20, 20], "")[0].startswith("at 20 a class, chosen among") and PARAMS.read_bytes() == before
    with pytest.raises(InputError, match=r"at 50 a class.*measure it first: python -m pipeline\.tune --budget 50"):
        adopt(several, [10, 50], "")
    with pytest.raises(InputError, match="--budget 77: the study has 10, 20, 50"):
        adopt(several, [10, 77], "")
    assert PARAMS.read_bytes() == before


def test_the_teacher_is_that_of_the_budget(params: dict[str, Any]) -> None:
    own = [{"arm": "real+classical", "budget": 10, "steps": 70}]
    soft = {"name": "soft", "of": "real+gan", "labels": "soft"}
    asking = params | {
        "arms": params["arms"] | {"own_settings": own},
        "variants": {"baseline": [], "generated": [soft]},
        "split": params["split"] | {"unlabelled_per_class": 5},
    }
    for budget, steps in ((10, 70), (50, 3000)):
        teacher = f"teacher width 24, steps {steps}, "
        assert teacher in variant_definitions(asking, budget)["soft"]
        assert params_to_settings(asking, budget)["teacher"].startswith(teacher.removeprefix("teacher "))
        first = to_params(to_trial(asking, budget, 2))  # the teacher's stage has the study's own settings
        assert first.arms.settings("real+classical", first.classifier, budget).steps == steps


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "stepz=3"], "classifier.stepz"),
        (["--set", "steps"], "--set steps: expected KEY=VALUE"),
        (["--budget", "2", "0"], "study.budgets"),
        (["--replicates", "0"], "study.replicates"),
        (["--adopt"], " a class; measure it first: python -m pipeline.tune --budget "),
        (["--adopt", "--set", "steps=3"], "--adopt: takes what was measured"),
        (["--adopt", "--budget", "77"], "--budget 77: the study has "),
    ],
)
def test_a_mistake_is_one_line_and_trains_nothing(arguments: list[str], said: str, root: Path, tmp_path: Path) -> None:
    done = call(root, folder_of_small_study(root, tmp_path), *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / TRIALS).exists() and not (tmp_path / ".cache").exists()


def test_the_committed_table_is_whole(root: Path) -> None:
    rows = read_trials(root / TRIALS)
    keys = [name for name in rows.columns if name != "accuracy"]
    assert not rows.duplicated(keys).any() and rows["accuracy"].between(0, 100).all()
    for _, setting in rows.groupby(
        [name for name in keys if name not in ("arm", "variant", "replicate")], dropna=False
    ):
        assert setting.groupby("arm")["replicate"].nunique().nunique() == 1
