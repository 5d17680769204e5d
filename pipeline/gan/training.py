"""Training one conditional GAN on one replicate's real subset and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.adam import Adam
from pipeline.batches import labels_to_batches, to_bytes, to_tensors
from pipeline.feed import gather
from pipeline.gan.losses import LOSSES, gradient_penalty, interpolates_penalty
from pipeline.gan.networks.layers import Discriminator, Generator
from pipeline.gan.networks.registry import new_discriminator, new_generator
from pipeline.gan.recipe import Recipe
from pipeline.images import LabelledImages
from pipeline.quality.spread import images_to_spread
from pipeline.seeds import derive

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
) -> Iterator[dict[str, float]]:
    """Train `gan` in place; yield a record every `every` steps and at the end.

    A record: step; generator_loss, discriminator_loss; real_score, fake_score (the discriminator's means; for
    cross-entropy, of the probabilities that it gives); generator_gradient, discriminator_gradient (norms); penalty (its
    mean; zero-centred: the squared gradient at reals and fakes together); spread (of the averaged generator within each
    class); discriminator_accuracy (in [0, 1]; see `losses.Loss`); epoch (reals seen, over how many there are). All but
    step, spread and epoch are means since the last record; in a step without a penalty or without a turn of the
    generator, the last one counts. `monitor` looks on, by default a new one. Training stops early at a value that is
    not finite; its record is the last.

    Together, both players step at once, from one pass forward and one back through the discriminator: no image of a
    batch influences another's score, so that one player's gradient at a fake is a multiple of the other's (Shen et al.
    2021, "Training GANs in one stage").
    """
    device = next(gan.generator.parameters()).device
    loss, together = LOSSES[recipe.loss], recipe.turns == "together"
    batches = labels_to_batches(real.labels, steps, recipe.batch_size, derive(seed, "batches"))
    pixels, labels = to_tensors(real, device)
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    draws = torch.Generator(device).manual_seed(derive(seed, "noise"))
    drops = torch.Generator(device).manual_seed(derive(seed, "dropout"))  # what the discriminator draws
    between = torch.Generator(device).manual_seed(derive(seed, "interpolates"))
    monitor = monitor or new_monitor(gan, len(real.classes), seed)
    generator_weights: list[Tensor] = list(gan.generator.parameters())
    discriminator_weights: list[Tensor] = list(gan.discriminator.parameters())
    generator_optimiser = Adam(generator_weights, (recipe.beta1, recipe.beta2))
    discriminator_optimiser = Adam(discriminator_weights, (recipe.beta1, recipe.beta2))
    followed, following = _averaged(gan.generator), _averaged(gan.average)

    def judge(images: Tensor, classes: Tensor) -> Tensor:
        return gan.discriminator(images, classes, drops)

    def fakes_of(classes: Tensor) -> Tensor:
        noise = torch.randn(len(classes), gan.generator.latent, generator=draws, device=device)
        return gan.generator(noise, classes)

    measured: list[Tensor] = []
    accuracies: list[Tensor] = []
    penalty = torch.zeros((), device=device)
    for step, (reals, classes) in enumerate(
        gather([(pixels, labels, batches)], recipe.distort_reals, distortions, device), 1
    ):
        factor = learning_rate_factor(step - 1, steps) if recipe.schedule == "rise_and_fall" else 1.0
        penalised = recipe.penalty > 0 and (step - 1) % recipe.penalty_every == 0

        # A batch of reals, distorted, and as many fakes of the same classes; if turns alternate, of a frozen generator.
        with torch.set_grad_enabled(together):
            fakes = fakes_of(classes)
        shown = fakes.detach().requires_grad_(together)
        if together or penalised:
            both = torch.cat([reals, shown]).contiguous(memory_format=torch.channels_last)
            twice = torch.cat([classes, classes])

        # The discriminator's gradient; together, also that at each fake, turned into the generator's, which goes on
        # through it.
        if together and loss.turn is not None:
            real_scores, fake_scores = judge(both, twice).chunk(2)
            generator_loss = loss.generator(real_scores, fake_scores)
            discriminator_loss = loss.discriminator(real_scores, fake_scores)
            slopes, *discriminator_gradients = torch.autograd.grad(discriminator_loss, [shown, *discriminator_weights])
            turn = loss.turn(real_scores.detach(), fake_scores.detach())
            generator_gradients = torch.autograd.grad(fakes, generator_weights, slopes * turn[:, None, None, None])
        else:
            real_scores, fake_scores = judge(reals, classes), judge(shown, classes)
            discriminator_loss = loss.discriminator(real_scores, fake_scores)
            discriminator_gradients = list(torch.autograd.grad(discriminator_loss, discriminator_weights))

        # The penalty, every few steps and weighted accordingly. R1 and R2 have half of gamma each; a factor 2 makes a
        # mean over both a sum of two means.
        if penalised:
            if recipe.penalty_kind == "zero_centred":
                penalty = gradient_penalty(judge, both, twice)
                weighted = penalty * (2 * recipe.penalty / 2 * recipe.penalty_every)
            else:
                penalty = interpolates_penalty(judge, reals, shown, classes, between)
                weighted = penalty * (recipe.penalty * recipe.penalty_every)
            penalty_gradients = torch.autograd.grad(weighted, discriminator_weights, allow_unused=True)
            discriminator_gradients = [
                gradient if more is None else gradient + more
                for gradient, more in zip(discriminator_gradients, penalty_gradients, strict=True)
            ]
            penalty = penalty.detach()
        discriminator_optimiser.step(discriminator_gradients, recipe.discriminator_rate * factor)

        # The generator's step; or its turn, against a discriminator that has just stepped and now is frozen.
        if together:
            generator_optimiser.step(generator_gradients, recipe.generator_rate * factor)
        elif (step - 1) % recipe.discriminator_steps == 0:
            for _ in range(recipe.generator_steps):
                against = real_scores.detach()
                if loss.compares:
                    with torch.no_grad():
                        against = judge(reals, classes)
                generator_loss = loss.generator(against, judge(fakes_of(classes), classes))
                generator_gradients = torch.autograd.grad(generator_loss, generator_weights)
                generator_optimiser.step(generator_gradients, recipe.generator_rate * factor)

        # The average follows: weights, and batch norm's moving averages.
        decay = min(recipe.average, step / (step + 9))  # at first the average forgets faster
        with torch.no_grad():
            torch._foreach_lerp_(following, followed, 1 - decay)

        real_scores, fake_scores = real_scores.detach(), fake_scores.detach()
        accuracies.append(loss.accuracy(real_scores, fake_scores))
        if loss.probability:
            real_scores, fake_scores = real_scores.sigmoid(), fake_scores.sigmoid()
        measured.append(
            torch.stack(
                [
                    generator_loss.detach(),
                    discriminator_loss.detach(),
                    real_scores.mean(),
                    fake_scores.mean(),
                    _norm(generator_gradients),
                    _norm(discriminator_gradients),
                    penalty,
                ]
            )
        )
        if step % every == 0 or step == steps:
            means = torch.stack(measured).mean(0).tolist()
            record = {"step": step, **dict(zip(MEASURED, means, strict=True)), "spread": monitor.spread()}
            record["discriminator_accuracy"] = torch.stack(accuracies).mean().item()
            record["epoch"] = step * recipe.batch_size / len(real)
            measured.clear()
            accuracies.clear()
            yield record
            if not all(math.isfinite(value) for value in record.values()):
                return


MEASURED = (
    "generator_loss",
    "discriminator_loss",
    "real_score",
    "fake_score",
    "generator_gradient",
    "discriminator_gradient",
    "penalty",
)


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


def _averaged(network: Generator) -> list[Tensor]:
    """What the running average follows: weights, and the moving averages of batch norm (but not its counters)."""
    values = chain(network.parameters(), network.buffers())
    return [value for value in values if value.is_floating_point()]


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm([gradient.detach() for gradient in gradients])).norm()
