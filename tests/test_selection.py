from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from pipeline.classifier.arms import (
    ARMS,
    Arm,
    ArmsConfig,
    Shares,
    Variant,
    VariantsConfig,
    to_variants,
    with_variants,
)
from pipeline.classifier.selection import Judgement, select
from pipeline.classifier.settings import ClassifierConfig
from pipeline.distortion import Distortion
from pipeline.errors import InputError
from pipeline.images import LabelledImages

CLASSES = ("a", "b")


def numbered(labels: list[int], first: int = 0) -> LabelledImages:
    """Images of one pixel each, which says their number."""
    pixels = np.arange(first, first + len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return LabelledImages(pixels, np.array(labels, np.int64), CLASSES)


GENERATED = numbered([0, 0, 0, 0, 1, 1, 1, 1])
REAL = numbered([0, 1], first=100)
SURE = np.array([0.9, 0.4, 0.6, 0.1, 0.8, 0.3, 0.2, 0.4], np.float32)  # probability of class a
JUDGEMENT = Judgement(
    probabilities=np.stack([SURE, 1 - SURE], axis=1),
    score=np.array([1, 2, 3, 4, -4, -3, -2, -1], np.float32),
    distance=np.array([0, 1.5, 1, 2, 0, 0.2, 0.9, 0.1], np.float32),
)


def chosen(judgement: Judgement = JUDGEMENT, **options: object) -> list[int]:
    arm = Arm(name="x", synthetic="gan", **options)  # type: ignore[arg-type]
    return select(GENERATED, REAL, judgement, arm)[0].pixels.ravel().tolist()


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"keep": "agreeing"}, [0, 2, 5, 6, 7]),
        ({"keep": "convincing"}, [2, 3, 6, 7]),  # above the median of their class, not of all
        ({"keep": "novel"}, [1, 3, 6]),  # of class b none passes: the farthest stays
        ({"per_class": 3}, [0, 1, 2, 4, 5, 6]),
        ({"keep": "agreeing", "per_class": 1}, [0, 5]),
    ],
)
def test_what_is_kept(options: dict[str, object], kept: list[int]) -> None:
    assert chosen(**options) == kept


def test_a_class_of_which_none_agrees_keeps_the_one_that_comes_nearest() -> None:
    always_b = np.stack([SURE / 2, 1 - SURE / 2], axis=1)
    doubted = Judgement(always_b, JUDGEMENT.score, JUDGEMENT.distance)
    assert chosen(doubted, keep="agreeing") == [0, 4, 5, 6, 7]


def test_soft_targets_follow_the_images() -> None:
    images, targets = select(GENERATED, REAL, JUDGEMENT, Arm(name="x", synthetic="gan", labels="soft", per_class=1))
    assert images.pixels.ravel().tolist() == [0, 4]
    np.testing.assert_array_equal(targets, JUDGEMENT.probabilities[[0, 4]])


def test_filling_takes_generated_images_of_the_rare_classes_and_real_ones_of_the_others() -> None:
    real = numbered([0, 0, 0, 1], first=100)
    arm = Arm(name="x", synthetic="gan", fill=True, labels="soft")
    images, targets = select(GENERATED, real, JUDGEMENT, arm)
    assert images.pixels.ravel().tolist() == [4, 5, 6, 7, 100, 101, 102]
    assert images.labels.tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert targets is not None
    np.testing.assert_array_equal(targets[4:], [[1, 0]] * 3)


def test_nothing_is_judged_where_no_arm_asks() -> None:
    assert select(GENERATED, REAL, None, Arm(name="x", synthetic="gan"))[1] is None
    assert not to_variants({"generated": []}).needs_judgement


# Variants in the params file


def test_a_variant_is_its_arm_with_other_options() -> None:
    (arm,) = with_variants([], [Variant(name="half", of="real+gan+classical", weight=0.5)])
    assert (arm.name, arm.of, arm.real, arm.synthetic) == ("half", "real+gan+classical", True, "gan")
    assert arm.classical and arm.weight == 0.5 and arm.share is None
    assert with_variants(ARMS, []) == list(ARMS)
    (both,) = with_variants([], [Variant(name="both", of="real+interpolated", classical=True)])
    assert (both.real, both.synthetic, both.classical) == (True, "interpolated", True)


def test_a_variant_may_be_distorted_otherwise_than_all() -> None:
    far = {"name": "far", "of": "real+classical", "distortion": {"rotate": 30, "blur": 0}}
    (arm,) = with_variants([], to_variants({"baseline": [far]}).baseline)
    shared = Distortion(rotate=12, shear=0.3, blur=0.1)
    config = ArmsConfig(Shares(0.1, 0.5, 0.5), 5, 5, 0.8, shared)
    assert config.distortion(arm) == Distortion(rotate=30, shear=0.3, blur=0)
    assert config.distortion(ARMS[1]) == shared
    settings = ClassifierConfig(4, 3, 12, 0.1, 0, 0, 0)
    assert config.record(arm, settings, 50)["augmentation"] == asdict(config.distortion(arm))
    assert config.record(ARMS[0], settings, 50)["augmentation"] is None


def test_what_variants_need() -> None:
    novel, narrow = {"name": "n", "of": "gan", "keep": "novel"}, {"name": "s", "of": "gan", "scale": 0.8}
    config = to_variants({"generated": [novel, narrow]})
    assert config.needs_judgement and not config.needs_teacher and config.scales == [0.8]
    assert to_variants({"generated": [{"name": "t", "of": "gan", "labels": "soft"}]}).needs_teacher


@pytest.mark.parametrize(
    ("part", "variant", "message"),
    [
        ("generated", {"name": "x", "of": "real+gam"}, "of: unknown arm 'real+gam' of x; known arms: real, "),
        ("generated", {"name": "gan", "of": "real+gan"}, "name: gan is an arm already; choose another"),
        ("generated", {"of": "real+gan"}, "name: missing"),
        ("generated", {"name": "x", "of": "real"}, "generated: x varies real; it belongs into variants.baseline"),
        ("baseline", {"name": "x", "of": "gan"}, "baseline: x varies gan; it belongs into variants.generated"),
        ("baseline", {"name": "x", "of": "real+copies", "keep": "novel"}, "keep: goes with an arm of generated images"),
        ("baseline", {"name": "x", "of": "real", "share": 0.3}, "share: goes with an arm of real and synthetic images"),
        ("generated", {"name": "x", "of": "gan", "weight": 0.3}, "weight: goes with an arm of real and synthetic"),
        ("generated", {"name": "x", "of": "real+gan", "share": 1.0}, "share: must lie between 0 and 1, got 1.0"),
        ("generated", {"name": "x", "of": "real+gan", "batches": "natural"}, "batches: goes with an arm of real"),
        ("generated", {"name": "x", "of": "gan", "pseudo": True}, "pseudo: goes with an arm of real images"),
        (
            "baseline",
            {"name": "x", "of": "real+classical", "classical": True},
            "classical: goes with an arm of undisto",
        ),
        ("generated", {"name": "x", "of": "real+gan", "scale": 0.5, "keep": "novel"}, "keep, labels: go with scale 1"),
        ("generated", {"name": "x", "of": "real+gan", "order": "pretrained", "share": 0.2}, "order: pretrained has no"),
        (
            "generated",
            {"name": "x", "of": "real+gan", "keep": "best"},
            "keep: must be one of all, agreeing, convincing",
        ),
        (
            "generated",
            {"name": "x", "of": "real+gan", "distortion": {"blur": 0.1}},
            "distortion: goes with an arm of distorted images, which real+gan is not",
        ),
        (
            "baseline",
            {"name": "x", "of": "real+classical", "distortion": {"blurr": 0.1}},
            "distortion.blurr: unknown key; did you mean blur?",
        ),
        (
            "baseline",
            {"name": "x", "of": "real+classical", "distortion": {}},
            "distortion.blur: name this or another distance of arms.classical, or leave distortion out",
        ),
        ("generated", {"name": "x", "of": "real+gan", "sclae": 1.0}, "sclae: unknown key; did you mean scale?"),
    ],
)
def test_a_wrong_variant_is_one_line(part: str, variant: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        to_variants({part: [variant]})
    assert message in str(error.value) and "\n" not in str(error.value)


def test_names_are_given_once() -> None:
    twice = Variant(name="x", of="real+gan", weight=0.5)
    with pytest.raises(ValueError, match="two variants are called x"):
        VariantsConfig(baseline=(), generated=(twice, twice))
