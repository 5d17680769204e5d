"""What each player minimises, as pure functions of the discriminator's scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(-(D(x) - D(G(z)))), paired within the batch: scores (N,) each (Jolicoeur-Martineau 2018)."""
    return F.softplus(fake - real).mean()


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(-(D(G(z)) - D(x))): the same with the parts exchanged."""
    return F.softplus(real - fake).mean()


def relativistic_turn(real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator loss's slope by each fake's score, times this, is the generator loss's: scores (N,) each.

    With d = D(x) - D(G(z)): -sigmoid(d) / sigmoid(-d) = -exp(d). Where the discriminator is surer than 1 : e^60, the
    generator's slope is cut short, and stays a number.
    """
    return -torch.exp((real - fake).clamp(max=60))


def gradient_penalty(discriminator: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """mean over images of |dD(x)/dx|^2, zero-centred: R1 on reals (Mescheder et al. 2018), R2 on fakes.

    The caller multiplies by gamma / 2. Can be differentiated again by the discriminator's parameters.
    """
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    return gradients.square().sum((1, 2, 3)).mean()
