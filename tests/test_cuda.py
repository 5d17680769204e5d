"""On a real GPU, and skipped where there is none: captured steps and stacked trainings are the plain loop's, but for
rounding; bfloat16 trains; out of memory, chunks halve.

As in tests/test_at_once.py GANs are compared in double precision, here over three times its steps, so that graphs of
all kinds of step are replayed, and classifiers in single precision.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from test_at_once import CONFIG, RECIPE, RECIPES, SEEDS, apart, float64, furthest, materials, subsets, values  # noqa: F401
from torch import nn

from pipeline.capture import Captured
from pipeline.chunks import in_chunks
from pipeline.classifier import training as classifier_training
from pipeline.classifier.training import new_classifier
from pipeline.gan import training as gan_training
from pipeline.gan.recipe import Recipe
from pipeline.gan.training import Gan, new_gan
from pipeline.images import LabelledImages

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
GPU = torch.device("cuda")
STEPS = 24
TOLERANCE = 1e-6


def new_gans(reals: Sequence[LabelledImages], recipe: Recipe) -> list[Gan]:
    return [new_gan(real.shape, 3, recipe, seed, GPU) for seed, real in enumerate(reals)]


def one_by_one(recipe: Recipe, **how: bool) -> tuple[list[Gan], list[dict[str, float]]]:
    """Three GANs, each trained by itself, and the last record of each."""
    reals = subsets(recipe)
    made, lasts = new_gans(reals, recipe), []
    for gan, real, seed in zip(made, reals, SEEDS, strict=True):
        *_, last = gan_training.train(gan, real, recipe, STEPS, seed, every=8, **how)
        lasts.append(last)
    return made, lasts


def stacked(recipe: Recipe, **how: bool) -> tuple[list[Gan], list[dict[str, float]]]:
    reals = subsets(recipe)
    made = new_gans(reals, recipe)
    *_, records = gan_training.train_many(made, reals, recipe, STEPS, SEEDS, every=8, **how)
    return made, [records[number] for number in range(len(made))]


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call of a captured step: was a graph replayed? A capture that fails is an error here."""
    called, call = list[bool](), Captured.__call__

    def noted(self: Captured, tensors: Any, numbers: Any, *flags: bool) -> Any:
        outputs = call(self, tensors, numbers, *flags)
        graph = self.graphs[flags]
        assert not graph.failed
        called.append(graph.graph is not None)
        return outputs

    monkeypatch.setattr(Captured, "__call__", noted)
    return called


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("train", [one_by_one, stacked])
def test_captured_and_stacked_gans_are_those_of_the_plain_loop(name: str, train: Any, replays: list[bool]) -> None:
    recipe = RECIPES[name]
    ones, lasts = one_by_one(recipe)
    assert not replays
    others, theirs = train(recipe, capture=True)
    assert sum(replays) >= STEPS // 3
    assert furthest(ones, others, new_gans(subsets(recipe), recipe)) < TOLERANCE
    for last, other in zip(lasts, theirs, strict=True):
        assert last == pytest.approx(other, rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.usefixtures("float64")
def test_the_tolerance_tells() -> None:
    ones, _ = one_by_one(RECIPE)
    others, _ = stacked(dataclasses.replace(RECIPE, penalty=0.45), capture=True)
    assert furthest(ones, others, new_gans(subsets(), RECIPE)) > 1000 * TOLERANCE


@pytest.mark.parametrize("name", materials())
def test_captured_and_stacked_classifiers_are_those_of_the_plain_loop(
    name: str, replays: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    group = materials()[name]
    firsts, ones, others, those = (
        [new_classifier(m, CONFIG, seed, GPU) for seed, m in enumerate(group)] for _ in "abcd"
    )
    for seed, material in enumerate(group):
        list(classifier_training.train(ones[seed], material, CONFIG, seed))
        list(classifier_training.train(others[seed], material, CONFIG, seed, capture=True))
    list(classifier_training.train_many(those, group, CONFIG, range(len(group)), capture=True))
    assert any(replays)
    for first, one, *same in zip(firsts, ones, others, those, strict=True):
        assert max(apart(one, each, first) for each in same) < 1e-2


@pytest.mark.parametrize("train", [one_by_one, stacked])
def test_bfloat16_trains_captured(train: Any, replays: list[bool]) -> None:
    made, lasts = train(RECIPE, capture=True, bf16=True)
    assert any(replays)
    assert all(math.isfinite(value) for last in lasts for value in last.values())
    firsts = new_gans(subsets(), RECIPE)
    for gan, first in zip(made, firsts, strict=True):
        for player in ("generator", "discriminator", "average"):
            network: nn.Module = getattr(gan, player)
            assert values(network).isfinite().all()
            assert not torch.equal(values(network), values(getattr(first, player)))


def test_a_chunk_that_does_not_fit_on_the_card_is_halved(capsys: pytest.CaptureFixture[str]) -> None:
    free, _ = torch.cuda.mem_get_info()
    each = free // 6  # so that eight do not fit, and four do

    def count(part: slice) -> int:
        return torch.empty(part.stop - part.start, each, dtype=torch.uint8, device=GPU).shape[0]

    assert [*in_chunks(count, 8, 8)] == [4, 4]
    assert "out of memory with 8 images at once; going on with 4" in capsys.readouterr().out
