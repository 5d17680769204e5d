"""What fits every digest and is wrong all the same: planted in a small study, found by making it again, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from small_study import BUDGET, CLASSIFIERS, REPLICATES, Study, copied_study, finished_study, verified
from toy_images import bright_corners

from pipeline import verify
from pipeline.classifier import handmade
from pipeline.classifier.handmade import affine_copies, interpolated
from pipeline.files import read_json
from pipeline.gan.sampling import class_balanced, load_generator
from pipeline.images import LabelledImages, load, load_arrays, save_arrays
from pipeline.pixels import to_tensors
from pipeline.quality.replicate import load_oracle
from pipeline.split import load_split
from pipeline.stages import assess, compare, judge, train_augmented, train_baseline, train_controls, train_gan
from pipeline.stages.stage import PARAMS, Stage, record, write_json

IMAGES, TEST = bright_corners(20, seed=3), bright_corners(6, seed=4)
SOUND = "verify: every number saw what results/provenance.json says"
JUDGED = Path(f"artifacts/judged/{BUDGET}")
SYNTHETIC = Path(f"artifacts/synthetic/{BUDGET}")
BASELINE = Path(f"artifacts/baseline/{BUDGET}")
CHANGES = {
    "split": {"unlabelled_per_class": 2},
    "arms": {"pseudo_confidence": 0.0},
    "controls": {"models": ["knn"]},
    "variants": {
        "baseline": [
            {"name": "fewer", "of": "real+copies", "per_class": 3},
            {"name": "pseudo", "of": "real", "pseudo": True},
            {"name": "turned", "of": "real+copies", "distortion": {"rotate": 90.0}},
        ]
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_study(tmp_path_factory.mktemp("study"), IMAGES, TEST, **CHANGES)


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return copied_study(finished, tmp_path, monkeypatch, **CHANGES)


def found(capsys: pytest.CaptureFixture[str], *starts: str) -> None:
    """`verify` finds as many breaks as `starts`, each with a line of its own that starts so."""
    status, lines = verified(capsys)
    assert status == 1 and lines[-1] == f"verify: {len(starts)} breaks", lines
    assert len(lines) == len(starts) + 1
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=False)), lines


def oracle_says(images: LabelledImages) -> NDArray[np.float32]:
    """The probability that the oracle gives each image's label."""
    probabilities = load_oracle(Path("artifacts/oracle"))(to_tensors(images, "cpu")[0]).softmax(1).detach().numpy()
    sure: NDArray[np.float32] = probabilities[np.arange(len(images)), images.labels]
    return sure


def test_a_sound_study_with_all_there_is_to_make_again(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(capsys) == (0, [SOUND])


# What the params file asks for


def changed_params(study: Study, **changes: dict[str, Any]) -> None:
    """params.yaml as somebody leaves it who changes it after training and does not run `dvc repro`."""
    for section, values in changes.items():
        study.params[section] |= values
    Path("params.yaml").write_text(json.dumps(study.params))


def test_arms_trained_with_other_settings_than_the_params_file_has(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = {"arm": "gan", "budget": BUDGET + 1, "steps": 7}
    changed_params(study, arms={"own_settings": [elsewhere]})
    assert verified(capsys) == (0, [SOUND])
    changed_params(study, arms={"own_settings": [elsewhere | {"budget": BUDGET, "dropout": 0.1}]})
    found(
        capsys,
        f"budget {BUDGET}, arm gan: trained with settings.steps 2, where params.yaml has 7; run `dvc repro`",
    )
    shares = study.params["arms"]["synthetic_share"] | {"interpolated": 0.25}
    changed_params(study, arms={"own_settings": [], "synthetic_share": shares})
    found(
        capsys,
        f"budget {BUDGET}, arm real+interpolated: trained with synthetic_share 0.5, where params.yaml has 0.25; run",
    )
    study.run(*CLASSIFIERS)  # the remedy
    study.run(compare.compare)
    assert verified(capsys) == (0, [SOUND])


def test_arms_under_another_distortion_than_the_params_file_has(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    blur = study.params["arms"]["classical"]["blur"]
    changed_params(study, arms={"classical": study.params["arms"]["classical"] | {"blur": 0.07}})
    status, lines = verified(capsys)
    assert status == 1
    said = [line.split(": ", 1) for line in lines if "augmentation" in line]
    assert {place.removeprefix(f"budget {BUDGET}, arm ") for place, _ in said} == {
        *("real+classical", "real+gan+classical", "convincing"),  # whose batches are distorted
        *("real+copies", "fewer", "turned"),  # whose copies are
    }
    assert {text for _, text in said} == {
        f"trained with augmentation.blur {blur}, where params.yaml has 0.07; run `dvc repro`"
    }


def test_arms_and_gans_that_the_params_file_does_not_ask_for(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    variants = study.params["variants"]["baseline"]
    new = {"name": "new", "of": "real", "classical": True}
    changed_params(study, variants={"baseline": [*variants[1:], new]}, gan={"steps": 3})
    found(
        capsys,
        f"budget {BUDGET}: its GANs had steps 2, where params.yaml has 3; run `dvc repro`",
        f"budget {BUDGET}, arm fewer: it was trained, and params.yaml does not ask for it; run `dvc repro`",
        f"budget {BUDGET}, arm new: params.yaml asks for it, and it was not trained; run `dvc repro`",
    )


# Result files


def test_a_changed_delta(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("results/deltas.csv")
    table = pd.read_csv(path, dtype=str)
    right, table.loc[3, "delta"] = table.loc[3, "delta"], "12.5"
    table.to_csv(path, index=False)
    found(capsys, f"results/deltas.csv: line 5, delta, is 12.5 where the predictions give {right}; run `dvc repro comp")
    study.run(compare.compare)  # the remedy
    assert verified(capsys) == (0, [SOUND])


def test_a_changed_verdict_and_a_changed_metric(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv("results/deltas.csv", dtype=str)
    table["verdict"] = "helps"
    table.to_csv("results/deltas.csv", index=False)
    metrics = read_json(Path("results/metrics.json"))
    metrics["primary"]["delta"] += 1
    write_json(Path("results/metrics.json"), metrics)
    found(capsys, "results/deltas.csv: line 2, verdict, is helps where", "results/metrics.json: primary, delta, is ")


def test_a_row_left_out(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("results/accuracies.csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    found(capsys, "results/accuracies.csv: line ")


def test_a_missing_result_file(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/worth.csv").unlink()
    assert verify.main() == 2
    assert capsys.readouterr().err.startswith("verify: results/worth.csv: no such file; run `dvc repro`")


# Synthetic digits


def keep_what_the_oracle_likes(replicate: int, first: int) -> None:
    """From digit `first` of each class on, put in those of many further ones of which the oracle is surest."""
    path, trained = SYNTHETIC / f"replicate-{replicate}.npz", load_generator(Path(f"artifacts/gan/{BUDGET}"), replicate)
    stored, many = load(path), class_balanced(trained.generator, trained.classes, 60, seed=1)
    sure, pixels = oracle_says(many), stored.pixels.copy()
    for label in range(3):
        places = np.flatnonzero(stored.labels == label)[first:]
        members = np.flatnonzero(many.labels == label)
        pixels[places] = many.pixels[members[np.argsort(-sure[members])[: len(places)]]]
    LabelledImages(pixels, stored.labels, stored.classes).save(path)


def test_an_oracle_filter_after_the_first_digits(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    keep_what_the_oracle_likes(replicate=1, first=5)
    study.run(judge.judge, assess.assess, train_augmented.train_augmented, train_controls.train_controls)
    study.run(compare.compare)  # every digest fits
    found(
        capsys, f"budget {BUDGET}, replicate 1: 3 of 18 synthetic digits are not what its generator makes of their see"
    )


def test_of_very_many_digits_a_sample_is_drawn_again(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "AGAIN", 2 * REPLICATES * 7)  # two latent scales
    note = "verify: of each synthetic set 7 digits of 18, chosen at random, were drawn again"
    assert verified(capsys) == (0, [note, f"{SOUND}, as far as was checked"])
    keep_what_the_oracle_likes(replicate=2, first=0)
    study.run(
        judge.judge, assess.assess, train_augmented.train_augmented, train_controls.train_controls, compare.compare
    )
    status, lines = verified(capsys)
    assert status == 1 and lines[1] == note
    assert lines[0].startswith(f"budget {BUDGET}, replicate 2: 7 of 7 synthetic digits are not what")


# Judgements


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("probabilities", "its digits were not judged by its teacher, as recorded"),
        ("score", "its digits were not scored by its discriminator, as recorded"),
        ("distance", "its digits are not as near to its real subset as the filter `novel` was told"),
    ],
)
def test_what_the_oracle_says_in_place_of_a_judge(
    study: Study, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    path = JUDGED / "replicate-1.npz"
    arrays, sure = load_arrays(path), oracle_says(load(SYNTHETIC / "replicate-1.npz"))
    arrays[name] = np.repeat(sure[:, None], 3, 1) if name == "probabilities" else 2 * sure
    save_arrays(path, **arrays)
    study.run(train_augmented.train_augmented, compare.compare)  # under the digests of the right judges
    found(capsys, f"budget {BUDGET}, replicate 1: {text}")


def test_a_judgement_of_which_nothing_is_recorded(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(JUDGED / "inputs.json", [{}] * REPLICATES)
    starts = [
        f"budget {BUDGET}, replicate {r}: no record names the {judge} that judged its synthetic digits, as arm {arm} as"
        for judge, arm in (("teacher", "agreeing"), ("discriminator", "convincing"))
        for r in range(REPLICATES)
    ]
    # What provenance.json recorded of it is gone, too.
    records = [f"budgets, {BUDGET}, replicates {r}, judged: recorded 2 entries" for r in range(REPLICATES)]
    found(capsys, *starts, *records)
    study.refused(starts[0])


def test_a_judgement_that_is_not_there(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = JUDGED / "replicate-0.npz"
    save_arrays(path, **load_arrays(path) | {"probabilities": np.empty(0, np.float32)})
    assert verify.main() == 2
    error = capsys.readouterr().err
    assert error.startswith(f"verify: {path}: damaged (") and error.count("\n") == 1


# Quality


def other_digits() -> Path:
    """Digits of replicate 0 in place of those of replicate 1."""
    path = SYNTHETIC / "replicate-1.npz"
    shutil.copy(SYNTHETIC / "replicate-0.npz", path)
    return path


def another_oracle() -> Path:
    path = Path("artifacts/oracle/weights.safetensors")
    shutil.copy(f"artifacts/teacher/{BUDGET}/weights-0.safetensors", path)
    return path


def other_training_images() -> Path:
    path = Path("artifacts/data/train.npz")
    LabelledImages(255 - IMAGES.pixels, IMAGES.labels, IMAGES.classes).save(path)
    return path


def another_split() -> Path:
    path = Path(f"artifacts/splits/{BUDGET}.npz")
    arrays = load_arrays(path)
    save_arrays(path, **arrays | {name: arrays[name][[1, 1, 2]] for name in ("subsets", "labels", "unlabelled")})
    return path


@pytest.mark.parametrize(
    ("plant", "replicates", "whats"),
    [
        (other_digits, [1], ["synthetic digits than its generator's"]),
        (another_oracle, [0, 1, 2], ["weights of an oracle than the study's"]),
        (other_training_images, [0, 1, 2], ["training images than the study's", "real images than its GAN was given"]),
        (
            another_split,
            [0],
            ["real images than its GAN was given", "unseen images than those that its GAN was not given"],
        ),
    ],
)
def test_quality_that_was_measured_on_other_files(
    study: Study,
    capsys: pytest.CaptureFixture[str],
    plant: Callable[[], Path],
    replicates: list[int],
    whats: list[str],
) -> None:
    whole = shutil.copytree("artifacts", "before")
    path = plant()
    study.run(assess.assess)
    shutil.copy(Path(whole, path.relative_to("artifacts")), path)
    place = f"budget {BUDGET}, replicate"
    found(capsys, *(f"{place} {r}: its quality was measured with other {what}" for r in replicates for what in whats))
    study.run(assess.assess)  # the remedy
    assert verified(capsys) == (0, [SOUND])


def test_quality_that_stage_assess_did_not_write(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"artifacts/quality/{BUDGET}/quality.csv")
    table = pd.read_csv(path, dtype=str)
    table["exact_copies"] = "0.5"
    table.to_csv(path, index=False)
    found(capsys, f"{path}: is not the file that stage assess wrote; run `dvc repro assess@{BUDGET}`")
    path.with_name("inputs.json").unlink()
    assert verify.main() == 2
    assert capsys.readouterr().err.startswith(f"verify: {path.with_name('inputs.json')}: no such file; run `dvc repro")


# Labels of unlabelled images


def test_true_labels_in_place_of_the_teachers(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path, split = Path(f"artifacts/pseudo/{BUDGET}.npz"), load_split(Path(f"artifacts/splits/{BUDGET}.npz"))
    own, true = load_arrays(path), IMAGES.labels[split.unlabelled]
    save_arrays(path, labels=true, sure=own["sure"])
    study.run(train_gan.train_gan)
    study.rest()
    study.run(compare.compare)  # every digest fits
    status, lines = verified(capsys)
    assert status == 1 and 1 < len(lines) <= 1 + REPLICATES
    assert all("unlabelled images were not labelled by its teacher, as recorded" in line for line in lines[:-1])


def test_images_taken_though_the_teacher_is_not_sure(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.params["arms"]["pseudo_confidence"] = 0.9
    Path("params.yaml").write_text(json.dumps(study.params))
    text = "6 of 6 unlabelled images were not labelled by its teacher, as recorded"
    found(capsys, *(f"budget {BUDGET}, replicate {r}: {text}" for r in range(REPLICATES)))


# Synthetic sets without a GAN


def copies_of_all(real: LabelledImages, *arguments: object) -> LabelledImages:
    """Copies of more images than the subset's."""
    return affine_copies(IMAGES, *arguments)  # type: ignore[arg-type]


def test_copies_of_other_images(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_baseline, "affine_copies", copies_of_all)
    study.run(train_baseline.train_baseline, compare.compare)  # compare cannot know
    text = "it saw other distorted copies than its real subset and the study's seed give"
    found(
        capsys,
        *(
            f"budget {BUDGET}, replicate {r}, arm {arm}: {text}"
            for arm in ("real+copies", "fewer", "turned")
            for r in range(REPLICATES)
        ),
    )
    here = record(Stage("train_baseline", BUDGET, {}, PARAMS), 0)
    path = Path(f"artifacts/runs/train_baseline@{BUDGET}.json")
    write_json(path, here)
    assert verified(capsys)[0] == 1
    write_json(path, here | {"versions": here["versions"] | {"torch": "1.0"}})  # it may have rounded them otherwise
    status, lines = verified(capsys)
    assert status == 0 and lines[1] == f"{SOUND}, as far as was checked"
    assert lines[0] == (
        f"verify: budget {BUDGET}: 9 sets of copies or interpolated images come out otherwise here, but train_baseline "
        "ran with torch 1.0: not counted as breaks"
    )


def test_interpolated_images_of_other_images(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_baseline, "interpolated", lambda real, *rest: interpolated(IMAGES, *rest))
    study.run(train_baseline.train_baseline, compare.compare)
    text = "it saw other interpolated images than its real subset and the study's seed give"
    found(capsys, *(f"budget {BUDGET}, replicate {r}, arm real+interpolated: {text}" for r in range(REPLICATES)))


def test_controls_with_other_copies(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handmade, "affine_copies", copies_of_all)
    study.run(train_controls.train_controls, compare.compare)
    found(
        capsys,
        *(
            f"budget {BUDGET}, control knn/{arm}, replicate {r}: it saw other distorted copies than its real subset and"
            for arm in ("real+copies", "real+copies+gan")
            for r in range(REPLICATES)
        ),
    )


def test_synthetic_images_in_an_arm_of_real_ones(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    own = train_baseline.train_arms

    def with_copies(stage, arms, reals, synthetic, *rest):  # type: ignore[no-untyped-def]
        given = (affine_copies(IMAGES, 4, rest[0].classical, 1), None)
        own(stage, arms, reals, lambda arm, r: given if arm.name == "real" else synthetic(arm, r), *rest)

    monkeypatch.setattr(train_baseline, "train_arms", with_copies)
    study.run(train_baseline.train_baseline)
    study.refused(f"budget {BUDGET}, replicate 0, arm real: its classifier saw synthetic images; its arm takes none")
