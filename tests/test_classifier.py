"""The classifier: paired starts, the schedule, what it learns, and that the test images are only ever predicted."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.classifier.arms import ARMS, BASELINE_ARMS, GAN_ARMS
from pipeline.classifier.handmade import affine_copies, interpolated
from pipeline.classifier.network import (
    FEATURES,
    Classifier,
    dropout_draw,
    images_to_features,
    images_to_logits,
    uniform_to_mask,
)
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.training import (
    ClassifierConfig,
    Material,
    learning_rate_factor,
    material_to_blocks,
    new_classifier,
    train,
)
from pipeline.distortion import Distortion
from pipeline.feed import one_by_one
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.weights import network_to_arrays

CPU = torch.device("cpu")
CONFIG = ClassifierConfig(
    width=4, steps=12, batch_size=12, learning_rate=0.01, weight_decay=0.01, dropout=0.0, label_smoothing=0.0
)
UNMOVED = Distortion(rotate=0, scale=0, shear=0, translate=0)


def material(real: LabelledImages | None, synthetic: LabelledImages | None = None, **changes: Any) -> Material:
    return Material(**{"real": real, "synthetic": synthetic, "distortion": None, "synthetic_share": 0.5} | changes)


def materials(images: LabelledImages) -> dict[str, Material]:
    """Every arm's material, `images` standing for whatever it is made of."""
    return {
        arm.name: material(
            images if arm.real else None,
            images if arm.synthetic else None,
            distortion=Distortion() if arm.classical else None,
        )
        for arm in ARMS
    }


def trained(images: Material, test: LabelledImages, config: ClassifierConfig = CONFIG, seed: int = 1) -> dict[str, Any]:
    return train_replicate(images, test.pixels, config, seed, CPU, lambda _record: None)


def to_bytes(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 12)])
def test_images_become_features_and_logits(shape: tuple[int, int, int]) -> None:
    network, images = Classifier(shape[0], 7, width=4), torch.rand(5, *shape)
    assert images_to_logits(network, images).shape == (5, 7)
    assert images_to_features(network, images).shape == (5, FEATURES)


def test_what_an_image_is_read_as_depends_on_no_other_image(digits: LabelledImages) -> None:
    network, images = Classifier(1, 10, width=4), to_tensors(digits, CPU)[0]
    network(images)  # in training mode, so that batch norm has statistics of its own
    whole = images_to_logits(network, images)
    torch.testing.assert_close(images_to_logits(network, images, chunk=7), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(images_to_logits(network, images[150:151]), whole[150:151], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        network.linear(images_to_features(network, images, chunk=9)), whole, rtol=1e-4, atol=1e-5
    )


def test_the_learning_rate_rises_over_a_twentieth_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 1000) for step in range(1001)]
    assert factors[0] == pytest.approx(1 / 51)
    assert factors[24] == pytest.approx(25 / 51 * (1 + math.cos(math.pi * 0.024)) / 2)
    assert factors[50] == pytest.approx((1 + math.cos(math.pi * 0.05)) / 2) == pytest.approx(max(factors))
    assert factors[500] == pytest.approx(0.5)
    assert factors[1000] == pytest.approx(0)
    assert (np.diff(factors[:51]) > 0).all()
    assert (np.diff(factors[50:]) < 0).all()
    assert 0 < learning_rate_factor(0, 1) <= 1


def test_the_first_step_is_adams_at_the_first_learning_rate(toy: LabelledImages) -> None:
    # Adam's first step moves a weight by the learning rate, whatever its gradient.
    config = dataclasses.replace(CONFIG, weight_decay=0)
    network = new_classifier(material(toy), config, 1, CPU)
    before = network.linear.weight.detach().clone()
    next(train(network, material(toy), config, 1, every=1))
    moved = (network.linear.weight.detach() - before).abs()
    assert moved.max().item() == pytest.approx(0.01 * learning_rate_factor(0, config.steps), rel=1e-3)


def test_steps_shrink_to_nothing_along_the_schedule(toy: LabelledImages) -> None:
    config = dataclasses.replace(CONFIG, steps=40, weight_decay=0)
    network, moved = new_classifier(material(toy), config, 1, CPU), []
    before = network.linear.weight.detach().clone()
    for _ in train(network, material(toy), config, 1, every=1):
        moved.append((network.linear.weight.detach() - before).abs().max().item())
        before = network.linear.weight.detach().clone()
    assert moved[1] > 1.5 * moved[0], "the rate does not rise"
    assert moved[-1] < 0.02 * max(moved), "the rate does not fall"


def test_dropout_keeps_the_mean_and_comes_from_the_given_draws() -> None:
    state = torch.random.get_rng_state()
    mask = uniform_to_mask(dropout_draw([1000], torch.Generator().manual_seed(1)), 0.25)
    assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (mask == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert mask.shape == (1000, FEATURES)
    assert torch.equal(mask, uniform_to_mask(dropout_draw([1000], torch.Generator().manual_seed(1)), 0.25))
    assert (uniform_to_mask(dropout_draw([9], torch.Generator()), 0.0) == 1).all()
    assert torch.equal(torch.random.get_rng_state(), state), "the global random numbers were disturbed"


def test_weight_decay_dropout_and_label_smoothing_are_used(toy: LabelledImages) -> None:
    plain = trained(material(toy), toy)
    for change in ({"weight_decay": 0.5}, {"dropout": 0.5}, {"label_smoothing": 0.1}):
        other = trained(material(toy), toy, dataclasses.replace(CONFIG, **change))
        assert to_bytes(other["weights"]) != to_bytes(plain["weights"]), change


def test_records_come_every_so_many_steps_and_at_the_end(toy: LabelledImages) -> None:
    def losses(every: int) -> dict[float, float]:
        network = new_classifier(material(toy), CONFIG, 1, CPU)
        return {record["step"]: record["loss"] for record in train(network, material(toy), CONFIG, 1, every)}

    each, some = losses(1), losses(5)
    assert list(each) == list(range(1, 13))
    assert list(some) == [5, 10, 12]
    assert some[10] == pytest.approx(np.mean([each[step] for step in range(6, 11)]), rel=1e-5)
    assert some[12] == pytest.approx(np.mean([each[11], each[12]]), rel=1e-5)
    # before the first step the loss of three classes is near ln 3
    assert each[1] == pytest.approx(math.log(3), abs=0.7)


def test_all_arms_start_from_the_same_weights(toy: LabelledImages) -> None:
    state = torch.random.get_rng_state()
    starts = [to_bytes(network_to_arrays(new_classifier(m, CONFIG, 5, CPU))) for m in materials(toy).values()]
    assert len(starts) == 7
    assert all(start == starts[0] for start in starts)
    assert to_bytes(network_to_arrays(new_classifier(material(toy), CONFIG, 6, CPU))) != starts[0]
    assert torch.equal(torch.random.get_rng_state(), state), "the global random numbers were disturbed"


def test_classical_augmentation_leaves_the_choice_of_images_alone(toy: LabelledImages) -> None:
    # Paired arms see the same images in the same order: distorted by nothing, they have the same losses.
    def losses(distortion: Distortion | None) -> list[float]:
        images = material(toy, distortion=distortion)
        network = new_classifier(images, CONFIG, 1, CPU)
        return [record["loss"] for record in train(network, images, CONFIG, 1, every=1)]

    assert losses(UNMOVED) == pytest.approx(losses(None), rel=1e-3)
    assert losses(Distortion()) != pytest.approx(losses(None), rel=1e-2)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_the_same_seed_gives_the_same_bytes(arm: str, toy: LabelledImages) -> None:
    config = dataclasses.replace(CONFIG, dropout=0.2, label_smoothing=0.1)
    first, again, other = (trained(materials(toy)[arm], toy, config, seed) for seed in (1, 1, 2))
    assert to_bytes(first["weights"]) == to_bytes(again["weights"]) != to_bytes(other["weights"])
    assert first["history"] == again["history"]
    assert first["predictions"].tobytes() == again["predictions"].tobytes()


def test_a_separable_set_is_learnt_wholly(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    config = dataclasses.replace(CONFIG, steps=80)
    result = trained(material(toy), fresh_toy, config)
    assert result["predictions"].dtype == np.uint16
    assert (result["predictions"] == fresh_toy.labels).all()
    assert result["history"][-1]["loss"] < 0.1


def test_labels_of_the_synthetic_half_are_learnt_too(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    # The real half knows no class c, so all that the classifier reads as c it learnt from the synthetic half.
    real, synthetic = toy.subset(toy.labels < 2), toy.subset(toy.labels == 2)
    result = trained(material(real, synthetic), fresh_toy, dataclasses.replace(CONFIG, steps=80))
    assert (result["predictions"] == fresh_toy.labels).all()


def test_training_never_sees_a_test_pixel(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    first = trained(material(toy), fresh_toy)
    inverted = LabelledImages(255 - fresh_toy.pixels, fresh_toy.labels, fresh_toy.classes)
    other = trained(material(toy), inverted)
    assert to_bytes(first["weights"]) == to_bytes(other["weights"])
    assert first["history"] == other["history"]


def test_a_prediction_depends_on_its_own_test_image_only(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    whole = trained(material(toy), fresh_toy)["predictions"]
    assert len(set(whole.tolist())) > 1
    odd = fresh_toy.subset(np.arange(1, len(fresh_toy), 2))
    assert np.array_equal(trained(material(toy), odd)["predictions"], whole[1::2])


def test_a_mixed_batch_is_shared_out(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    def counts(share: float, size: int) -> list[int]:
        shares = material(toy, fresh_toy, synthetic_share=share).shares(size)
        assert [images is whose for (images, _), whose in zip(shares, (toy, fresh_toy), strict=True)] == [True, True]
        return [count for _, count in shares]

    assert counts(0.5, 32) == [16, 16]
    assert counts(0.3, 10) == [7, 3]
    assert counts(0.75, 4) == [1, 3]


def test_an_arm_of_one_source_has_the_whole_batch(toy: LabelledImages) -> None:
    for alone in (material(toy), material(None, toy)):
        ((images, count),) = alone.shares(10)
        assert (images is toy, count) == (True, 10)
    with pytest.raises(ValueError, match="needs real images, synthetic images, or both"):
        material(None, None)


def test_the_arms_are_those_of_the_design() -> None:
    assert {arm.name: (arm.real, arm.synthetic, arm.classical) for arm in ARMS} == {
        "real": (True, None, False),
        "real+classical": (True, None, True),
        "real+copies": (True, "copies", False),
        "real+interpolated": (True, "interpolated", False),
        "real+gan": (True, "gan", False),
        "real+gan+classical": (True, "gan", True),
        "gan": (False, "gan", False),
    }
    assert {*BASELINE_ARMS, *GAN_ARMS} == {*ARMS}
    assert not {*BASELINE_ARMS} & {*GAN_ARMS}
    assert not any("gan" in arm.name for arm in BASELINE_ARMS)


def test_copies_stay_within_their_class(toy: LabelledImages) -> None:
    uneven = toy.subset(np.flatnonzero((toy.labels != 1) | (np.arange(len(toy)) < 6)))  # two of class b
    copies = affine_copies(uneven, 20, UNMOVED, seed=1)
    assert np.bincount(copies.labels).tolist() == [20, 20, 20]
    for label, often in ((0, 2), (1, 10), (2, 2)):
        mine = [image.tobytes() for image in copies.pixels[copies.labels == label]]
        assert {image.tobytes() for image in uneven.pixels[uneven.labels == label]} == set(mine)
        assert {mine.count(image) for image in mine} == {often}, "some images were copied more often than others"


def test_copies_are_distorted_and_fixed_by_their_seed(digits: LabelledImages) -> None:
    first, again, other = (affine_copies(digits, 25, Distortion(), seed) for seed in (2**63 - 1, 2**63 - 1, 3))
    assert first.pixels.tobytes() == again.pixels.tobytes() != other.pixels.tobytes()
    assert first.classes == digits.classes
    originals = {image.tobytes() for image in digits.pixels}
    assert not any(image.tobytes() in originals for image in first.pixels)
    assert len({image.tobytes() for image in first.pixels}) == 250
    assert first.pixels.mean() == pytest.approx(digits.pixels.mean(), rel=0.1)


def test_interpolated_images_lie_between_two_of_their_class(toy: LabelledImages) -> None:
    pairs = toy.subset(np.arange(6))  # two of each class
    made = interpolated(pairs, 15, seed=1)
    assert np.bincount(made.labels).tolist() == [15, 15, 15]
    for label in range(3):
        one, two = pairs.pixels[pairs.labels == label].reshape(2, -1).astype(float)
        for image in made.pixels[made.labels == label].reshape(15, -1).astype(float):
            share = (image - one) @ (two - one) / ((two - one) @ (two - one))
            assert -0.01 <= share <= 1.01
            np.testing.assert_allclose(image, one + share * (two - one), atol=1)
    assert len({image.tobytes() for image in made.pixels}) > 30


def test_interpolation_takes_uneven_classes_and_is_fixed_by_its_seed(digits: LabelledImages) -> None:
    kept = np.flatnonzero((digits.labels != 4) | (np.cumsum(digits.labels == 4) <= 3))  # three fours
    uneven = digits.subset(kept)
    first, again, other = (interpolated(uneven, 12, seed) for seed in (2**63 - 1, 2**63 - 1, 3))
    assert np.bincount(first.labels).tolist() == [12] * 10
    assert first.classes == digits.classes
    assert first.pixels.tobytes() == again.pixels.tobytes() != other.pixels.tobytes()


def test_a_class_with_a_single_image_gives_copies_of_it(toy: LabelledImages) -> None:
    single = toy.subset(np.array([0, 1, 2, 3, 4]))  # one of class c
    made = interpolated(single, 8, seed=1)
    assert np.bincount(made.labels).tolist() == [8, 8, 8]
    assert (made.pixels[made.labels == 2] == single.pixels[2]).all()
    assert np.bincount(affine_copies(single, 8, Distortion(), seed=1).labels).tolist() == [8, 8, 8]


# Options of an arm


def weights_after(material: Material, steps: int = 6) -> dict[str, torch.Tensor]:
    config = ClassifierConfig(4, steps, 12, 0.01, 0.01, 0.0, 0.1)
    network = new_classifier(material, config, 1, CPU)
    assert [record["step"] for record in train(network, material, config, 2, every=3)] == [3, 6]
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_weight_of_one_is_no_weight(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    plain = weights_after(Material(toy, fresh_toy, None, 0.5))
    assert same(plain, weights_after(Material(toy, fresh_toy, None, 0.5, weight=1.0)))
    assert not same(plain, weights_after(Material(toy, fresh_toy, None, 0.5, weight=0.2)))


def test_a_batch_weighs_its_synthetic_images(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    material = Material(toy, fresh_toy, None, 0.25, weight=0.2)
    config = ClassifierConfig(4, 2, 12, 0.01, 0.01, 0.0, 0.1)
    _, labels, importance = next(one_by_one(material_to_blocks(material, config, 3, torch.Generator(), CPU)))
    assert labels.shape == (12,)
    assert importance is not None
    torch.testing.assert_close(importance, torch.tensor([1.0] * 9 + [0.2] * 3))


def test_soft_targets_that_are_certain_are_the_labels(toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    certain = np.eye(3, dtype=np.float32)[fresh_toy.labels]
    hard, soft = (weights_after(Material(toy, fresh_toy, None, 0.5, targets=t)) for t in (None, certain))
    for name, value in hard.items():
        torch.testing.assert_close(soft[name], value, rtol=1e-4, atol=1e-5)
    unsure = weights_after(Material(toy, fresh_toy, None, 0.5, targets=np.full_like(certain, 1 / 3)))
    assert not torch.allclose(unsure["linear.weight"], hard["linear.weight"], atol=1e-4)


def test_pretraining_sees_synthetic_images_first_and_real_ones_after(
    toy: LabelledImages, fresh_toy: LabelledImages
) -> None:
    material = Material(toy, fresh_toy, None, 0.5, order="pretrained")
    config = ClassifierConfig(4, 5, 12, 0.01, 0.01, 0.0, 0.1)
    batches = [images for images, _, _ in one_by_one(material_to_blocks(material, config, 3, torch.Generator(), CPU))]
    assert len(batches) == 5
    known = [{image.tobytes() for image in to_tensors(part, CPU)[0].numpy()} for part in (fresh_toy, toy)]
    where = [[image.tobytes() in part for part in known] for batch in batches for image in batch.numpy()]
    assert where == [[True, False]] * 24 + [[False, True]] * 36


def test_natural_batches_are_as_the_images_come_and_weights_make_up_for_it(toy: LabelledImages) -> None:
    uneven = toy.subset(np.concatenate([np.flatnonzero(toy.labels == k)[:n] for k, n in enumerate((8, 2, 2))]))
    config = ClassifierConfig(4, 10, 12, 0.01, 0.01, 0.0, 0.1)
    counts = {}
    for kind in ("balanced", "natural", "weighted"):
        material = Material(uneven, None, None, 0.5, batches=kind)  # type: ignore[arg-type]
        drawn = list(one_by_one(material_to_blocks(material, config, 3, torch.Generator(), CPU)))
        counts[kind] = np.bincount(torch.cat([labels for _, labels, _ in drawn]).numpy()).tolist()
        weights = {int(k): float(w) for _, ks, ws in drawn if ws is not None for k, w in zip(ks, ws, strict=True)}
    assert counts == {"balanced": [40, 40, 40], "natural": [80, 20, 20], "weighted": [80, 20, 20]}
    assert weights == {0: 1.5, 1: 6.0, 2: 6.0}  # all images over those of the class
