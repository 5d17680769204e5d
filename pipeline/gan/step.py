"""One step of a GAN's training, or of several GANs' at once, whose tensors all have one dimension more in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from pipeline.adam import Adam
from pipeline.batches import labels_to_batches
from pipeline.capture import Step
from pipeline.feed import gather, one_by_one
from pipeline.gan.losses import LOSSES, gradient_penalty, interpolates_penalty
from pipeline.gan.networks.layers import Discriminator, Generator, channels_last
from pipeline.gan.recipe import Recipe
from pipeline.images import LabelledImages
from pipeline.seeds import derive

MEASURED = (
    "generator_loss",
    "discriminator_loss",
    "real_score",
    "fake_score",
    "generator_gradient",
    "discriminator_gradient",
    "penalty",
)


@dataclass(frozen=True)
class Players:
    """What a step trains.

    generate: noise (N, latent) and labels (N,) to images (N, C, H, W). judge: images, labels, and what is drawn for
    this pass (`Discriminator.draw`) to scores (N,).
    followed, following: what the average follows, and the average. several: as many GANs at once, whose tensors have
    that dimension in front; None for one.
    """

    generate: Callable[[Tensor, Tensor], Tensor]
    judge: Callable[..., Tensor]
    generator_weights: list[Tensor]
    discriminator_weights: list[Tensor]
    followed: list[Tensor]
    following: list[Tensor]
    several: int | None = None


def moves(recipe: Recipe, step: int) -> tuple[bool, bool]:
    """In step `step`, from 1 on: is the discriminator penalised, and does the generator step too?"""
    penalised = recipe.penalty > 0 and (step - 1) % recipe.penalty_every == 0
    return penalised, recipe.turns == "together" or (step - 1) % recipe.discriminator_steps == 0


def passes(recipe: Recipe, penalised: bool, turn: bool) -> list[int]:
    """Images of each pass through the discriminator in a step of which `moves` says this, in order."""
    size, alternate = recipe.batch_size, recipe.turns == "alternate"
    both = [size, size] if alternate else [2 * size]
    penalty = [size if recipe.penalty_kind == "interpolates" else 2 * size]
    against = [size, size] if LOSSES[recipe.loss].compares else [size]
    fresh = recipe.generator_steps if alternate and turn else 0
    return both + penalty * penalised + against * fresh


def draw(
    real: LabelledImages,
    recipe: Recipe,
    steps: int,
    seed: int,
    generator: Generator,
    discriminator: Discriminator,
) -> Iterator[tuple[Tensor | None, ...]]:
    """All that is drawn for each step of one GAN, each kind of draw from a stream of its own.

    Reals (N, C, H, W), distorted, and their classes (N,); noise (T, N, latent), the first for the fakes that the
    discriminator sees, the others for the generator's turns; shares (N,) where the penalty needs them, else None; then
    what the discriminator draws for each of its passes.
    """
    device, latent = next(generator.parameters()).device, generator.latent
    batches = labels_to_batches(real.labels, steps, recipe.batch_size, derive(seed, "batches"))
    pixels, labels = torch.tensor(real.pixels, device=device), torch.tensor(real.labels, device=device)
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    draws = torch.Generator(device).manual_seed(derive(seed, "noise"))
    between = torch.Generator(device).manual_seed(derive(seed, "interpolates"))
    drops = torch.Generator(device).manual_seed(derive(seed, "dropout"))
    blocks = gather([(pixels, labels, batches)], recipe.distort_reals, distortions, device)
    for step, (reals, classes) in enumerate(one_by_one(blocks), 1):
        penalised, turn = moves(recipe, step)
        times = 1 + (recipe.generator_steps if turn and recipe.turns == "alternate" else 0)
        noise = [torch.randn(len(classes), latent, generator=draws, device=device) for _ in range(times)]
        shares = None
        if penalised and recipe.penalty_kind == "interpolates":
            shares = torch.rand(len(reals), generator=between, device=device)
        own = [discriminator.draw(count, drops) for count in passes(recipe, penalised, turn)]
        yield reals, classes, torch.stack(noise), shares, *chain.from_iterable(own)


def new_step(players: Players, recipe: Recipe) -> Step:
    """The step: of the tensors that `draw` gives, of both learning rates and the share by which the average moves, and
    of what `moves` says. It trains in place and returns what it measured, (7,) as MEASURED, and the discriminator's
    accuracy (). In a step without a penalty or without a turn of the generator, the last one is measured.

    Together, both players step at once, from one pass forward and one back through the discriminator: no image of a
    batch influences another's score, so that one player's gradient at a fake is a multiple of the other's (Shen et al.
    2021, "Training GANs in one stage").
    """
    loss, together = LOSSES[recipe.loss], recipe.turns == "together"
    generate = players.generate
    generator_weights, discriminator_weights = players.generator_weights, players.discriminator_weights
    generator_optimiser = Adam(generator_weights, (recipe.beta1, recipe.beta2))
    discriminator_optimiser = Adam(discriminator_weights, (recipe.beta1, recipe.beta2))
    # What a later step measures again; in place, so that all captured steps share it.
    front = () if players.several is None else (players.several,)
    kept = torch.zeros(3, *front, device=generator_weights[0].device)
    last_penalty, last_loss, last_norm = kept

    def step(
        tensors: tuple[Any, ...],
        numbers: tuple[float | Tensor, float | Tensor, float | Tensor],
        penalised: bool,
        turn: bool,
    ) -> tuple[Tensor, Tensor]:
        reals, classes, noise, shares, *own = tensors
        discriminator_rate, generator_rate, moved = numbers
        first, *fresh = noise.unbind(-3)
        left, each = iter(own), len(own) // len(passes(recipe, penalised, turn))

        def judge(images: Tensor, labels: Tensor) -> Tensor:
            return players.judge(images, labels, *islice(left, each))

        # A batch of reals, distorted, and as many fakes of the same classes; if turns alternate, of a frozen generator.
        with torch.set_grad_enabled(together):
            fakes = generate(first, classes)
        shown = fakes.detach().requires_grad_(together)
        if together or penalised:
            both = channels_last(torch.cat([reals, shown], -4))
            twice = torch.cat([classes, classes], -1)

        # The discriminator's gradient; together, also that at each fake, turned into the generator's, which goes on
        # through it. Of several GANs, the gradient of the sum is each one's own.
        if together and loss.turn is not None:
            real_scores, fake_scores = judge(both, twice).chunk(2, -1)
            generator_loss = loss.generator(real_scores, fake_scores)
            discriminator_loss = loss.discriminator(real_scores, fake_scores)
            slopes, *discriminator_gradients = torch.autograd.grad(
                discriminator_loss.sum(), [shown, *discriminator_weights]
            )
            back = loss.turn(real_scores.detach(), fake_scores.detach())
            # The gradient of this sum is slopes * back at each fake. Given as grad_outputs, torch would compare shapes
            # with the help of sympy, whose import takes half a second.
            upstream = (fakes * (slopes * back[..., None, None, None])).sum()
            generator_gradients = torch.autograd.grad(upstream, generator_weights)
        else:
            real_scores, fake_scores = judge(reals, classes), judge(shown, classes)
            discriminator_loss = loss.discriminator(real_scores, fake_scores)
            discriminator_gradients = list(torch.autograd.grad(discriminator_loss.sum(), discriminator_weights))

        # The penalty, every few steps and weighted accordingly. R1 and R2 have half of gamma each; a factor 2 makes a
        # mean over both a sum of two means.
        if penalised:
            if shares is None:
                penalty = gradient_penalty(judge, both, twice)
                weighted = penalty * (2 * recipe.penalty / 2 * recipe.penalty_every)
            else:
                penalty = interpolates_penalty(judge, reals, shown, classes, shares)
                weighted = penalty * (recipe.penalty * recipe.penalty_every)
            penalty_gradients = torch.autograd.grad(weighted.sum(), discriminator_weights, allow_unused=True)
            discriminator_gradients = [
                gradient if more is None else gradient + more
                for gradient, more in zip(discriminator_gradients, penalty_gradients, strict=True)
            ]
            last_penalty.copy_(penalty.detach())
        discriminator_optimiser.step(discriminator_gradients, discriminator_rate)

        # The generator's step; or its turn, against a discriminator that has just stepped and now is frozen.
        if together:
            generator_optimiser.step(generator_gradients, generator_rate)
        for noise in fresh:
            against = real_scores.detach()
            if loss.compares:
                with torch.no_grad():
                    against = judge(reals, classes)
            generator_loss = loss.generator(against, judge(generate(noise, classes), classes))
            generator_gradients = torch.autograd.grad(generator_loss.sum(), generator_weights)
            generator_optimiser.step(generator_gradients, generator_rate)
        if turn:
            last_loss.copy_(generator_loss.detach())
            last_norm.copy_(_norm(generator_gradients, players.several))

        # The average follows: weights, and batch norm's moving averages.
        with torch.no_grad():
            shares_moved = [moved] * len(players.following) if isinstance(moved, Tensor) else moved
            torch._foreach_lerp_(players.following, players.followed, shares_moved)

        real_scores, fake_scores = real_scores.detach(), fake_scores.detach()
        accuracy = loss.accuracy(real_scores, fake_scores)
        if loss.probability:
            real_scores, fake_scores = real_scores.sigmoid(), fake_scores.sigmoid()
        measured = torch.stack(
            [
                last_loss,
                discriminator_loss.detach(),
                real_scores.mean(-1),
                fake_scores.mean(-1),
                last_norm,
                _norm(discriminator_gradients, players.several),
                last_penalty,
            ]
        )
        return measured, accuracy

    return step


def _norm(gradients: Sequence[Tensor], several: int | None) -> Tensor:
    """Of all of one GAN's gradients together."""
    if several is None:
        return torch.stack(torch._foreach_norm([gradient.detach() for gradient in gradients])).norm()
    return torch.cat([gradient.detach().flatten(1) for gradient in gradients], 1).norm(dim=1)
