"""The pair of `cgan_conv`: a generator of transposed convolutions against a discriminator of dense layers.

The label enters both players as an embedding that multiplies what they are given, as in the pair `dense`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.gan.networks import dense, layers
from pipeline.gan.networks.layers import (
    NetworksConfig,
    batch_norm,
    initialise_as_keras,
    require_multiple,
    require_numbers,
)


@dataclass(frozen=True)
class Config(NetworksConfig):
    """generator_width: channels at a quarter of the image's side. activation: the generator's. discriminator_widths:
    of the hidden layers. dropout: after each of these but the first. momentum: share of batch norm's moving averages
    that a step keeps.
    """

    latent: int
    generator_width: int
    activation: Literal["leaky_relu", "relu"]
    discriminator_widths: tuple[int, ...]
    dropout: float
    momentum: float
    name: Literal["dense_conv"] = "dense_conv"

    def __post_init__(self) -> None:
        widths = ("latent", "generator_width", "discriminator_widths")
        require_numbers(self, widths, shares=("dropout", "momentum"))


class Generator(layers.Generator):
    """Dense to a quarter of the side, two transposed 4x4 convolutions of stride 2, and a 3x3 one with tanh."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        require_multiple(shape, 4, "the pair `dense_conv`")
        channels, height, width = shape
        full, half = config.generator_width, max(1, config.generator_width // 2)
        self.latent, self.slope = config.latent, 0.0 if config.activation == "relu" else dense.SLOPE
        self.base = (full, height // 4, width // 4)
        self.project = nn.Linear(config.latent, math.prod(self.base))
        self.quarter_norm = batch_norm(full, config.momentum)
        self.to_half = nn.ConvTranspose2d(full, full, 4, stride=2, padding=1)
        self.half_norm = batch_norm(full, config.momentum)
        self.to_whole = nn.ConvTranspose2d(full, half, 4, stride=2, padding=1)
        self.whole_norm = batch_norm(half, config.momentum)
        self.paint = nn.ConvTranspose2d(half, channels, 3, padding=1)
        initialise_as_keras(self)
        self.label = None if classes is None else nn.Embedding(classes, config.latent)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        values = noise if self.label is None else noise * self.label(labels)
        values = self.project(values).view(-1, *self.base)  # (N, full, H/4, W/4)
        values = F.leaky_relu(self.quarter_norm(values), self.slope)
        values = F.leaky_relu(self.half_norm(self.to_half(values)), self.slope)  # (N, full, H/2, W/2)
        values = F.leaky_relu(self.whole_norm(self.to_whole(values)), self.slope)  # (N, full / 2, H, W)
        return torch.tanh(self.paint(values))  # (N, C, H, W)


Discriminator = dense.Discriminator
