"""Settings and distortions that an arm has to itself: what they change, and what they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_study import BUDGET, ROOT, finished_study, verified
from toy_images import bright_corners

from pipeline.classifier.arms import ArmsConfig, Shares
from pipeline.classifier.settings import ClassifierConfig, OwnSettings
from pipeline.files import read_json
from pipeline.images import load_arrays
from pipeline.stages.stage import PARAMS, read_params

SHARED = ClassifierConfig(4, 2, 12, 0.03, 0.01, 0.3, 0.1)
FAR = {"distortion": {"rotate": 60.0, "blur": 0.2}}
VARIANTS = {
    "baseline": [
        {"name": "soft+classical", "of": "real+interpolated", "classical": True},
        {"name": "far", "of": "real+classical", **FAR},
        {"name": "far copies", "of": "real+copies", **FAR},
    ],
    "generated": [{"name": "gan far", "of": "real+gan+classical", **FAR}],
}
OWN = [
    {"arm": "real+classical", "steps": 5, "learning_rate": 0.01},
    {"arm": "gan", "budget": BUDGET, "label_smoothing": 0.3, "batch_size": 8},
    {"arm": "real", "budget": BUDGET + 1, "steps": 4},
    {"arm": "soft+classical", "steps": 4},
]


def test_own_settings_stand_over_the_shared_ones() -> None:
    own = OwnSettings("real", steps=7, dropout=0.0)
    assert own.changes() == {"steps": 7, "dropout": 0.0}
    assert own.over(SHARED) == ClassifierConfig(4, 7, 12, 0.03, 0.01, 0.0, 0.1)
    assert OwnSettings("real").over(SHARED) == SHARED
    with pytest.raises(ValueError, match="steps: must be positive"):
        OwnSettings("real", steps=0).over(SHARED)


def predictions(folder: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    tables = [load_arrays(folder / f"artifacts/{kind}/{BUDGET}/predictions.npz") for kind in ("baseline", "augmented")]
    return tables[0] | tables[1]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same study: with shared settings, with some of their own, and where these are the shared ones."""
    made = {}
    changes: dict[str, dict[str, dict[str, Any]]] = {
        "shared": {},
        "own": {"arms": {"own_settings": OWN}},
        "longer": {"classifier": {"steps": 5, "learning_rate": 0.01}},
        "far": {"arms": {"classical": read_params(ROOT / PARAMS)["arms"]["classical"] | FAR["distortion"]}},
    }
    for name, sections in changes.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = finished_study(folder, bright_corners(30, 1), bright_corners(60, 2), variants=VARIANTS, **sections)
    return made


def test_an_arm_is_trained_with_its_own_settings_and_no_other_is(studies: dict[str, Path]) -> None:
    shared, own, longer = (predictions(studies[name]) for name in ("shared", "own", "longer"))
    assert own.keys() == shared.keys()
    for arm in own:
        same = {name: np.array_equal(own[arm], other[arm]) for name, other in (("shared", shared), ("longer", longer))}
        expected = {"real+classical": "longer"}.get(arm, "shared")
        if arm in ("gan", "soft+classical"):  # with settings that neither of the other studies has
            assert not same["shared"] and not same["longer"], arm
        else:
            assert same[expected], arm


def test_what_each_arm_took_is_written_down(studies: dict[str, Path]) -> None:
    for kind in ("baseline", "augmented"):
        history = pd.read_csv(studies["own"] / f"artifacts/{kind}/{BUDGET}/history.csv")
        last = history.groupby("arm")["step"].max().to_dict()
        made = read_json(studies["own"] / f"artifacts/{kind}/{BUDGET}/arms.json")
        planned = {arm: sum(phase["steps"] for phase in spec["phases"]) for arm, spec in made.items()}
        assert last == planned
        assert all(planned[arm] == {"real+classical": 5, "soft+classical": 4}.get(arm, 2) for arm in planned)
        assert {arm: spec["settings"]["steps"] for arm, spec in made.items()} == planned
        if kind == "augmented":
            assert made["gan"]["phases"] == [{"steps": 2, "batch": {"gan": 8}}]


def test_such_a_study_is_compared_and_verified(
    studies: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(studies["own"])
    deltas = pd.read_csv("results/deltas.csv")
    pairs = set(deltas[["arm", "reference"]].itertuples(index=False, name=None))
    against = {("soft+classical", "real+interpolated"), ("soft+classical", "real+classical")}
    assert pairs >= against | {("real+gan+classical", "soft+classical")}
    status, said = verified(capsys)
    assert status == 0, said


def test_an_arm_is_distorted_as_far_as_it_says_and_no_other_is(
    studies: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    near, far = predictions(studies["shared"]), predictions(studies["far"])
    alike = {"far": "real+classical", "far copies": "real+copies", "gan far": "real+gan+classical"}
    for variant, arm in alike.items():
        assert np.array_equal(near[variant], far[arm]) and np.array_equal(far[variant], far[arm]), variant
        assert not np.array_equal(near[variant], near[arm]), variant
    monkeypatch.chdir(studies["shared"])
    deltas = pd.read_csv("results/deltas.csv")
    pairs = set(deltas[["arm", "reference"]].itertuples(index=False, name=None))
    assert pairs >= {*alike.items(), ("gan far", "far"), ("far copies", "real")}
    assert not pairs & {("gan far", "real+classical"), ("far", "real")}
    changes = pd.read_csv("results/interactions.csv").set_index("arm")
    assert set(changes.index) == {"gan far", "soft+classical"}
    delta, base = (
        deltas.set_index(["arm", "reference"])["delta"][pair]
        for pair in (("gan far", "far"), ("real+gan+classical", "real+classical"))
    )
    assert changes.loc["gan far", "change"] == pytest.approx(delta - base, abs=1e-3)
    assert verified(capsys)[0] == 0


def test_distorted_afresh_is_another_arm(studies: dict[str, Path]) -> None:
    found = predictions(studies["longer"])
    assert not np.array_equal(found["soft+classical"], found["real+interpolated"])


def test_own_settings_may_hold_at_one_budget_alone() -> None:
    def arms(*own: OwnSettings) -> ArmsConfig:
        return ArmsConfig(Shares(0.1, 0.5, 0.5), 1, 1, 0.8, own_settings=own)

    config = arms(OwnSettings("real", 10, steps=7), OwnSettings("real", 20, steps=9), OwnSettings("gan", dropout=0.0))
    assert [config.settings("real", SHARED, budget).steps for budget in (10, 20, 50)] == [7, 9, SHARED.steps]
    assert [config.settings("gan", SHARED, budget).dropout for budget in (10, 50)] == [0, 0]
    for twice in (OwnSettings("real", 10, dropout=0.0), OwnSettings("real", steps=4)):
        with pytest.raises(ValueError, match="real is there twice; name it once, or once for each `budget`"):
            arms(OwnSettings("real", 10, steps=7), twice)
