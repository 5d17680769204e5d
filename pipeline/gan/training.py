"""Training one conditional GAN on one replicate's real subset and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.batches import labels_to_batches, to_bytes
from pipeline.feed import gather
from pipeline.gan.losses import (
    gradient_penalty,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    relativistic_turn,
)
from pipeline.gan.networks import Discriminator, Generator
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
        generator = Generator(shape, classes, recipe.networks)
        discriminator = Discriminator(shape, classes, recipe.networks)
    average = copy.deepcopy(generator).requires_grad_(False)
    for network in (generator, discriminator, average):
        network.to(device or torch.device("cpu")).to(memory_format=torch.channels_last)
    return Gan(generator, discriminator, average)


def train(
    gan: Gan, real: LabelledImages, recipe: Recipe, steps: int, seed: int, every: int = 100
) -> Iterator[dict[str, float]]:
    """Train `gan` in place; yield a record every `every` steps and at the end.

    A record: step; generator_loss, discriminator_loss; real_score, fake_score (the discriminator's means);
    generator_gradient, discriminator_gradient (norms); penalty (mean squared gradient at reals and fakes together);
    spread (of the averaged generator within each class). All but the spread are means since the last record. Training
    stops early at a value that is not finite; its record is the last.

    Both players step at once, from one pass forward and one back through the discriminator: no image of a batch
    influences another's score, so that one player's gradient at a fake is a multiple of the other's (Shen et al. 2021,
    "Training GANs in one stage").
    """
    device = next(gan.generator.parameters()).device
    batches = labels_to_batches(real.labels, steps, recipe.batch_size, derive(seed, "batches"))
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    draws = torch.Generator(device).manual_seed(derive(seed, "noise"))
    monitor = new_monitor(gan, len(real.classes), seed)
    generator_weights: list[Tensor] = list(gan.generator.parameters())
    discriminator_weights: list[Tensor] = list(gan.discriminator.parameters())
    average_weights: list[Tensor] = list(gan.average.parameters())
    generator_optimiser = _adam(generator_weights, recipe)
    discriminator_optimiser = _adam(discriminator_weights, recipe)

    measured: list[Tensor] = []
    for step, (reals, classes) in enumerate(gather([(real, batches)], recipe.distort_reals, distortions, device), 1):
        for optimiser in (generator_optimiser, discriminator_optimiser):
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * learning_rate_factor(step - 1, steps)

        # A batch of reals, distorted, and as many fakes of the same classes.
        noise = torch.randn(len(classes), gan.generator.latent, generator=draws, device=device)
        fakes = gan.generator(noise, classes)
        shown = fakes.detach().requires_grad_()
        both = torch.cat([reals, shown]).contiguous(memory_format=torch.channels_last)
        twice = torch.cat([classes, classes])

        # The discriminator's gradient; and at each fake, turned into the generator's, which goes on through it.
        real_scores, fake_scores = gan.discriminator(both, twice).chunk(2)
        generator_loss = relativistic_generator_loss(real_scores, fake_scores)
        discriminator_loss = relativistic_discriminator_loss(real_scores, fake_scores)
        slopes, *discriminator_gradients = torch.autograd.grad(discriminator_loss, [shown, *discriminator_weights])
        turn = relativistic_turn(real_scores.detach(), fake_scores.detach())
        generator_gradients = torch.autograd.grad(fakes, generator_weights, slopes * turn[:, None, None, None])

        # R1 and R2, every few steps and weighted accordingly; the factor 2 makes a mean over both a sum of two means.
        if recipe.penalty > 0 and (step - 1) % recipe.penalty_every == 0:
            penalty = gradient_penalty(gan.discriminator, both, twice)
            weighted = penalty * (2 * recipe.penalty / 2 * recipe.penalty_every)
            penalty_gradients = torch.autograd.grad(weighted, discriminator_weights, allow_unused=True)
            discriminator_gradients = [
                gradient if more is None else gradient + more
                for gradient, more in zip(discriminator_gradients, penalty_gradients, strict=True)
            ]
            last_penalty = penalty.detach()
        elif recipe.penalty == 0:
            last_penalty = torch.zeros((), device=device)

        # Both step, and the average follows.
        _step(generator_optimiser, generator_weights, generator_gradients)
        _step(discriminator_optimiser, discriminator_weights, discriminator_gradients)
        decay = min(recipe.average, step / (step + 9))  # at first the average forgets faster
        with torch.no_grad():
            torch._foreach_lerp_(average_weights, generator_weights, 1 - decay)

        measured.append(
            torch.stack(
                [
                    generator_loss.detach(),
                    discriminator_loss.detach(),
                    real_scores.detach().mean(),
                    fake_scores.detach().mean(),
                    _norm(generator_gradients),
                    _norm(discriminator_gradients),
                    last_penalty,
                ]
            )
        )
        if step % every == 0 or step == steps:
            means = torch.stack(measured).mean(0).tolist()
            measured.clear()
            record = {"step": step, **dict(zip(MEASURED, means, strict=True)), "spread": monitor.spread()}
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

    @torch.no_grad()
    def images(self) -> NDArray[np.uint8]:
        """uint8 (classes * MONITORED, C, H, W), ordered by class; a value that is not finite becomes 0."""
        return to_bytes(self.generator(self.noise, self.labels).nan_to_num())

    def spread(self) -> float:
        """Of the monitored images within each class, on pixels in [-1, 1]; see pipeline.quality.spread."""
        return images_to_spread(self.images(), self.labels.cpu().numpy(), self.classes).mean


def learning_rate_factor(step: int, steps: int) -> float:
    """A short rise, flat until 30 % of `steps`, then linear to a tenth."""
    return min(1.0, (step + 1) / WARM_UP) * (1 - 0.9 * max(0.0, (step / steps - 0.3) / 0.7))


def _adam(weights: Sequence[Tensor], recipe: Recipe) -> torch.optim.Adam:
    return torch.optim.Adam(weights, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2), fused=True)


def _step(optimiser: torch.optim.Optimizer, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    optimiser.step()


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm([gradient.detach() for gradient in gradients])).norm()
