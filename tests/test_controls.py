"""Controls: what each model is trained on, that the same seed gives the same answer, their table, and their leaks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_study import BUDGET, Study, copied_study, finished_study
from toy_images import bright_corners

from pipeline import controls, verify
from pipeline.comparison import differences_to_interval, holm
from pipeline.config import from_mapping
from pipeline.contrasts import Contrast
from pipeline.controls import ARMS, ControlsConfig, controls_to_deltas, first_of_each, shares, train_control
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import LabelledImages, join, load_arrays, save_arrays
from pipeline.stages import compare, train_controls
from pipeline.stages.stage import write_json
from pipeline.verdict import CompareConfig

MODELS = ("knn", "svm", "forest")
CONFIG = ControlsConfig(MODELS, trees=30)


def trained(model: str, real: LabelledImages, test: LabelledImages, seed: int = 1, **sets: Any) -> dict[str, Any]:
    records: list[dict[str, float]] = []
    given = {"copies": None, "interpolated": None, "gan": None, "per_class": 4} | sets
    result = train_control(
        model, CONFIG, real, test_pixels=test.pixels, seed=seed, device="cpu", report=records.append, **given
    )
    assert records == [{"step": 1}]
    return result


@pytest.mark.parametrize("model", MODELS)
def test_each_model_learns(model: Any, toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    result = trained(model, toy, fresh_toy)
    assert result["predictions"].dtype == np.uint16
    assert (result["predictions"] == fresh_toy.labels).mean() > 0.9
    assert np.array_equal(result["predictions"], trained(model, toy, fresh_toy)["predictions"])


@pytest.mark.parametrize("model", MODELS)
def test_synthetic_images_are_trained_on(model: Any, toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    # Synthetic images with wrong labels, far more than real ones, must mislead every model.
    many = bright_corners(60, seed=5)
    wrong = LabelledImages(many.pixels, (many.labels + 1) % 3, many.classes)
    few = toy.subset(np.arange(6))
    misled = trained(model, few, fresh_toy, gan=wrong, per_class=60)["predictions"]
    assert (misled == (fresh_toy.labels + 1) % 3).mean() > 0.8


def test_arms_get_equal_numbers_of_synthetic_images(toy: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[LabelledImages] = []

    class Spy:
        def fit(self, pixels: np.ndarray, labels: np.ndarray) -> Spy:  # type: ignore[type-arg]
            assert pixels.min() >= 0 and pixels.max() <= 1
            images = np.round(255 * pixels).astype(np.uint8).reshape(-1, *toy.shape)
            fitted.append(LabelledImages(images, labels, toy.classes))
            return self

        def predict(self, pixels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
            return np.zeros(len(pixels), np.int64)

    monkeypatch.setattr(controls, "new_model", lambda *_: Spy())
    copies, gan = bright_corners(7, seed=8), bright_corners(9, seed=9)
    for sets in ({"gan": gan}, {"copies": copies}, {"copies": copies, "gan": gan}):
        assert trained("knn", toy, toy, per_class=5, **sets)["trained"] == len(toy) + 15
    control = {"model": "knn", "config": controls.ControlsConfig(("knn",)), "copies": None, "interpolated": None}
    job = {**control, "real": None, "gan": gan, "test_pixels": toy.pixels, "seed": 1}
    alone_too = train_control(**job, per_class=5, device=None, report=lambda _: None)  # type: ignore[arg-type]
    assert alone_too["trained"] == 15
    alone, _, both, generated = fitted
    assert np.array_equal(generated.pixels, first_of_each(gan, 5).pixels)
    assert np.array_equal(alone.pixels, join([toy, first_of_each(gan, 5)]).pixels)
    assert np.array_equal(both.pixels, join([toy, first_of_each(copies, 3), first_of_each(gan, 2)]).pixels)
    assert np.bincount(both.labels).tolist() == [15, 15, 15]


def test_shares_and_first_of_each() -> None:
    assert [shares(5, n) for n in (0, 1, 2, 3)] == [[], [5], [3, 2], [2, 2, 1]]
    images = bright_corners(4, seed=0).subset(np.array([2, 1, 0, 3, 5, 4, 8, 11]))
    assert first_of_each(images, 2).labels.tolist() == [2, 1, 0, 0, 2, 1]
    assert np.array_equal(first_of_each(images, 2).pixels, images.pixels[:6])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["knn", "cnn"]}, r"controls\.models\[1\]: must be one of knn, svm, forest, got 'cnn'"),
        ({"models": ["knn", "knn"]}, "controls.models: each must be named once"),
        ({"models": [], "trees": 0}, "controls.trees: must be positive"),
        ({"models": [], "depth": 3}, "controls.depth: unknown key"),
    ],
)
def test_an_impossible_section_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_mapping(ControlsConfig, change, "controls")


# Their table

COMPARE = CompareConfig(0.5, 0.95, Contrast(5, "real+gan", "real"))


def test_the_table_holds_each_arm_against_its_own_model() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 100)
    tables = {
        budget: {
            f"{model}/{arm}": np.where(rng.random((3, 100)) < 0.6 + 0.05 * i, labels, (labels + 1) % 3)
            for model in ("knn", "svm")
            for i, arm in enumerate(ARMS)
        }
        for budget in (5, 10)
    }
    deltas = controls_to_deltas(tables, labels, ("a", "b", "c"), COMPARE)
    assert deltas.columns.tolist() == controls.COLUMNS
    assert len(deltas) == 2 * 2 * 6
    raw = []
    for row in deltas.to_dict("records"):
        own = tables[row["budget"]]
        right, before = (own[f"{row['model']}/{row[role]}"] == labels for role in ("arm", "reference"))
        d = right.astype(int) - before.astype(int)
        expected, held = differences_to_interval(d, 0.95), differences_to_interval(d, 0.95, held=True)
        assert [row["delta"], row["ci_low"], row["ci_high"]] == pytest.approx([100 * x for x in expected[:3]])
        assert row["accuracy_mean"] == pytest.approx(100 * right.mean())
        raw.append(held.p)
    assert deltas["p_holm"].to_numpy() == pytest.approx(holm(raw))  # one family
    assert set(deltas["verdict"]) <= {"helps", "hurts", "equivalent", "inconclusive"}


def test_without_models_the_table_is_empty_and_with_one_replicate_descriptive() -> None:
    empty = controls_to_deltas({}, np.array([0, 1]), ("a", "b"), COMPARE)
    assert empty.empty and empty.columns.tolist() == controls.COLUMNS
    one = {5: {f"knn/{arm}": np.array([[0, 1]]) for arm in ARMS}}
    assert set(controls_to_deltas(one, np.array([0, 1]), ("a", "b"), COMPARE)["verdict"]) == {"descriptive"}


# A small study with controls, and the leaks that are planted in it

CONTROLS = {"controls": {"models": ["knn", "forest"], "trees": 10}, "arms": {"interpolated_per_class": 5}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_study(
        tmp_path_factory.mktemp("controls"), bright_corners(20, seed=3), bright_corners(6, seed=4), **CONTROLS
    )


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return copied_study(finished, tmp_path, monkeypatch, **CONTROLS)


SAW = Path(f"artifacts/controls/{BUDGET}/inputs.json")


def test_what_controls_saw_is_recorded_and_verified(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    predictions = load_arrays(SAW.with_name("predictions.npz"))
    assert set(predictions) == {f"{model}/{arm}" for model in ("knn", "forest") for arm in ARMS}
    assert all(table.shape == (3, 18) for table in predictions.values())
    recorded = read_json(Path("results/provenance.json"))
    chain = recorded["budgets"][str(BUDGET)]["replicates"]
    for key, table in recorded["controls"][str(BUDGET)].items():
        assert [row.get("real") for row in table] == [own["real"] if "real" in key else None for own in chain]
        assert [row.get("gan") for row in table] == [own["synthetic"] if "gan" in key else None for own in chain]
        assert all(row["test_pixels"] == recorded["data"]["test_images"] for row in table)
    # the very copies that arm real+copies had
    arm = read_json(Path(f"artifacts/baseline/{BUDGET}/inputs.json"))["real+copies"]
    assert [row["copies"] for row in read_json(SAW)["forest/real+copies"]] == [row["synthetic"] for row in arm]
    table = pd.read_csv("results/controls.csv")
    assert table.groupby("model").size().to_dict() == {"forest": 6, "knn": 6}
    assert verify.main() == 0


@pytest.mark.parametrize(
    ("key", "name", "other", "text"),
    [
        ("knn/real", "real", ("knn/real", 1, "real"), "it saw the real subset of replicate 1"),
        ("knn/real+copies", "real", ("knn/real", 0, "test_pixels"), "it saw images of no subset"),
        ("forest/real+gan", "gan", ("forest/real+gan", 2, "gan"), "it saw other synthetic digits than its replicate's"),
        ("forest/real", "gan", ("forest/real+gan", 0, "gan"), "it saw other synthetic digits than its replicate's"),
        ("knn/gan", "real", ("knn/real", 0, "real"), "it saw real images; its arm takes none"),
        ("knn/real", "test_pixels", ("knn/real", 0, "real"), "it predicted other images than the test images"),
    ],
)
def test_a_leak_is_refused(
    key: str, name: str, other: tuple[str, int, str], text: str, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    saw = read_json(SAW)
    saw[key][0][name] = saw[other[0]][other[1]][other[2]]
    write_json(SAW, saw)
    assert verify.main() == 1
    assert text in capsys.readouterr().out
    study.refused(f"budget {BUDGET}, control {key}, replicate 0: {text}")


def test_a_control_trained_on_another_subset_is_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    own = train_controls.load_reals
    monkeypatch.setattr(train_controls, "load_reals", lambda stage: (own(stage)[0][::-1], []))
    study.run(train_controls.train_controls)
    study.refused("control knn/real, replicate 0: it saw the real subset of replicate 2")


def test_too_few_replicates_are_refused(study: Study) -> None:
    saw = read_json(SAW)
    saw["knn/real"].pop()
    write_json(SAW, saw)
    study.refused("control knn/real: trained for 2 replicates, but the split has 3")


def test_changed_predictions_are_found(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = SAW.with_name("predictions.npz")
    tables = load_arrays(path)
    tables["knn/real"][0, 0] = (tables["knn/real"][0, 0] + 1) % 3
    save_arrays(path, **tables)
    assert verify.main() == 1
    assert "controls" in capsys.readouterr().out


def test_a_model_that_was_not_trained_is_named(study: Study) -> None:
    study.params["controls"]["models"] = ["svm"]
    with pytest.raises(InputError, match=r"artifacts/controls/2: no control svm/real; run `dvc repro`"):
        study.run(compare.compare)


def test_no_models_cost_nothing(study: Study) -> None:
    study.params["controls"]["models"] = []
    shutil.rmtree("artifacts/synthetic")  # none of it is read
    study.run(train_controls.train_controls)
    assert load_arrays(SAW.with_name("predictions.npz")) == {} and read_json(SAW) == {}
