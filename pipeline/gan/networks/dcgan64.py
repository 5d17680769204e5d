"""The pair of `dcgan64`: 4x4 convolutions from 64x64 pixels to one score and back, as Radford et al. (2016).

The label enters the generator as an embedding beside the noise, and the discriminator as one more channel of the image,
an embedding as large as the image. Batch norm in the discriminator mixes the images of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.bfloat16 import BatchNorm2d
from pipeline.errors import InputError
from pipeline.gan.networks import layers
from pipeline.gan.networks.layers import NetworksConfig, channels_last, require_numbers

SIDE = 64
EMBEDDED = 50  # numbers that stand for a label beside the noise


@dataclass(frozen=True)
class Config(NetworksConfig):
    """width: channels next to the image, doubled at each of the three next layers. momentum: share of batch norm's
    moving averages that a step keeps.
    """

    latent: int
    width: int
    momentum: float
    name: Literal["dcgan64"] = "dcgan64"
    mixes_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_numbers(self, widths=("latent", "width"), shares=("momentum",))


class Generator(layers.Generator):
    """Transposed 4x4 convolutions to sides of 4, 8, 16, 32 and 64, batch norm and ReLU after each but the last."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        channels, height, width = shape
        if (height, width) != (SIDE, SIDE):
            raise InputError(
                f"data.image_size: the pair `dcgan64` makes {SIDE}x{SIDE} images and no others, not {height}x{width}; "
                f"set it to {SIDE}"
            )
        self.latent = config.latent
        sizes = (
            config.latent + (0 if classes is None else EMBEDDED),
            *(config.width * times for times in (8, 4, 2, 1)),
            channels,
        )
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, *((1, 0) if number == 0 else (2, 1)), bias=False)
            for number, (before, after) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(BatchNorm2d(size, momentum=1 - config.momentum) for size in sizes[1:-1])
        self.label = None if classes is None else nn.Embedding(classes, EMBEDDED)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        values = noise if self.label is None else torch.cat([noise, self.label(labels)], 1)
        values = channels_last(values[:, :, None, None])  # (N, latent, 1, 1)
        *hidden, paint = self.convolutions
        for convolution, norm in zip(hidden, self.norms, strict=True):
            values = F.relu(norm(convolution(values)))
        return torch.tanh(paint(values))  # (N, C, 64, 64)


class Discriminator(layers.Discriminator):
    """4x4 convolutions of stride 2 to sides of 32, 16, 8 and 4 with batch norm and leaky ReLU, and one that scores."""

    def __init__(self, shape: tuple[int, int, int], classes: int | None, config: Config) -> None:
        super().__init__()
        channels, *side = shape
        self.plane = (1, *side)
        sizes = (channels + (0 if classes is None else 1), *(config.width * times for times in (1, 2, 4, 8)))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False) for before, after in pairwise(sizes)
        )
        self.norms = nn.ModuleList(BatchNorm2d(size, momentum=1 - config.momentum) for size in sizes[1:])
        self.score = nn.Conv2d(sizes[-1], 1, 4, bias=False)
        self.label = None if classes is None else nn.Embedding(classes, side[0] * side[1])

    def forward(self, images: Tensor, labels: Tensor, *drawn: Tensor) -> Tensor:
        values = images
        if self.label is not None:
            values = torch.cat([values, self.label(labels).view(-1, *self.plane)], 1)  # (N, C + 1, 64, 64)
        values = channels_last(values)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            values = F.leaky_relu(norm(convolution(values)), 0.2)
        return self.score(values).flatten()  # (N, 1, 1, 1) -> (N,)
