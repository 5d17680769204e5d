"""benchmarks.free_lunch: its arithmetic, and that each way makes what the project's own loop does."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from benchmarks import free_lunch, loops
from benchmarks.free_lunch import Way, train_classifier, train_gan, turns_to_table, ways
from benchmarks.turns import Turn
from pipeline.classifier.settings import ClassifierConfig
from pipeline.distortion import Distortion
from pipeline.gan import step as gan_step
from pipeline.gan.networks import folded
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages

CONFIG = ClassifierConfig(
    width=4, steps=4, batch_size=8, learning_rate=0.01, weight_decay=0.01, dropout=0.3, label_smoothing=0.1
)


@pytest.fixture
def classifier(digits: LabelledImages) -> loops.ClassifierTask:
    return loops.ClassifierTask(digits, Distortion(elastic=0.02), CONFIG, 1, 2)


@pytest.mark.parametrize("way", [Way(None), Way(None, True), Way(None, True, "eager")])
def test_a_classifier_is_ours_in_any_order_of_memory(way: Way, classifier: loops.ClassifierTask) -> None:
    paused: list[object] = []
    ours = loops.our_classifier(classifier, lambda _: None)
    found = train_classifier(way._replace(task=classifier), paused.append)
    assert len(paused) == 2
    for one, other in zip(ours.parameters(), found.parameters(), strict=True):
        if way.channels_last and not way.backend:
            assert torch.equal(one, other)
        assert torch.allclose(one, other, atol=1e-3)
    first = next(found.parameters())
    assert first.is_contiguous(memory_format=torch.channels_last if way.channels_last else torch.contiguous_format)


def test_a_gan_without_channels_last_sees_no_image_in_that_order(
    digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = loops.GanTask(digits, dataclasses.replace(load_recipe("relativistic"), batch_size=8), 2, 1, 1)
    for module in (gan_step, folded):  # put back after the test: the benchmark has a process for it
        monkeypatch.setattr(module, "channels_last", module.channels_last)
    with_it = train_gan(Way(task, True), lambda _: None)
    before = gan_step.channels_last
    without = train_gan(Way(task), lambda _: None)
    images = torch.zeros(2, 3, 4, 4)
    assert before(images).is_contiguous(memory_format=torch.channels_last)
    assert gan_step.channels_last(images) is images and folded.channels_last(images) is images
    for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-2)
    weights = [weight for weight in without.parameters() if weight.dim() == 4]
    assert weights and all(weight.is_contiguous() for weight in weights)


def test_the_table_by_hand() -> None:
    """Compiled: 21 s once, then 1 s where plain takes 2: 20 s over 0.1 s a step are made good after 200 steps."""
    plain = [Turn(9.0, math.nan), Turn(2.0, math.nan), Turn(2.0, math.nan)]
    fast = [Turn(21.0, math.nan), Turn(1.0, math.nan), Turn(1.0, math.nan)]
    slow = [Turn(5.0, math.nan), Turn(4.0, math.nan), Turn(4.0, math.nan)]
    taken = {"plain": plain, "compiled": fast, "channels-last, compiled": slow}
    table = turns_to_table(taken, 10, 32).set_index("way")
    assert table["images/s"].tolist() == [160, 320, 80]
    assert table["over plain"].tolist() == ["1", "2.00 (2.00 to 2.00)", "0.50 (0.50 to 0.50)"]
    assert table["compiling, s"].tolist() == ["", "20.0", "1.0"]
    assert table["pays after, steps"].tolist() == ["", "200", "never"]


def test_the_gan_is_compiled_nowhere() -> None:
    assert not [way for _, way in ways("gan", None).values() if way.backend]
    assert list(ways("classifier", None)) == [free_lunch.PLAIN, "channels-last", "compiled", "channels-last, compiled"]
