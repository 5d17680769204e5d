"""Leaks are planted in a small study, which is then trained on them in earnest; each must be refused, and named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_study import BUDGET, Study, copied_study, finished_study, verified
from toy_images import bright_corners

from pipeline import verify
from pipeline.files import read_json
from pipeline.gan.sampling import class_balanced, load_generator
from pipeline.images import LabelledImages, load, load_arrays, save_arrays
from pipeline.pixels import to_tensors
from pipeline.provenance import array_to_digest, differences, file_to_digest, images_to_digest, seen
from pipeline.quality.replicate import load_oracle
from pipeline.stages import assess, compare, judge, train_augmented, train_baseline, train_gan, train_oracle
from pipeline.stages.stage import write_json

IMAGES = bright_corners(20, seed=3)
TEST = bright_corners(6, seed=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_study(tmp_path_factory.mktemp("study"), IMAGES, TEST)


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return copied_study(finished, tmp_path, monkeypatch)


TEACHERS = Path(f"artifacts/teacher/{BUDGET}")


def subsets() -> np.ndarray:  # type: ignore[type-arg]
    return load_arrays(Path(f"artifacts/splits/{BUDGET}.npz"))["subsets"]


def test_a_sound_study_is_recorded_and_verified(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = read_json(Path("results/provenance.json"))
    assert recorded["data"]["training_images"] == images_to_digest(IMAGES) == recorded["oracle"]["real"]
    replicate = recorded["budgets"][str(BUDGET)]["replicates"][1]
    assert replicate["teacher"] == replicate["real"]
    assert replicate["real"] == images_to_digest(IMAGES.subset(subsets()[1]))
    # What made the digits that an arm saw, and what judged them.
    made = {"teacher", "teacher_weights", "gan", "generator", "discriminator", "judged"}
    assert set(replicate) == {"real", "synthetic"} | made
    assert replicate["gan"] == replicate["real"]
    files = {"generator": "gan", "discriminator": "gan", "teacher_weights": "teacher"}
    for name, kind in files.items():
        file = "weights" if kind == "teacher" else name
        assert replicate[name] == file_to_digest(Path(f"artifacts/{kind}/{BUDGET}/{file}-1.safetensors"))
    assert replicate["judged"] == {"teacher": replicate["teacher_weights"], "discriminator": replicate["discriminator"]}
    arm = recorded["budgets"][str(BUDGET)]["arms"]["real+gan+classical"][1]
    assert set(arm) == {"real", "synthetic", "test_pixels", "predictions"}
    assert (arm["real"], arm["synthetic"]) == (replicate["real"], replicate["synthetic"])
    assert "real" not in recorded["budgets"][str(BUDGET)]["arms"]["gan"][1]
    assert verified(capsys) == (0, ["verify: every number saw what results/provenance.json says"])


# Leaks, planted before the training


def test_a_test_image_among_the_training_images(study: Study) -> None:
    victim = int(subsets()[1][3])
    pixels = IMAGES.pixels.copy()
    pixels[victim] = TEST.pixels[5]
    study.data(LabelledImages(pixels, IMAGES.labels, IMAGES.classes), TEST)
    study.run(train_oracle.train_oracle, train_gan.train_gan)
    study.rest()
    study.refused(f"budget {BUDGET}: training image {victim} of replicate 1 is test image 5")


def test_a_duplicate_image_in_two_subsets(study: Study) -> None:
    one, other = int(subsets()[0][2]), int(subsets()[2][4])
    pixels = IMAGES.pixels.copy()
    pixels[other] = pixels[one]
    study.data(LabelledImages(pixels, IMAGES.labels, IMAGES.classes), TEST)
    study.run(train_oracle.train_oracle, train_gan.train_gan)
    study.rest()
    study.refused(f"training image {other} of replicate 2 is training image {one} of replicate 0")


def test_a_duplicate_of_the_development_part(study: Study) -> None:
    development = load_arrays(Path(f"artifacts/splits/{BUDGET}.npz"))["development"]
    copy = int(subsets()[0][1])
    pixels = IMAGES.pixels.copy()
    pixels[copy] = pixels[development[3]]
    study.data(LabelledImages(pixels, IMAGES.labels, IMAGES.classes), TEST)
    study.run(train_oracle.train_oracle, train_gan.train_gan)
    study.rest()
    study.refused(f"training image {copy} of replicate 0 is image {development[3]} of the development part")


def test_one_image_in_two_subsets_by_its_index(study: Study) -> None:
    path = Path(f"artifacts/splits/{BUDGET}.npz")
    arrays = load_arrays(path)
    arrays["subsets"][1][0] = arrays["subsets"][0][0]
    save_arrays(path, **arrays)
    study.refused(f"training image {arrays['subsets'][0][0]} is in two subsets")


def test_a_gan_trained_on_the_subset_of_another_replicate(study: Study) -> None:
    path = Path(f"artifacts/splits/{BUDGET}.npz")
    right = load_arrays(path)
    save_arrays(path, **right | {name: right[name][[1, 1, 2]] for name in ("subsets", "labels", "unlabelled")})
    study.run(train_gan.train_gan)  # replicate 0 on the images of replicate 1
    save_arrays(path, **right)
    study.rest()
    study.refused(f"budget {BUDGET}, replicate 0: its GAN saw the real subset of replicate 1")


def test_a_classifier_trained_on_more_than_its_subset(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    more = [IMAGES.subset(np.append(indices, 0)) for indices in subsets()]
    monkeypatch.setattr(train_baseline, "load_reals", lambda *_: (more, more))
    study.run(train_baseline.train_baseline)
    study.refused(f"budget {BUDGET}, replicate 0, arm real: its classifier saw images ", "no subset", "breaks")


def filter_by_the_oracle() -> None:
    """Of many digits of replicate 0, keep in each class those of which the oracle is surest."""
    trained = load_generator(Path(f"artifacts/gan/{BUDGET}"), 0)
    many = class_balanced(trained.generator, trained.classes, 60, seed=1)
    logits = load_oracle(Path("artifacts/oracle"))(to_tensors(many, "cpu")[0])
    sure = logits.softmax(1).detach().numpy()[np.arange(len(many)), many.labels]
    order = [np.flatnonzero(many.labels == k)[np.argsort(-sure[many.labels == k])[:6]] for k in range(3)]
    many.subset(np.concatenate(order)).save(Path(f"artifacts/synthetic/{BUDGET}/replicate-0.npz"))


def test_a_filter_that_used_the_oracle_and_says_so(study: Study) -> None:
    records = read_json(TEACHERS / "inputs.json")
    records[0]["real"] = read_json(Path("artifacts/oracle/inputs.json"))[0]["real"]
    write_json(TEACHERS / "inputs.json", records)
    study.refused("replicate 0: the teacher that filters or reads its images saw all training images, as the oracle")


def test_a_filter_by_the_oracle_in_the_place_of_the_teacher(study: Study) -> None:
    own = (TEACHERS / "weights-0.safetensors").read_bytes()
    shutil.copy("artifacts/oracle/weights.safetensors", TEACHERS / "weights-0.safetensors")
    study.run(judge.judge, train_augmented.train_augmented)
    (TEACHERS / "weights-0.safetensors").write_bytes(own)
    study.refused("replicate 0: its synthetic digits were judged by another teacher than its own")


def test_a_judgement_that_no_teacher_gave_is_found_by_judging_again(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(f"artifacts/judged/{BUDGET}/replicate-1.npz")
    arrays = load_arrays(path)
    arrays["probabilities"] = arrays["probabilities"][:, ::-1].copy()
    save_arrays(path, **arrays)
    study.run(train_augmented.train_augmented, compare.compare)  # every digest fits
    status, lines = verified(capsys)
    assert status == 1 and len(lines) == 2
    assert lines[0] == f"budget {BUDGET}, replicate 1: its digits were not judged by its teacher, as recorded"


def test_digits_put_in_at_another_latent_scale_are_found_by_drawing_again(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(f"artifacts/synthetic/{BUDGET}")
    shutil.copy(folder / "replicate-1-scale-0.7.npz", folder / "replicate-2-scale-0.7.npz")
    study.run(train_augmented.train_augmented, compare.compare)  # every digest fits
    status, lines = verified(capsys)
    assert status == 1 and len(lines) == 2
    assert lines[0].startswith(f"budget {BUDGET}, replicate 2, latent scale 0.7: 18 of 18 synthetic digits")


def test_a_set_of_other_sizes_is_found_by_drawing_again(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"artifacts/synthetic/{BUDGET}/replicate-0.npz")
    whole = load(path)
    whole.subset(np.arange(1, len(whole))).save(path)
    study.run(judge.judge, train_augmented.train_augmented, compare.compare)
    status, lines = verified(capsys)
    assert status == 1
    assert f"budget {BUDGET}, replicate 0: its synthetic digits are not 6 of each class, class by class" in lines


def test_a_filter_that_says_nothing_is_found_by_drawing_again(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    filter_by_the_oracle()
    study.run(judge.judge, assess.assess, train_augmented.train_augmented, compare.compare)  # every digest fits
    status, lines = verified(capsys)
    assert status == 1 and len(lines) == 2
    assert f"budget {BUDGET}, replicate 0: " in lines[0] and "a filter that no record names" in lines[0]


def test_synthetic_digits_of_another_replicate(study: Study) -> None:
    folder = Path(f"artifacts/synthetic/{BUDGET}")
    shutil.copy(folder / "replicate-1.npz", folder / "replicate-0.npz")
    study.refused("replicate 0, arm real+gan: its classifier saw other synthetic digits than its replicate's")


def test_a_generator_swapped_after_its_digits_were_drawn(study: Study) -> None:
    folder = Path(f"artifacts/gan/{BUDGET}")
    shutil.copy(folder / "generator-1.safetensors", folder / "generator-0.safetensors")
    study.refused("replicate 0: its synthetic digits come from another generator than its GAN's")


def test_predictions_of_other_images_than_the_test_images(study: Study) -> None:
    save_arrays(Path("artifacts/data/test_images.npz"), pixels=TEST.pixels[::-1].copy())
    study.refused("replicate 0, arm real: it predicted other images than the test images")


def test_a_replicate_too_few(study: Study) -> None:
    path = Path(f"artifacts/gan/{BUDGET}/inputs.json")
    write_json(path, read_json(path)[:-1])
    study.refused(f"budget {BUDGET}: a GAN for 2 replicates, but the split has 3")


# Breaks, found by verify


def test_verify_names_what_was_changed_after_the_comparison(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"artifacts/augmented/{BUDGET}/predictions.npz")
    arrays = load_arrays(path)
    arrays["real+gan"][2][0] = (arrays["real+gan"][2][0] + 1) % 3
    save_arrays(path, **arrays)
    status, lines = verified(capsys)
    assert status == 1 and len(lines) == 2
    assert lines[0].startswith(f"budgets, {BUDGET}, arms, real+gan 2, predictions: recorded ")
    assert lines[1] == "verify: 1 breaks"


def test_verify_names_changed_test_labels(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    labels = TEST.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    save_arrays(Path("artifacts/data/test_labels.npz"), labels=labels)
    status, lines = verified(capsys)
    assert status == 1
    assert lines[0].startswith("data, test_labels: recorded ")


def test_verify_gives_a_line_for_each_leak(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"artifacts/gan/{BUDGET}/inputs.json")
    write_json(path, read_json(path)[1:] + read_json(path)[:1])
    status, lines = verified(capsys)
    assert status == 1
    assert lines[:3] == [
        f"budget {BUDGET}, replicate {r}: its GAN saw the real subset of replicate {(r + 1) % 3}" for r in range(3)
    ]
    recorded = [f"budgets, {BUDGET}, replicates {r}, gan: recorded " for r in range(3)]  # what it says of each GAN
    assert len(lines) == 7 and all(map(str.startswith, lines[3:6], recorded))


@pytest.mark.parametrize(("name", "kind"), [("discriminator", "gan"), ("weights", "teacher")])
def test_verify_names_a_judge_that_was_swapped_after_the_comparison(
    name: str, kind: str, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(f"artifacts/{kind}/{BUDGET}")
    shutil.copy(folder / f"{name}-0.safetensors", folder / f"{name}-2.safetensors")
    status, lines = verified(capsys)
    entry = "teacher_weights" if kind == "teacher" else name
    assert status == 1
    assert any(line.startswith(f"budgets, {BUDGET}, replicates 2, {entry}: recorded ") for line in lines)


def test_verify_says_what_is_missing(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    Path(f"artifacts/gan/{BUDGET}/generator-1.safetensors").unlink()
    assert verify.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("verify: ") and "generator-1.safetensors: no such file" in error and error.count("\n") == 1


# The arithmetic


def test_a_digest_changes_with_all_that_it_stands_for() -> None:
    images = bright_corners(2, seed=0)
    other_pixels = images.pixels.copy()
    other_pixels[0, 0, 0, 0] ^= 1
    variants = [
        images,
        LabelledImages(other_pixels, images.labels, images.classes),
        LabelledImages(images.pixels, (images.labels + 1) % 3, images.classes),
        LabelledImages(images.pixels, images.labels, ("a", "b", "d")),
        images.subset(np.arange(6)[::-1]),
        images.subset(np.arange(5)),
    ]
    assert len({images_to_digest(variant) for variant in variants}) == len(variants)
    assert images_to_digest(images.subset(np.arange(6))) == images_to_digest(images)
    assert array_to_digest(np.array([1, 2], np.uint16)) == array_to_digest(np.array([1, 2], np.int32))
    assert array_to_digest(np.array([[1, 2]])) != array_to_digest(np.array([1, 2]))


def test_what_a_training_saw_is_found_in_its_arguments() -> None:
    images = bright_corners(2, seed=0)
    assert seen({"real": images, "steps": 3}) == {"real": images_to_digest(images)}
    assert seen({"test_pixels": images.pixels}) == {"test_pixels": array_to_digest(images.pixels)}


def test_differences_name_their_place() -> None:
    stored = {"a": {"b": ["x", "y"]}, "gone": "z"}
    found = {"a": {"b": ["x", "w"]}, "new": "v"}
    assert list(differences(stored, stored)) == []
    assert list(differences(stored, found)) == [
        "a, b 1: recorded y, found w",
        "gone: recorded z, found nothing",
        "new: recorded nothing, found v",
    ]
