"""Real subsets of other kinds than so many clean labels of each class: a small study of each, end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_study import BUDGET, REPLICATES, Study
from toy_images import bright_corners

from pipeline import verify
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load_arrays, save_arrays
from pipeline.provenance import array_to_digest, file_to_digest, images_to_digest
from pipeline.split import load_pseudo_labels, load_split
from pipeline.stages import split, train_baseline, train_teacher
from pipeline.stages.stage import write_json
from pipeline.subsets import draw_subsets, noisy_labels

IMAGES, TEST = bright_corners(40, seed=3), bright_corners(6, seed=4)
SPLIT = Path(f"artifacts/splits/{BUDGET}.npz")
TEACHERS = Path(f"artifacts/teacher/{BUDGET}")


def finished(folder: Path, **changes: dict[str, object]) -> Study:
    study = Study(folder, **changes)
    study.data(IMAGES, TEST)
    study.all()
    assert verify.main() == 0
    return study


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_rare_classes(tmp_path: Path) -> None:
    baseline = [{"name": "natural", "of": "real", "batches": "natural"}]
    baseline += [{"name": "weighted", "of": "real", "batches": "weighted"}]
    finished(
        tmp_path,
        split={"rare_classes": ["b"], "common_per_class": 6},
        variants={"baseline": baseline, "generated": [{"name": "filled", "of": "real+gan", "fill": True}]},
        compare={"primary": {"budget": BUDGET, "arm": "filled", "reference": "real"}},
    )
    for real in load_split(SPLIT).real(IMAGES):
        assert np.bincount(real.labels).tolist() == [6, 2, 6]
    assert read_json(SPLIT.with_suffix(".json"))["per_class"] == {"a": 6, "b": 2, "c": 6}
    phases = {name: arm["phases"] for name, arm in read_json(Path(f"artifacts/augmented/{BUDGET}/arms.json")).items()}
    assert phases["real+gan"] == [{"steps": 2, "batch": {"real": 11, "gan": 1}}]
    # A third of the places beside the real ones is of the rare class; the rest holds real images, too.
    assert phases["filled"] == [{"steps": 2, "batch": {"real": 11.667, "gan": 0.333}}]
    deltas = pd.read_csv("results/deltas.csv")
    pairs = set(zip(deltas["arm"], deltas["reference"], strict=True))
    assert {("filled", "real"), ("filled", "real+gan"), ("weighted", "real"), ("natural", "real")} <= pairs
    said = read_json(Path("results/metrics.json"))["primary"]["sentence"]
    assert said.startswith(f"At {BUDGET} real images of each rare class, filled is ")


def test_wrong_labels_are_what_every_training_saw(tmp_path: Path) -> None:
    finished(tmp_path, split={"label_noise": 0.5})
    drawn = load_split(SPLIT)
    assert ((drawn.labels != IMAGES.labels[drawn.subsets]).sum(axis=1) == 3).all()  # one of two in each class
    recorded = read_json(Path("results/provenance.json"))["budgets"][str(BUDGET)]
    for replicate, real in enumerate(drawn.real(IMAGES)):
        assert recorded["arms"]["real"][replicate]["real"] == images_to_digest(real)
        assert read_json(Path(f"artifacts/gan/{BUDGET}/inputs.json"))[replicate]["real"] == images_to_digest(real)


def test_unlabelled_images_reach_the_gan_with_the_labels_that_the_teacher_reads(tmp_path: Path) -> None:
    finished(
        tmp_path,
        split={"unlabelled_per_class": 5},
        arms={"pseudo_confidence": 0.0},
        variants={"baseline": [{"name": "real+pseudo", "of": "real", "pseudo": True}], "generated": []},
    )
    deltas = pd.read_csv("results/deltas.csv")
    assert set(deltas.loc[deltas["reference"] == "real+pseudo", "arm"]) == {"real+gan", "gan"}  # know as much
    drawn, pseudo = load_split(SPLIT), load_pseudo_labels(Path(f"artifacts/pseudo/{BUDGET}.npz"))
    assert drawn.unlabelled.shape == (REPLICATES, 15) and pseudo.sure.all()
    everything = np.concatenate([drawn.subsets, drawn.unlabelled], axis=1).ravel()
    assert len(np.unique(everything)) == len(everything)
    recorded = read_json(Path("results/provenance.json"))["budgets"][str(BUDGET)]
    for replicate, joined in enumerate(pseudo.join(drawn, IMAGES)):
        assert len(joined) == 3 * BUDGET + 15
        assert joined.labels[3 * BUDGET :].tolist() == pseudo.labels[replicate].tolist()
        digest = images_to_digest(joined)
        assert recorded["arms"]["real+pseudo"][replicate]["real"] == digest
        assert read_json(Path(f"artifacts/gan/{BUDGET}/inputs.json"))[replicate]["real"] == digest
        entry = recorded["replicates"][replicate]
        assert recorded["arms"]["real+gan"][replicate]["real"] == entry["real"] == entry["teacher"] != digest
        assert entry["gan"] == digest
        assert entry["unlabelled"] == array_to_digest(IMAGES.pixels[drawn.unlabelled[replicate]])
        assert entry["teacher_weights"] == file_to_digest(TEACHERS / f"weights-{replicate}.safetensors")


def test_a_teacher_that_read_the_unlabelled_images_of_another_replicate(tmp_path: Path) -> None:
    study = finished(tmp_path, split={"unlabelled_per_class": 5}, arms={"pseudo_confidence": 0.0})
    records = read_json(TEACHERS / "inputs.json")
    records[2]["test_pixels"] = records[0]["test_pixels"]
    write_json(TEACHERS / "inputs.json", records)
    study.refused(f"budget {BUDGET}, replicate 2: its teacher read other unlabelled images than its own")
    write_json(TEACHERS / "inputs.json", records[:2])
    study.refused(f"budget {BUDGET}: a teacher for 2 replicates, but the split has 3")


def test_a_teacher_that_is_not_sure_adds_nothing(tmp_path: Path) -> None:
    study = Study(tmp_path, split={"unlabelled_per_class": 2}, arms={"pseudo_confidence": 0.99})
    study.data(IMAGES, TEST)
    study.run(split.split, train_teacher.train_teacher)
    drawn, pseudo = load_split(SPLIT), load_pseudo_labels(Path(f"artifacts/pseudo/{BUDGET}.npz"))
    assert not pseudo.sure.any()
    for real, joined in zip(drawn.real(IMAGES), pseudo.join(drawn, IMAGES), strict=True):
        assert images_to_digest(real) == images_to_digest(joined)


def test_an_unlabelled_image_of_another_replicate_is_a_leak(tmp_path: Path) -> None:
    study = finished(tmp_path, split={"unlabelled_per_class": 2})
    arrays = load_arrays(SPLIT)
    arrays["unlabelled"][0][0] = arrays["subsets"][1][0]
    save_arrays(SPLIT, **arrays)
    study.refused(f"training image {arrays['subsets'][1][0]} is in two subsets")


# Drawing


def test_labelled_images_come_first_and_no_image_twice() -> None:
    labels, nothing = np.arange(60) % 3, np.empty(0, np.int64)
    plain, none = draw_subsets(labels, nothing, 4, np.array([4, 4, 4]), 0, 2, seed=5)
    assert none.shape == (2, 0)
    drawn, others = draw_subsets(labels, nothing, 4, np.array([4, 4, 4]), 6, 2, seed=5)
    assert np.array_equal(drawn[0], plain[0])  # the first replicate's do not depend on the unlabelled ones
    assert np.bincount(labels[others[0]]).tolist() == [6, 6, 6]
    assert len(np.unique(np.concatenate([drawn.ravel(), others.ravel()]))) == 2 * 30


def test_too_many_common_images_name_their_param() -> None:
    labels, nothing = np.arange(60) % 3, np.empty(0, np.int64)
    text = r"^split.common_per_class: 15 images a class x 2 replicates need 30 of class 0, which has 20"
    with pytest.raises(InputError, match=text):
        draw_subsets(labels, nothing, 2, np.array([15, 2, 15]), 0, 2, seed=5)


def test_an_unknown_rare_class_lists_the_known_ones(tmp_path: Path) -> None:
    study = Study(tmp_path, split={"rare_classes": ["z"]})
    study.data(IMAGES, TEST)
    with pytest.raises(InputError, match=r"split.rare_classes: no class 'z'; the classes are a, b, c"):
        study.run(split.split)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_noise_replaces_a_share_of_each_class_by_other_classes(share: float) -> None:
    labels = np.repeat(np.arange(4), 50)
    noisy = noisy_labels(labels, 4, share, seed=1)
    wrong = noisy != labels
    assert [int(wrong[labels == k].sum()) for k in range(4)] == [round(50 * share)] * 4
    assert set(noisy.tolist()) <= {0, 1, 2, 3}
    assert share == 0 or {*noisy[wrong & (labels == 0)].tolist()} == {1, 2, 3}


@pytest.mark.parametrize("share", [0.04, 0.96])
def test_a_share_that_rounds_to_no_image_is_refused_though_nobody_checked(tmp_path: Path, share: float) -> None:
    variants = {"baseline": [{"name": "odd", "of": "real+copies", "share": share}], "generated": []}
    study = Study(tmp_path, variants=variants)
    study.data(IMAGES, TEST)
    study.run(split.split, train_teacher.train_teacher)
    line = rf"^odd: {share} of a batch of 12 leaves no synthetic or no real image$"
    with pytest.raises(InputError, match=line):
        study.run(train_baseline.train_baseline)
    assert not Path("artifacts/baseline").exists()
