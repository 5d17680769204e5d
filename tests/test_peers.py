"""benchmarks.peers and benchmarks.growth: their arithmetic, and that the loops that are compared do equal work."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import growth, loops, peers
from benchmarks.turns import Training, Turn, take_turns
from pipeline.classifier.training import ClassifierConfig
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages
from pipeline.transforms import Distortion

STEPS, EVERY, BATCH = 6, 2, 8
CONFIG = ClassifierConfig(
    width=4, steps=STEPS, batch_size=BATCH, learning_rate=0.01, weight_decay=0.01, dropout=0.3, label_smoothing=0.1
)
LOOPS: dict[str, tuple[Callable[..., Any], ...]] = {
    "classifier": (loops.our_classifier, loops.common_classifier, loops.lightning_classifier),
    "gan": (loops.our_gan, loops.common_gan, loops.lightning_gan),
}


def a_task(what: str, digits: LabelledImages, **changes: Any) -> Any:
    if what == "classifier":
        task: Any = loops.ClassifierTask(digits, Distortion(elastic=0.02), CONFIG, 1, EVERY, workers=0)
    else:
        recipe = dataclasses.replace(load_recipe("relativistic"), batch_size=BATCH)
        task = loops.GanTask(digits, recipe, STEPS, 1, EVERY, workers=0)
    return dataclasses.replace(task, **changes)


def loops_of(what: str) -> list[Callable[..., Any]]:
    installed = importlib.util.find_spec("lightning") is not None
    return [loop for loop in LOOPS[what] if installed or "lightning" not in loop.__name__]


@pytest.mark.parametrize("what", ["classifier", "gan"])
def test_loops_start_alike_take_equal_steps_and_see_as_many_images(
    what: str, digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_task(what, digits)
    for loop in loops_of(what):
        first: dict[str, torch.Tensor] = {}
        seen, paused = [], []

        def look(module: Any, inputs: Any, first: dict[str, torch.Tensor] = first, seen: list[int] = seen) -> None:
            if not first:
                first.update({name: value.clone() for name, value in module.state_dict().items()})
            seen.append(len(inputs[0]))

        with monkeypatch.context() as patched:
            # What is called is the network that the task makes, whoever trains it.
            make = type(task).network if what == "classifier" else type(task).networks

            def made(self: Any, make: Any = make, look: Any = look) -> Any:
                network = make(self)
                (network if what == "classifier" else network.generator).register_forward_pre_hook(look)
                return network

            patched.setattr(type(task), make.__name__, made)
            trained = loop(task, lambda network, paused=paused: paused.append(network))
        fresh = task.network() if what == "classifier" else task.networks().generator
        assert all(torch.equal(first[name], value) for name, value in fresh.state_dict().items()), loop.__name__
        assert len(paused) == STEPS // EVERY
        moved = [not torch.equal(a, b) for a, b in zip(trained.parameters(), fresh.parameters(), strict=True)]
        assert all(moved), loop.__name__
        if what == "classifier":
            assert sum(seen) == STEPS * BATCH, loop.__name__


def test_loader_gives_every_step_a_whole_batch_in_range(digits: LabelledImages) -> None:
    batches = list(loops.loader(a_task("gan", digits)))
    assert [len(labels) for _, labels in batches] == [BATCH] * STEPS
    pixels = torch.cat([images for images, _ in batches])
    assert pixels.shape[1:] == digits.shape and pixels.min() == -1 and 0.5 < pixels.max() <= 1


def test_common_losses_and_penalty_are_ours(digits: LabelledImages) -> None:
    """On the same fakes, the discriminator's loss is that of pipeline.gan.losses, penalties weighted as there."""
    from pipeline.gan.losses import gradient_penalty, relativistic_discriminator_loss

    task = a_task("gan", digits)
    gan, recipe = task.networks(), task.recipe
    reals, labels = next(iter(loops.loader(task)))
    torch.manual_seed(3)
    found = loops.discriminator_loss(gan, reals, labels, recipe, True)
    torch.manual_seed(3)
    fakes = gan.generator(torch.randn(len(labels), gan.generator.latent), labels).detach()
    loss = relativistic_discriminator_loss(gan.discriminator(reals, labels), gan.discriminator(fakes, labels))
    both = gradient_penalty(gan.discriminator, torch.cat([reals, fakes]), torch.cat([labels, labels]))
    expected = loss + both * (2 * recipe.penalty / 2 * recipe.penalty_every)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_gan_task_refuses_a_recipe_that_the_common_loop_does_not_train(digits: LabelledImages) -> None:
    with pytest.raises(ValueError, match="relativistic"):
        a_task("gan", digits, recipe=load_recipe("dcgan"))


def test_ratios_and_medians_by_hand() -> None:
    """Theirs takes 2, 3, 4 times as long in the turns that count; the first turn, 100 times as long, does not."""
    ours = [Turn(1.0, 0.5), Turn(1.0, 0.9), Turn(2.0, 0.97), Turn(1.0, 0.98)]
    theirs = [Turn(100.0, 0.5), Turn(2.0, 0.97), Turn(6.0, 0.9), Turn(4.0, 0.95)]
    pair = [Turn(1.0, 0.5)] * 4
    rounds = [{"ours": ours, "pair": pair, "theirs": theirs}]
    table = peers.turns_to_table(
        rounds, {"ours": 5_000_000, "pair": 0, "theirs": 9_000_000}, {"ours": 1, "pair": 2, "theirs": 1}, 320, 0.96
    ).set_index("system")
    assert table.loc["theirs", "ours is faster"].startswith("3.00 (2.20 to 3.80)")
    assert table["images/s"].to_dict() == {"ours": 320, "pair": 640, "theirs": 80}
    assert table.loc["pair", "ours is faster"].startswith("0.50")  # two side by side make twice the images
    assert table.loc["ours", "s to 96%"].startswith("4.0") and table.loc["theirs", "s to 96%"].startswith("102.0")
    assert table["turns"].tolist() == [3, 3, 3] and table["memory, MB"].tolist() == ["5", "", "9"]
    assert peers.seconds_to(0.99, ours) == math.inf


def test_resized_images_keep_labels_and_range(digits: LabelledImages) -> None:
    large = growth.resized(digits, 64)
    assert large.shape == (1, 64, 64) and np.array_equal(large.labels, digits.labels)
    assert abs(float(large.pixels.mean()) - float(digits.pixels.mean())) < 3


def a_counter(count: int, pause: Any) -> None:
    for number in range(count):
        pause(nn.Linear(1, number + 1))


def outputs(network: nn.Linear) -> float:
    return float(network.out_features)


def a_fault(what: str, pause: Any) -> None:
    raise ValueError(what)


def test_trainings_take_turns_and_say_what_went_wrong() -> None:
    trainings = [Training(a_counter, 5, outputs), Training(a_counter, 5, outputs), Training(a_fault, "no such thing")]
    try:
        for training in trainings[:2]:
            training.go()
            assert training.peak() >= 0 and training.wait().measured == 1
        taken = take_turns([[training] for training in trainings[:2]], 3)
        assert [[turn.measured for turn in each] for each in taken] == [[2, 3, 4]] * 2
        assert all(turn.seconds >= 0 for each in taken for turn in each)
        trainings[2].go()
        with pytest.raises(RuntimeError, match="no such thing"):
            trainings[2].wait()
    finally:
        for training in trainings:
            training.end()
    assert not any(training.process.is_alive() for training in trainings)
