"""What the pairs of networks share: what each of them promises, and the layers that torch has in another form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pipeline.bfloat16 import BatchNorm1d, BatchNorm2d
from pipeline.config import require
from pipeline.errors import InputError
from pipeline.stacked import is_stacked


class NetworksConfig:
    """The numbers of one pair of networks. Each pair has a frozen dataclass of its own below this class.

    name: the pair's, in the registry. latent: size of the noise. mixes_batch: do the images of a batch influence each
    other's scores (batch norm in the discriminator)?
    """

    name: str
    latent: int
    mixes_batch: ClassVar[bool] = False


class Generator(nn.Module):
    """Noise (N, latent) and labels (N,) to images (N, C, H, W) in [-1, 1].

    Built with `classes` None it knows no classes; all labels are 0 then.
    """

    latent: int

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError


class Discriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,) to scores (N,), higher for real.

    Built with `classes` None it knows no classes; all labels are 0 then. drawn: what dropout and noise inside the
    network are made of, as `draw` gives it; left out for neither.
    """

    def forward(self, images: Tensor, labels: Tensor, *drawn: Tensor) -> Tensor:
        raise NotImplementedError

    def draw(self, count: int, draws: torch.Generator) -> list[Tensor]:
        """Random numbers for one pass of `count` images, each (count, ...), on the generator's device; here none.

        They are drawn outside, so that a pass is a function of what it is given, and can be stacked and captured.
        """
        return []


def require_multiple(shape: tuple[int, int, int], of: int, name: str) -> None:
    """Raise InputError, which names a side that can be made, unless both sides are multiples of `of` from 8 on."""
    _, height, width = shape
    if height % of or width % of or min(height, width) < 8:
        raise InputError(
            f"data.image_size: {name} makes sides of 8, 12, 16, ... (multiples of {of}), not {height}x{width}; "
            f"set it to {max(8, round(height / of) * of)}"
        )


def require_numbers(config: object, widths: tuple[str, ...] = (), shares: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless fields `widths` (a number or several) are positive and fields `shares` lie in [0, 1)."""
    for name in widths:
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            require(number > 0, f"{name}: must be positive")
        require(value != (), f"{name}: must name at least one")
    for name in shares:
        require(0 <= getattr(config, name) < 1, f"{name}: must lie in [0, 1)")


def batch_norm(channels: int, momentum: float, dimensions: int = 2) -> BatchNorm1d | BatchNorm2d:
    """As Keras has it: `momentum` is the share of the moving averages that a step keeps (torch counts the rest)."""
    layer = BatchNorm1d if dimensions == 1 else BatchNorm2d
    return layer(channels, eps=1e-3, momentum=1 - momentum)


def uniform(shape: Sequence[int], draws: torch.Generator) -> Tensor:
    """In [0, 1): what `dropout` takes."""
    return torch.rand(*shape, generator=draws, device=draws.device)


def normal(shape: Sequence[int], draws: torch.Generator) -> Tensor:
    """Standard normal: what `gaussian_noise` takes."""
    return torch.randn(*shape, generator=draws, device=draws.device)


def dropout(values: Tensor, share: float, drawn: Tensor | None) -> Tensor:
    """Sets to 0 the values where `drawn`, uniform, lies below `share`, and multiplies the rest by 1 / (1 - share);
    without `drawn` nothing happens.
    """
    return values if drawn is None else values * (drawn >= share) / (1 - share)


def gaussian_noise(values: Tensor, deviation: float, drawn: Tensor | None) -> Tensor:
    """Adds `drawn`, standard normal, times `deviation`; without it nothing happens."""
    return values if drawn is None else values + deviation * drawn


def channels_last(images: Tensor) -> Tensor:
    """(N, C, H, W) with the channels innermost in memory, where convolutions are faster; the same values.

    Several networks' images at once (R, N, C, H, W), or the part of them that vmap shows one network, stay as they are:
    torch has no such order for these.
    """
    if images.dim() != 4 or is_stacked(images):
        return images
    return images.contiguous(memory_format=torch.channels_last)


def initialise_as_keras(network: nn.Module) -> None:
    """Glorot's uniform initialisation and biases of 0: what the systems written in Keras began with."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def positions(shape: tuple[int, int, int], halvings: int) -> int:
    """Places of a map after so many convolutions of stride 2 that round up."""
    _, height, width = shape
    return math.prod(-(-side // 2**halvings) for side in (height, width))
