"""The default pair: small enough for a CPU, without normalisation, as R3GAN's networks (Huang et al. 2024).

Both work at a quarter of the image's side and fold 4x4 pixels into channels (Shi et al. 2016), in place of strided
convolutions near the image: a CPU does three times as many steps in the same time, and that is worth more.

Nothing in the discriminator mixes the images of a batch: the training loop relies on it to take the gradients of both
players from one pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.convolution import Conv2d
from pipeline.gan.networks import layers
from pipeline.gan.networks.layers import NetworksConfig, channels_last, require_multiple, require_numbers


@dataclass(frozen=True)
class Config(NetworksConfig):
    """latent: size of the noise. generator_width, discriminator_width: channels at a quarter of the image's side."""

    latent: int
    generator_width: int
    discriminator_width: int
    name: Literal["folded"] = "folded"

    def __post_init__(self) -> None:
        require_numbers(self, widths=("latent", "generator_width", "discriminator_width"))


FOLD = 4  # pixels along each side that become channels


class Generator(layers.Generator):
    """H and W must be multiples of 4. Labels enter as an embedding beside the noise, and as gains near the image."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        require_multiple(shape, FOLD, "the pair `folded`")
        channels, height, width = shape
        classes = classes or 1
        self.latent = config.latent
        self.base = (config.generator_width, height // FOLD, width // FOLD)
        full = config.generator_width
        self.label = nn.Embedding(classes, 64)
        self.mapping = nn.Linear(config.latent + 64, 128)
        self.project = nn.Linear(128, math.prod(self.base))
        self.refine = Conv2d(full, full, 3, padding=1)
        self.gain = nn.Embedding(classes, full)  # a gain a class and channel, close to the image
        self.paint = Conv2d(full, channels * FOLD**2, 3, padding=1)
        _initialise(self)
        nn.init.zeros_(self.gain.weight)
        nn.init.normal_(self.paint.weight, 0, 1 / math.sqrt(full * 9))

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        hidden = _activate(self.mapping(torch.cat([noise, self.label(labels)], 1)))
        hidden = _activate(self.project(hidden)).view(-1, *self.base)  # (N, full, H/4, W/4)
        hidden = channels_last(hidden)
        hidden = (hidden + _activate(self.refine(hidden))) * math.sqrt(0.5)
        hidden = hidden * (1 + self.gain(labels))[:, :, None, None]
        return torch.tanh(F.pixel_shuffle(self.paint(hidden), FOLD))  # (N, C, H, W)


class Discriminator(layers.Discriminator):
    """Labels enter by projection (Miyato 2018). It draws nothing."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        channels, height, width = shape
        classes = classes or 1
        full, features = config.discriminator_width, 2 * config.discriminator_width
        self.stem = Conv2d(channels * FOLD**2, full, 3, padding=1)
        self.refine = Conv2d(full, full, 3, padding=1)
        self.last = Conv2d(full, features, 3, stride=2, padding=1)
        positions = math.prod(-(-side // (2 * FOLD)) for side in (height, width))
        self.mix = nn.Linear(features * positions, features)
        self.label = nn.Embedding(classes, features)
        self.score = nn.Linear(features, 1)
        _initialise(self)
        nn.init.normal_(self.label.weight, 0, 1 / math.sqrt(features))
        nn.init.normal_(self.score.weight, 0, 1 / math.sqrt(features))

    def forward(self, images: Tensor, labels: Tensor, *drawn: Tensor) -> Tensor:
        hidden = _activate(self.stem(F.pixel_unshuffle(images, FOLD)))  # (N, full, H/4, W/4)
        hidden = (hidden + _activate(self.refine(hidden))) * math.sqrt(0.5)
        hidden = _activate(self.mix(_activate(self.last(hidden)).flatten(1)))  # (N, features)
        return (hidden * self.label(labels)).sum(1) + self.score(hidden).squeeze(1)


def _activate(values: Tensor) -> Tensor:
    return F.leaky_relu(values, 0.2)


def _initialise(network: nn.Module) -> None:
    """He's normal initialisation, which keeps the scale of activations without any normalisation."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / module.weight[0].numel()))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
