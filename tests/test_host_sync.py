"""No step of a training waits for its device: what brings a value back to Python is called at records alone.

Counted on a CPU, by the operations of torch that would wait on a GPU: the same number in 20 steps as in 40, with one
record at the end of either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_at_once import CONFIG, CPU, RECIPES, SEEDS, gans, materials, subsets
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.classifier import training as classifier_training
from pipeline.classifier.training import new_classifier
from pipeline.gan import training as gan_training

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2"}


class Waits(TorchDispatchMode):
    """How many operations need a value, or a size that depends on values, in Python."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in WAITING
        return func(*args, **(kwargs or {}))


def waits(train: Callable[[int], Any]) -> list[int]:
    """Of `train(steps)`, for 20 and 40 steps, what is made once having been made."""
    train(1)
    counts = []
    for steps in (20, 40):
        with Waits() as mode:
            train(steps)
        counts.append(mode.count)
    return counts


def train_classifiers(name: str, many: bool, steps: int) -> None:
    group, config = materials()[name], dataclasses.replace(CONFIG, steps=steps)
    networks = [new_classifier(material, config, seed, CPU) for seed, material in enumerate(group)]
    if many:
        assert len([*classifier_training.train_many(networks, group, config, range(len(group)), every=99)]) == 1
    else:
        assert len([*classifier_training.train(networks[0], group[0], config, 0, every=99)]) == 1


def train_gans(name: str, many: bool, steps: int) -> None:
    recipe = RECIPES[name]
    reals = subsets(recipe)
    made = gans(reals, recipe)
    if many:
        assert len([*gan_training.train_many(made, reals, recipe, steps, SEEDS, every=99)]) == 1
    else:
        assert len([*gan_training.train(made[0], reals[0], recipe, steps, SEEDS[0], every=99)]) == 1


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("name", materials())
def test_a_classifiers_steps_wait_for_nothing(name: str, many: bool) -> None:
    short, long = waits(lambda steps: train_classifiers(name, many, steps))
    assert short == long


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "dcgan64"])
def test_a_gans_steps_wait_for_nothing(name: str, many: bool) -> None:
    short, long = waits(lambda steps: train_gans(name, many, steps))
    assert short == long


def test_a_step_that_waits_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    real_one = classifier_training.smoothed_cross_entropy

    def looked_at(*given: Any) -> torch.Tensor:
        loss = real_one(*given)
        assert loss.item() >= 0
        return loss

    monkeypatch.setattr(classifier_training, "smoothed_cross_entropy", looked_at)
    short, long = waits(lambda steps: train_classifiers("all arms", False, steps))
    assert long == short + 20
