"""What each player minimises, as pure functions of the discriminator's scores: a new loss is a few lines here.

All of it also takes several GANs at once, whose tensors have one dimension more in front, and gives a value for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Scores = Callable[[Tensor, Tensor], Tensor]  # of reals (..., N) and of fakes (..., N)


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(-(D(x) - D(G(z)))), paired within the batch: scores (N,) each (Jolicoeur-Martineau 2018)."""
    return F.softplus(fake - real).mean(-1)


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(-(D(G(z)) - D(x))): the same with the parts exchanged."""
    return F.softplus(real - fake).mean(-1)


def relativistic_turn(real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator loss's slope by each fake's score, times this, is the generator loss's: scores (N,) each.

    With d = D(x) - D(G(z)): -sigmoid(d) / sigmoid(-d) = -exp(d). Where the discriminator is surer than 1 : e^60, the
    generator's slope is cut short, and stays a number.
    """
    return -torch.exp((real - fake).clamp(max=60))


def cross_entropy_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean -log s(D(x)) + mean -log(1 - s(D(G(z)))), s the sigmoid (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean(-1) + F.softplus(fake).mean(-1)


def cross_entropy_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean -log s(D(G(z))): the form that does not saturate where the discriminator is sure."""
    return F.softplus(-fake).mean(-1)


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z))) (Lim & Ye 2017)."""
    return F.relu(1 - real).mean(-1) + F.relu(1 + fake).mean(-1)


def hinge_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-mean D(G(z))."""
    return -fake.mean(-1)


def least_squares_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean (D(x) - 1)^2 / 2 + mean (D(G(z)) + 1)^2 / 2 (Mao et al. 2017, their a = -1, b = 1)."""
    return (real - 1).square().mean(-1) / 2 + (fake + 1).square().mean(-1) / 2


def least_squares_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean D(G(z))^2 / 2 (their c = 0, with which the pair minimises Pearson's chi-squared)."""
    return fake.square().mean(-1) / 2


def wasserstein_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean D(G(z)) - mean D(x) (Arjovsky et al. 2017); needs a penalty that bounds D's slope."""
    return fake.mean(-1) - real.mean(-1)


def wasserstein_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-mean D(G(z))."""
    return -fake.mean(-1)


def share_of_pairs(real: Tensor, fake: Tensor) -> Tensor:
    """Share of the pairs of a batch, a real and a fake of one class, whose real has the higher score."""
    return (real > fake).float().mean(-1)


def share_of_sides(real: Tensor, fake: Tensor) -> Tensor:
    """Share of all scores that lie on their own side of 0: reals above, fakes below."""
    return ((real > 0).float().mean(-1) + (fake < 0).float().mean(-1)) / 2


@dataclass(frozen=True)
class Loss:
    """One choice of losses.

    compares: the generator's loss needs the scores of reals too. accuracy: the discriminator's, in [0, 1]; by sides of
    0 where a score's sign means something, by pairs where only differences do. probability: scores are read through a
    sigmoid, as the probability that an image is real. turn: what turns one player's slope by a fake's score into the
    other's, where there is such a factor.
    """

    discriminator: Scores
    generator: Scores
    accuracy: Scores = share_of_sides
    compares: bool = False
    probability: bool = False
    turn: Scores | None = None


LOSSES = {
    "relativistic": Loss(
        relativistic_discriminator_loss,
        relativistic_generator_loss,
        accuracy=share_of_pairs,
        compares=True,
        turn=relativistic_turn,
    ),
    "cross_entropy": Loss(cross_entropy_discriminator_loss, cross_entropy_generator_loss, probability=True),
    "hinge": Loss(hinge_discriminator_loss, hinge_generator_loss),
    "least_squares": Loss(least_squares_discriminator_loss, least_squares_generator_loss),
    "wasserstein": Loss(wasserstein_discriminator_loss, wasserstein_generator_loss, accuracy=share_of_pairs),
}


def gradient_penalty(discriminator: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """mean over images of |dD(x)/dx|^2, zero-centred: R1 on reals (Mescheder et al. 2018), R2 on fakes.

    The caller multiplies by gamma / 2. Can be differentiated again by the discriminator's parameters.
    """
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    return gradients.square().sum((-3, -2, -1)).mean(-1)


def interpolates_penalty(
    discriminator: Callable[[Tensor, Tensor], Tensor],
    reals: Tensor,
    fakes: Tensor,
    labels: Tensor,
    shares: Tensor,
) -> Tensor:
    """mean (|dD(y)/dy| - 1)^2 at y = u x + (1 - u) G(z), u uniform in [0, 1), one for each pair.

    From Gulrajani et al. (2017). reals, fakes: (N, C, H, W), of the same classes. shares: (N,), the u. The caller
    multiplies by lambda. Can be differentiated again by the discriminator's parameters, also where the slope is 0.
    """
    shares = shares[..., None, None, None]
    images = (shares * reals + (1 - shares) * fakes).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    return ((gradients.square().sum((-3, -2, -1)) + 1e-12).sqrt() - 1).square().mean(-1)
