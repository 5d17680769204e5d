"""A small modern CNN that trains in seconds on 50 digits a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.bfloat16 import BatchNorm2d
from pipeline.chunks import in_chunks
from pipeline.convolution import Conv2d

# The penultimate features are few enough for a Fréchet distance on a few thousand images.
FEATURES = 64


class Classifier(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to logits (N, classes); any C, and any H and W of 8 or more.

    Three convolutions with batch norm, a global maximum over positions, dropout while training, one linear layer.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            Conv2d(channels, width, 5, stride=2, padding=2, bias=False),
            nn.MaxPool2d(2),  # before the norm, which then has a quarter to do
            BatchNorm2d(width),
            nn.ReLU(),
            Conv2d(width, 2 * width, 3, padding=1, bias=False),
            BatchNorm2d(2 * width),
            nn.ReLU(),
            Conv2d(2 * width, FEATURES, 3, stride=2, padding=1, bias=False),
            BatchNorm2d(FEATURES),
            nn.ReLU(),
        )
        self.linear = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 64): what the linear layer sees."""
        return self.convolutions(images).amax((2, 3))

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits; `mask` (N, 64), as `uniform_to_mask` gives it, multiplies the features while training."""
        features = self.features(images)
        return self.linear(features if mask is None else features * mask)


def dropout_draw(shape: Sequence[int], draws: torch.Generator) -> Tensor:
    """(*shape, 64), uniform in [0, 1): what `uniform_to_mask` takes, for one network or several."""
    return torch.rand(*shape, FEATURES, generator=draws, device=draws.device)


def uniform_to_mask(uniform: Tensor, rate: float) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate); nn.Dropout takes global random numbers."""
    return (uniform >= rate).float() / (1 - rate)


@torch.no_grad()
def images_to_logits(network: Classifier, images: Tensor, chunk: int = 1000) -> Tensor:
    """Logits (N, classes) in evaluation mode, `chunk` images at a time, fewer where memory runs out."""
    network.eval()
    return torch.cat([*in_chunks(lambda part: network(images[part]), len(images), chunk)])


@torch.no_grad()
def images_to_features(network: Classifier, images: Tensor, chunk: int = 1000) -> Tensor:
    """Features (N, 64) in evaluation mode, `chunk` images at a time, fewer where memory runs out."""
    network.eval()
    return torch.cat([*in_chunks(lambda part: network.features(images[part]), len(images), chunk)])
