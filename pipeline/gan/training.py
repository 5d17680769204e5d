"""Training one conditional GAN on one replicate's real subset and nothing else; or several at once, each on its own."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.bfloat16 import cast
from pipeline.capture import Step, captured
from pipeline.feed import together
from pipeline.gan.networks.layers import Discriminator, Generator
from pipeline.gan.networks.registry import new_discriminator, new_generator
from pipeline.gan.recipe import Recipe
from pipeline.gan.step import MEASURED, Players, draw, moves, new_step
from pipeline.images import LabelledImages
from pipeline.pixels import to_bytes
from pipeline.quality.spread import images_to_spread
from pipeline.seeds import derive
from pipeline.stacked import Stacked

WARM_UP = 100  # steps over which the learning rate rises from 0
MONITORED = 20  # images a class that are looked at while training


@dataclass(frozen=True)
class Gan:
    """Both players, and the running average of the generator's weights (EMA), which is what generates."""

    generator: Generator
    discriminator: Discriminator
    average: Generator


def new_gan(
    shape: tuple[int, int, int], classes: int, recipe: Recipe, seed: int, device: torch.device | None = None
) -> Gan:
    """Freshly initialised players for images of `shape` (C, H, W); weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = new_generator(shape, classes, recipe.networks)
        discriminator = new_discriminator(shape, classes, recipe.networks)
    average = copy.deepcopy(generator).requires_grad_(False).eval()
    for network in (generator, discriminator, average):
        network.to(device or torch.device("cpu")).to(memory_format=torch.channels_last)
    return Gan(generator, discriminator, average)


def train(
    gan: Gan,
    real: LabelledImages,
    recipe: Recipe,
    steps: int,
    seed: int,
    every: int = 100,
    monitor: Monitor | None = None,
    capture: bool = False,
    bf16: bool = False,
) -> Iterator[dict[str, float]]:
    """Train `gan` in place; yield a record every `every` steps and at the end.

    A record: step; generator_loss, discriminator_loss; real_score, fake_score (the discriminator's means; for
    cross-entropy, of the probabilities that it gives); generator_gradient, discriminator_gradient (norms); penalty (its
    mean; zero-centred: the squared gradient at reals and fakes together); spread (of the averaged generator within each
    class); discriminator_accuracy (in [0, 1]; see `losses.Loss`); epoch (reals seen, over how many there are). All but
    step, spread and epoch are means since the last record; in a step without a penalty or without a turn of the
    generator, the last one counts. `monitor` looks on, by default a new one. Training stops early at a value that is
    not finite; its record is the last. capture: steps as CUDA graphs, on a GPU. bf16: networks in bfloat16 while they
    are trained.
    """
    device = next(gan.generator.parameters()).device
    monitor = monitor or new_monitor(gan, len(real.classes), seed)
    players = Players(
        generate=cast(gan.generator, device, bf16),
        judge=cast(gan.discriminator, device, bf16),
        generator_weights=list(gan.generator.parameters()),
        discriminator_weights=list(gan.discriminator.parameters()),
        followed=_averaged(gan.generator.parameters(), gan.generator.buffers()),
        following=_averaged(gan.average.parameters(), gan.average.buffers()),
    )
    drawn = draw(real, recipe, steps, seed, gan.generator, gan.discriminator)
    step_function = _new_step(players, recipe, device, capture)
    for step, means, accuracy in _run(step_function, drawn, recipe, steps, every):
        record = _record(step, means.tolist(), accuracy.item(), monitor, step * recipe.batch_size / len(real))
        yield record
        if not _finite(record):
            return


def train_many(
    gans: Sequence[Gan],
    reals: Sequence[LabelledImages],
    recipe: Recipe,
    steps: int,
    seeds: Sequence[int],
    every: int = 100,
    monitors: Sequence[Monitor] | None = None,
    capture: bool = False,
    bf16: bool = False,
) -> Iterator[dict[int, dict[str, float]]]:
    """`train` of several GANs at once, with the same draws; at each record yield those of the GANs that go on, by their
    number.

    Weights are stacked, and rounded otherwise than one by one; averages have theirs at each record, the players at
    their GAN's last. A GAN with a value that is not finite stays as it was at that record, which is its last; the
    others go on. capture, bf16: as in `train`.
    """
    device = next(gans[0].generator.parameters()).device
    generators, discriminators, averages = (
        Stacked([getattr(gan, player) for gan in gans]) for player in ("generator", "discriminator", "average")
    )
    players = Players(
        generate=cast(generators, device, bf16),
        judge=cast(discriminators, device, bf16),
        generator_weights=list(generators.weights.values()),
        discriminator_weights=list(discriminators.weights.values()),
        followed=_averaged(generators.weights.values(), generators.buffers.values()),
        following=_averaged(averages.weights.values(), averages.buffers.values()),
        several=len(gans),
    )
    pairs = list(zip(reals, seeds, strict=True))
    monitors = monitors or [
        new_monitor(gan, len(real.classes), seed) for gan, (real, seed) in zip(gans, pairs, strict=True)
    ]
    drawn = together(draw(real, recipe, steps, seed, gans[0].generator, gans[0].discriminator) for real, seed in pairs)
    step_function = _new_step(players, recipe, device, capture)
    going = list(range(len(gans)))
    for step, means, accuracies in _run(step_function, drawn, recipe, steps, every):
        each, shares = means.T.tolist(), accuracies.tolist()
        records = {}
        for number in going:
            averages.unstack(number)  # what the monitor looks at
            epoch = step * recipe.batch_size / len(reals[number])
            records[number] = _record(step, each[number], shares[number], monitors[number], epoch)
            if step == steps or not _finite(records[number]):
                generators.unstack(number)
                discriminators.unstack(number)
        yield records
        going = [number for number in going if _finite(records[number])]
        if not going:
            return


def _new_step(players: Players, recipe: Recipe, device: torch.device, capture: bool) -> Step:
    step = new_step(players, recipe)
    return captured(step, device) if capture else step


def _run(
    step_function: Step,
    drawn: Iterable[tuple[Tensor | None, ...]],
    recipe: Recipe,
    steps: int,
    every: int,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Make all steps; at each record yield its step, the means of MEASURED since the last one, and of the accuracy."""
    measured, accuracies = [], []
    for step, tensors in enumerate(drawn, 1):
        factor = learning_rate_factor(step - 1, steps) if recipe.schedule == "rise_and_fall" else 1.0
        decay = min(recipe.average, step / (step + 9))  # at first the average forgets faster
        rates = (recipe.discriminator_rate * factor, recipe.generator_rate * factor, 1 - decay)
        values, accuracy = step_function(tensors, rates, *moves(recipe, step))
        measured.append(values)
        accuracies.append(accuracy)
        if step % every == 0 or step == steps:
            yield step, torch.stack(measured).mean(0), torch.stack(accuracies).mean(0)
            measured.clear()
            accuracies.clear()


def _record(step: int, means: Sequence[float], accuracy: float, monitor: Monitor, epoch: float) -> dict[str, float]:
    record = {"step": step, **dict(zip(MEASURED, means, strict=True)), "spread": monitor.spread()}
    return {**record, "discriminator_accuracy": accuracy, "epoch": epoch}


def _finite(record: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in record.values())


def new_monitor(gan: Gan, classes: int, seed: int) -> Monitor:
    """The monitor that `train` measures with under the same `seed`; a caller draws its picture grids from it."""
    return Monitor(gan.average, classes, derive(seed, "monitor"))


class Monitor:
    """The averaged generator on the same noise each time, class by class."""

    def __init__(self, generator: Generator, classes: int, seed: int) -> None:
        device = next(generator.parameters()).device
        draws = torch.Generator(device).manual_seed(seed)
        self.generator = generator
        self.classes = classes
        self.labels = torch.arange(classes, device=device).repeat_interleave(MONITORED)
        self.noise = torch.randn(len(self.labels), generator.latent, generator=draws, device=device)
        self.last: NDArray[np.uint8] = np.empty(0, np.uint8)  # what it saw when it last looked

    @torch.no_grad()
    def images(self) -> NDArray[np.uint8]:
        """uint8 (classes * MONITORED, C, H, W), ordered by class; a value that is not finite becomes 0."""
        self.last = to_bytes(self.generator(self.noise, self.labels).nan_to_num())
        return self.last

    def spread(self) -> float:
        """Of the monitored images within each class, on pixels in [-1, 1]; see pipeline.quality.spread."""
        return images_to_spread(self.images(), self.labels.cpu().numpy(), self.classes).mean


def learning_rate_factor(step: int, steps: int) -> float:
    """A short rise, flat until 30 % of `steps`, then linear to a tenth."""
    return min(1.0, (step + 1) / WARM_UP) * (1 - 0.9 * max(0.0, (step / steps - 0.3) / 0.7))


def _averaged(weights: Iterable[Tensor], buffers: Iterable[Tensor]) -> list[Tensor]:
    """What the running average follows: weights, and the moving averages of batch norm (but not its counters)."""
    return [value for value in chain(weights, buffers) if value.is_floating_point()]
