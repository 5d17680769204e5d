"""All that is measured of one replicate: copies are seen as copies, real digits as real, wrong labels as wrong."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from toy_images import bright_corners

from pipeline.batches import class_rounds
from pipeline.classifier.network import Classifier
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, new_classifier, train
from pipeline.errors import InputError
from pipeline.images import LabelledImages, join
from pipeline.quality.assessment import Assessment, _to_controls, images_to_assessment
from pipeline.quality.memorisation import images_to_memorisation
from pipeline.quality.settings import AssessConfig
from pipeline.quality.spread import images_to_spread
from pipeline.seeds import derive

CONFIG = AssessConfig(images=180, neighbours=3, suspects=5)
NUMBERS = {"agreement", "frechet", "frechet_floor", "kid", "kid_floor", "precision", "recall", "density", "coverage"}
NUMBERS |= {"spread", "spread_real", "exact_copies"}
NUMBERS |= {
    f"{view}_{name}"
    for view in ("pose", "pixel")
    for name in ("closer_to_subset", "distance_ratio", "near_copies", "near_unused", "c_t", "c_t_unused")
}


@dataclasses.dataclass(frozen=True)
class Parts:
    """Disjoint toy sets, and an oracle that reads them all rightly."""

    subset: LabelledImages
    unseen: LabelledImages
    others: LabelledImages
    oracle: Classifier

    def assess(self, synthetic: LabelledImages, config: AssessConfig = CONFIG, seed: int = 1) -> Assessment:
        return images_to_assessment(synthetic, self.subset, self.unseen, self.oracle, config, seed)


@pytest.fixture(scope="module")
def parts() -> Parts:
    subset, unseen, others = (bright_corners(count, seed) for count, seed in ((12, 2), (90, 3), (60, 4)))
    config = ClassifierConfig(
        width=4, steps=80, batch_size=24, learning_rate=0.01, weight_decay=0.0, dropout=0.0, label_smoothing=0.0
    )
    material = Material(unseen, None, None, 0.5)
    oracle = new_classifier(material, config, 1, torch.device("cpu"))
    list(train(oracle, material, config, 1))
    return Parts(subset, unseen, others, oracle)


def test_other_real_images_look_real(parts: Parts) -> None:
    result = parts.assess(parts.others)
    assert result.numbers.keys() == NUMBERS
    assert result.numbers["agreement"] == 100
    assert result.numbers["exact_copies"] == 0
    assert result.numbers["frechet"] < 3 * result.numbers["frechet_floor"]
    assert result.numbers["precision"] > 0.8
    assert result.numbers["coverage"] > 0.8
    assert 0.25 < result.numbers["pixel_closer_to_subset"] < 0.75
    assert result.numbers["pixel_distance_ratio"] == pytest.approx(1, abs=0.1)
    assert result.numbers["spread"] == pytest.approx(result.numbers["spread_real"], rel=0.1)


def test_copies_of_the_subset_are_seen(parts: Parts) -> None:
    result = parts.assess(join([parts.subset, parts.others.subset(np.arange(36))]))
    assert result.numbers["exact_copies"] == len(parts.subset) == 36
    copied = parts.assess(parts.subset).numbers
    assert copied["pixel_closer_to_subset"] == 1
    assert copied["pixel_distance_ratio"] < 1e-3 and copied["pose_distance_ratio"] < 1e-3
    assert result.distance == pytest.approx(np.zeros(5), abs=1e-6)
    assert (result.distance_unused > 0.01).all()
    assert np.array_equal(result.synthetic, result.real)
    assert result.unused.shape == result.real.shape
    assert all(any(np.array_equal(image, other) for other in parts.unseen.pixels) for image in result.unused)
    assert result.synthetic.shape == (5, 1, 8, 8)


@dataclasses.dataclass(frozen=True)
class Uneven:
    """A GAN was given 2 images of class a, 12 of b and 12 of c; its digits copy every one of b and c."""

    subset: LabelledImages
    synthetic: LabelledImages
    result: Assessment


@pytest.fixture(scope="module")
def uneven(parts: Parts) -> Uneven:
    labels = parts.subset.labels
    subset = parts.subset.subset(np.sort(np.concatenate([np.flatnonzero(labels == 0)[:2], np.flatnonzero(labels > 0)])))
    copied = subset.subset(np.flatnonzero(subset.labels > 0))
    synthetic = join([copied, parts.others])
    config = dataclasses.replace(CONFIG, suspects=len(copied))
    return Uneven(subset, synthetic, dataclasses.replace(parts, subset=subset).assess(synthetic, config))


def test_copies_of_every_image_of_uneven_classes_are_counted(uneven: Uneven) -> None:
    assert uneven.result.numbers["exact_copies"] == 24  # with two a class, as many as are of class a, it would be 4


def test_suspects_of_uneven_classes_stand_beside_the_images_that_they_copy(parts: Parts, uneven: Uneven) -> None:
    result = uneven.result
    assert np.array_equal(result.synthetic, result.real)  # all 24, each beside its own original
    assert {image.tobytes() for image in result.real} == {
        image.tobytes() for image in uneven.subset.pixels[uneven.subset.labels > 0]
    }
    assert result.distance == pytest.approx(np.zeros(24), abs=1e-6)
    unseen = {image.tobytes() for image in parts.unseen.pixels}
    assert all(image.tobytes() in unseen for image in result.unused)


def test_suspects_are_held_against_as_many_unseen_images_of_each_class(parts: Parts) -> None:
    labels = parts.unseen.labels
    few = parts.unseen.subset(np.concatenate([np.flatnonzero(labels == label)[:5] for label in range(3)]))
    given = parts.subset.subset(np.flatnonzero((parts.subset.labels != 0) | (np.arange(36) < 6)))  # 2, 12 and 12
    counts = [
        [np.bincount(images.labels, minlength=3).tolist() for images in _to_controls(unseen, given, 2, seed=1)]
        for unseen in (parts.unseen, few)
    ]
    assert counts == [[[2, 2, 2], [0, 10, 10]], [[2, 2, 2], [0, 3, 3]]]
    for unseen in (parts.unseen, few):
        drawn = join(list(_to_controls(unseen, given, 2, seed=1))).pixels
        assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_paired_numbers_of_uneven_classes_are_of_equally_many(parts: Parts, uneven: Uneven) -> None:
    rows = class_rounds(uneven.subset.labels, 2, derive(1, "trained on"))
    controls, _ = _to_controls(parts.unseen, uneven.subset, 2, derive(1, "controls"))
    numbers = images_to_memorisation(
        uneven.synthetic.pixels,
        uneven.subset.pixels[rows],
        controls.pixels,
        cells=(uneven.synthetic.labels, uneven.subset.labels[rows], controls.labels),
    ).numbers
    for view in ("pose", "pixel"):
        for name in ("closer_to_subset", "distance_ratio", "near_copies", "near_unused", "c_t", "c_t_unused"):
            assert uneven.result.numbers[f"{view}_{name}"] == numbers[view][name]


def test_even_classes_are_compared_whole_and_as_before(parts: Parts) -> None:
    """To the byte what was measured when all numbers came of one draw of the subset and one of unseen images."""
    result, count = parts.assess(parts.others), 12
    trained_on, controls = (
        images.subset(class_rounds(images.labels, count, derive(1, name)))
        for images, name in ((parts.subset, "trained on"), (parts.unseen, "controls"))
    )
    before = images_to_memorisation(
        parts.others.pixels,
        trained_on.pixels,
        controls.pixels,
        CONFIG.suspects,
        (parts.others.labels, trained_on.labels, controls.labels),
    )
    for view in ("pose", "pixel"):
        for name in ("closer_to_subset", "distance_ratio", "near_copies", "near_unused", "c_t", "c_t_unused"):
            assert result.numbers[f"{view}_{name}"] == before.numbers[view][name]
    suspects = before.suspects
    assert result.distance.tobytes() == suspects["distance"].to_numpy().tobytes()
    assert result.distance_unused.tobytes() == suspects["distance_unused"].to_numpy().tobytes()
    assert np.array_equal(result.real, trained_on.pixels[suspects["real"]])
    assert np.array_equal(result.unused, controls.pixels[suspects["unused"]])


def test_wrong_labels_are_counted_by_class(parts: Parts) -> None:
    labels = parts.others.labels.copy()
    labels[np.flatnonzero(labels == 1)[:15]] = 2  # 15 of the 60 images of class b pass as c
    result = parts.assess(LabelledImages(parts.others.pixels, labels, parts.others.classes))
    assert result.numbers["agreement"] == pytest.approx(100 * 165 / 180)
    by_class = result.classes.set_index("class")
    assert by_class["synthetic"].to_dict() == {"a": 60, "b": 45, "c": 75}
    assert by_class["agreement"].to_dict() == {"a": 100, "b": 100, "c": 80}
    assert by_class["kid"].idxmax() == "c"  # it holds images of b
    assert by_class["precision"].idxmin() == "c"
    assert (by_class["kid_floor"].abs() < by_class.loc["c", "kid"]).all()


def test_a_class_that_repeats_one_image_has_the_least_recall(parts: Parts) -> None:
    pixels = parts.others.pixels.copy()
    pixels[parts.others.labels == 1] = pixels[parts.others.labels == 1][0]
    by_class = parts.assess(LabelledImages(pixels, parts.others.labels, parts.others.classes)).classes.set_index(
        "class"
    )
    assert by_class.loc["b", "recall"] < 0.2 < by_class["recall"].drop("b").min()
    assert by_class.loc["b", "spread"] == 0
    assert by_class["spread"].drop("b").tolist() == pytest.approx(by_class["spread_real"].drop("b").tolist(), rel=0.15)
    real = images_to_spread(parts.subset.pixels, parts.subset.labels, 3).per_class
    assert by_class["spread_real"].tolist() == real.tolist()
    assert (by_class["recall_real"] > 0.5).all() and (by_class["precision_real"] > 0.5).all()


def test_noise_does_not_look_real(parts: Parts) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, parts.others.pixels.shape, dtype=np.uint8)
    noise, real = (
        parts.assess(LabelledImages(pixels, parts.others.labels, parts.others.classes)),
        parts.assess(parts.others),
    )
    assert noise.numbers["frechet"] > 5 * real.numbers["frechet"]
    assert noise.numbers["precision"] < 0.5
    assert noise.numbers["agreement"] < 60


def test_one_repeated_image_has_no_spread_and_covers_little(parts: Parts) -> None:
    first = np.array([np.flatnonzero(parts.others.labels == label)[0] for label in parts.others.labels])
    numbers = parts.assess(
        LabelledImages(parts.others.pixels[first], parts.others.labels, parts.others.classes)
    ).numbers
    assert numbers["spread"] == 0
    assert numbers["coverage"] < 0.3
    assert numbers["recall"] < 0.3


def test_too_few_images_give_no_frechet_distance_but_all_else(parts: Parts) -> None:
    numbers = parts.assess(parts.others.subset(np.arange(120))).numbers
    assert math.isnan(numbers["frechet"])
    assert math.isnan(numbers["frechet_floor"])
    assert all(math.isfinite(value) for name, value in numbers.items() if not name.startswith("frechet"))


def test_the_same_seed_measures_the_same(parts: Parts) -> None:
    first, again, other = (parts.assess(parts.others, seed=seed) for seed in (1, 1, 2))
    assert first.numbers == again.numbers != other.numbers
    assert first.distance.tobytes() == again.distance.tobytes()


def test_unseen_images_that_the_gan_saw_are_refused(parts: Parts) -> None:
    with pytest.raises(InputError, match="disjoint"):
        images_to_assessment(parts.others, parts.subset, parts.subset, parts.oracle, CONFIG, 1)
