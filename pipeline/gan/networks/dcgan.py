"""The pair of `dcgan` and `deep_dense_dcgan`: 5x5 convolutions as in TensorFlow's tutorial (after Radford et al. 2016).

The label enters the generator as an embedding beside the noise, and the discriminator as one more channel of the image,
an embedding as large as the image: the usual way of a convolutional conditional GAN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.config import require
from pipeline.gan.networks import layers
from pipeline.gan.networks.layers import (
    NetworksConfig,
    batch_norm,
    channels_last,
    dropout,
    gaussian_noise,
    initialise_as_keras,
    normal,
    positions,
    require_multiple,
    require_numbers,
    uniform,
)

SLOPE = 0.3  # of the leaky ReLUs, Keras' own
EMBEDDED = 50  # numbers that stand for a label beside the noise


@dataclass(frozen=True)
class Config(NetworksConfig):
    """generator_channels: at a quarter of the side, after the first and after the second transposed convolution.
    dense_layers: before these. discriminator_channels: of each convolution. noise: standard deviation of what is added
    to the discriminator's images. dropout: after each of its convolutions. momentum: share of batch norm's moving
    averages that a step keeps.
    """

    latent: int
    dense_layers: int
    generator_channels: tuple[int, ...]
    discriminator_channels: tuple[int, ...]
    noise: float
    dropout: float
    momentum: float
    name: Literal["dcgan"] = "dcgan"

    def __post_init__(self) -> None:
        widths = ("latent", "dense_layers", "generator_channels", "discriminator_channels")
        require_numbers(self, widths, shares=("dropout", "momentum"))
        require(len(self.generator_channels) == 3, "generator_channels: must be three numbers")
        require(self.noise >= 0, "noise: must not be negative")


class Generator(layers.Generator):
    """Dense layers to a quarter of the side, then transposed convolutions of stride 1, 2 and 2; no biases."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        require_multiple(shape, 4, "the pair `dcgan`")
        channels, height, width = shape
        first, second, third = config.generator_channels
        self.latent, self.base = config.latent, (first, height // 4, width // 4)
        size = math.prod(self.base)
        sizes = (config.latent + (0 if classes is None else EMBEDDED), *[size] * config.dense_layers)
        self.dense = nn.ModuleList(nn.Linear(before, after, bias=False) for before, after in pairwise(sizes))
        self.dense_norms = nn.ModuleList(batch_norm(size, config.momentum, 1) for _ in self.dense)
        self.at_quarter = nn.ConvTranspose2d(first, second, 5, padding=2, bias=False)
        self.quarter_norm = batch_norm(second, config.momentum)
        self.to_half = nn.ConvTranspose2d(second, third, 5, stride=2, padding=2, output_padding=1, bias=False)
        self.half_norm = batch_norm(third, config.momentum)
        self.paint = nn.ConvTranspose2d(third, channels, 5, stride=2, padding=2, output_padding=1, bias=False)
        initialise_as_keras(self)
        self.label = None if classes is None else nn.Embedding(classes, EMBEDDED)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        values = noise if self.label is None else torch.cat([noise, self.label(labels)], 1)
        for layer, norm in zip(self.dense, self.dense_norms, strict=True):
            values = F.leaky_relu(norm(layer(values)), SLOPE)
        values = values.view(-1, *self.base)  # (N, first, H/4, W/4)
        values = F.leaky_relu(self.quarter_norm(self.at_quarter(values)), SLOPE)
        values = F.leaky_relu(self.half_norm(self.to_half(values)), SLOPE)  # (N, third, H/2, W/2)
        return torch.tanh(self.paint(values))  # (N, C, H, W)


class Discriminator(layers.Discriminator):
    """Noise on the image, 5x5 convolutions of stride 2 with leaky ReLU and dropout, and a dense layer that scores."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        channels, height, width = shape
        self.noise, self.dropout, self.channels = config.noise, config.dropout, config.discriminator_channels
        self.shape, self.plane = shape, (1, height, width)
        sizes = (channels + (0 if classes is None else 1), *self.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 5, stride=2, padding=2) for before, after in pairwise(sizes)
        )
        self.score = nn.Linear(sizes[-1] * positions(shape, len(self.convolutions)), 1)
        initialise_as_keras(self)
        self.label = None if classes is None else nn.Embedding(classes, height * width)

    def forward(self, images: Tensor, labels: Tensor, *drawn: Tensor) -> Tensor:
        left = iter(drawn)
        values = gaussian_noise(images, self.noise, next(left, None) if self.noise > 0 else None)
        if self.label is not None:
            values = torch.cat([values, self.label(labels).view(-1, *self.plane)], 1)  # (N, C + 1, H, W)
        values = channels_last(values)
        for convolution in self.convolutions:
            values = dropout(F.leaky_relu(convolution(values), SLOPE), self.dropout, next(left, None))
        return self.score(values.flatten(1)).squeeze(1)

    def draw(self, count: int, draws: torch.Generator) -> list[Tensor]:
        """For noise, (N, C, H, W); for dropout, (N, channels, H', W') after each convolution, with half the sides."""
        drawn = [normal((count, *self.shape), draws)] if self.noise > 0 else []
        _, *side = self.shape
        for channels in self.channels if self.dropout > 0 else ():
            side = [-(-length // 2) for length in side]
            drawn.append(uniform((count, channels, *side), draws))
        return drawn
