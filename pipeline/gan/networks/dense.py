"""Dense layers alone: the pair of `cgan_mlp` and `gan_mlp`, for images of any side.

The label enters both players as an embedding that multiplies what they are given, the noise or the pixels, as in the
usual Keras conditional GAN (Linder-Norén's Keras-GAN, after Mirza & Osindero 2014, who concatenate).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.gan.networks import layers
from pipeline.gan.networks.layers import (
    NetworksConfig,
    batch_norm,
    dropout,
    initialise_as_keras,
    require_numbers,
    uniform,
)

SLOPE = 0.2  # of the leaky ReLUs


@dataclass(frozen=True)
class Config(NetworksConfig):
    """generator_widths, discriminator_widths: of the hidden layers, in order. dropout: after each hidden layer of the
    discriminator but the first. momentum: share of batch norm's moving averages that a step keeps.
    """

    latent: int
    generator_widths: tuple[int, ...]
    discriminator_widths: tuple[int, ...]
    dropout: float
    momentum: float
    name: Literal["dense"] = "dense"

    def __post_init__(self) -> None:
        widths = ("latent", "generator_widths", "discriminator_widths")
        require_numbers(self, widths, shares=("dropout", "momentum"))


class Generator(layers.Generator):
    """Dense layers, each with leaky ReLU and batch norm, and one with tanh that paints."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        self.latent, self.shape = config.latent, shape
        sizes = (config.latent, *config.generator_widths)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.norms = nn.ModuleList(batch_norm(size, config.momentum, 1) for size in sizes[1:])
        self.paint = nn.Linear(sizes[-1], math.prod(shape))
        initialise_as_keras(self)
        self.label = None if classes is None else nn.Embedding(classes, config.latent)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        values = noise if self.label is None else noise * self.label(labels)
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            values = norm(F.leaky_relu(layer(values), SLOPE))
        return torch.tanh(self.paint(values)).view(-1, *self.shape)  # (N, C, H, W)


class DiscriminatorNumbers(Protocol):
    """What a configuration says of the dense discriminator, which other pairs use too."""

    @property
    def discriminator_widths(self) -> tuple[int, ...]: ...

    @property
    def dropout(self) -> float: ...


class Discriminator(layers.Discriminator):
    """Dense layers with leaky ReLU and, after the first, dropout; the score is what a sigmoid would read."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: DiscriminatorNumbers) -> None:
        super().__init__()
        self.dropout, self.widths = config.dropout, config.discriminator_widths
        sizes = (math.prod(shape), *self.widths)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.score = nn.Linear(sizes[-1], 1)
        initialise_as_keras(self)
        self.label = None if classes is None else nn.Embedding(classes, sizes[0])

    def forward(self, images: Tensor, labels: Tensor, *drawn: Tensor) -> Tensor:
        values, left = images.flatten(1), iter(drawn)  # (N, C * H * W)
        if self.label is not None:
            values = values * self.label(labels)
        for number, layer in enumerate(self.hidden):
            values = F.leaky_relu(layer(values), SLOPE)
            if number > 0:
                values = dropout(values, self.dropout, next(left, None))
        return self.score(values).squeeze(1)

    def draw(self, count: int, draws: torch.Generator) -> list[Tensor]:
        """For dropout, (N, width) after each hidden layer but the first."""
        return [uniform((count, width), draws) for width in self.widths[1:] if self.dropout > 0]
