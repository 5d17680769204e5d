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

from benchmarks import growth, loops, peers, score
from benchmarks.turns import Training, Turn, side_by_side, take_turns
from pipeline.classifier.settings import ClassifierConfig
from pipeline.distortion import Distortion
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages

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


@pytest.mark.parametrize("what", ["classifier", "gan"])
def test_our_loop_for_a_gpu_makes_what_ours_for_a_cpu_does(
    what: str, digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path that a GPU takes, on a CPU, where a captured step is the step itself."""
    ours, paused = LOOPS[what][0], []
    plain = ours(a_task(what, digits), lambda _: None)
    monkeypatch.setattr(loops, "place", lambda task: torch.device("cpu"))
    trained = ours(a_task(what, digits, device="cuda"), paused.append)
    assert [network is trained for network in paused] == [True] * 3
    for one, other in zip(plain.parameters(), trained.parameters(), strict=True):
        assert torch.equal(one, other)


def test_on_a_gpu_the_common_loop_pins_its_batches(digits: LabelledImages) -> None:
    assert loops.loader(a_task("gan", digits, device="cuda")).pin_memory
    assert not loops.loader(a_task("gan", digits)).pin_memory


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["peers", "--device", "cuda"])
    with pytest.raises(SystemExit) as end:
        peers.main()
    assert end.value.code == 2 and "torch sees no GPU" in capsys.readouterr().err.splitlines()[-1]


class Means(nn.Module):
    """A generator that knows each class's mean image, or gives all labels the same one."""

    def __init__(self, digits: LabelledImages, labels_matter: bool) -> None:
        super().__init__()
        self.latent, self.labels_matter = 2, labels_matter
        pixels, labels = torch.from_numpy(digits.pixels).float() / 127.5 - 1, torch.from_numpy(digits.labels)
        self.means = nn.Parameter(torch.stack([pixels[labels == label].mean(0) for label in range(10)]))

    def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.means[labels if self.labels_matter else labels * 0]


def test_cas_is_high_for_digits_that_look_like_their_labels_and_low_for_others(digits: LabelledImages) -> None:
    config = dataclasses.replace(CONFIG, steps=60, width=8, batch_size=20, dropout=0.0)
    good, bad = (score.cas(Means(digits, known), digits, config, 5, 1) for known in (True, False))
    assert good > 0.3 and bad < 0.2  # 0.1 is chance
    assert good == score.cas(Means(digits, True), digits, config, 5, 1)


def test_the_time_to_a_cas_is_counted_over_rounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two steps of each system, for real; 5 % is reached by any classifier, and so in the first turn."""
    monkeypatch.setattr(peers, "LOOKED_STEPS", 2)
    monkeypatch.setattr(peers, "LOOKED_AT", 2)
    argv = ["peers", "--what", "cas", "--rounds", "1", "--steps", "2", "--every", "1", "--target", "0.01"]
    monkeypatch.setattr("sys.argv", argv)
    peers.main()
    out = capsys.readouterr().out
    installed = importlib.util.find_spec("lightning") is not None
    names = ["ours", "common, 2 workers", "lightning, 2 workers"][: 3 if installed else 2]
    assert all(f"round 0, {name}: " in out for name in names)
    assert installed or "lightning: not installed" in out
    header, *rows = [
        line
        for line in out.splitlines()
        if "s to CAS" in line or line.strip().startswith(tuple(f"{n} " for n in names))
    ]
    assert "s to CAS 1%" in header and "CAS at the end, %" in header and len(rows) == len(names) and "inf" not in out


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
    assert "GPU memory, MB" not in table
    on_gpu = [{name: [turn._replace(reserved=7_000_000) for turn in turns] for name, turns in rounds[0].items()}]
    columns = peers.turns_to_table(on_gpu, dict.fromkeys(rounds[0], 0), dict.fromkeys(rounds[0], 1), 320, 0.9, "CAS")
    assert columns["GPU memory, MB"].tolist() == ["7", "7", "7"] and "s to CAS 90%" in columns
    assert table["turns"].tolist() == [3, 3, 3] and table["memory, MB"].tolist() == ["5", "", "9"]
    assert peers.seconds_to(0.99, ours) == math.inf


def test_resized_images_keep_labels_and_range(digits: LabelledImages) -> None:
    large = growth.resized(digits, 64)
    assert large.shape == (1, 64, 64) and np.array_equal(large.labels, digits.labels)
    assert abs(float(large.pixels.mean()) - float(digits.pixels.mean())) < 3


def test_pairs_of_one_process_and_two_by_hand() -> None:
    row = growth.pairs_to_row(4, [(2.0, 1.0), (3.0, 2.0), (6.0, 2.0)], True)
    assert row["throughput, 2 over 1"] == "2.00 (1.50 to 3.00)" and row["pairs"] == 3
    assert (row["1 process, s"], row["2 processes, s"], row["same results"]) == (3, 2, True)


def test_turns_side_by_side_end_with_the_last_and_hold_their_sum() -> None:
    assert side_by_side([Turn(1.0, 0.5, 3), Turn(2.0, 0.7, 4)]) == Turn(2.0, 0.5, 7)


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
