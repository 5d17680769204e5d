"""Batched, differentiable augmentation: one draw per image, all of a batch in one resampling.

The classical arm and the GAN's reals use the same transform. Affine distortion as Simard et al. (2003), "Best practices
for convolutional neural networks applied to visual document analysis", with its elastic displacement drawn on a coarse
grid and interpolated, which costs one small upsampling instead of a convolution per image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.config import require


@dataclass(frozen=True)
class Distortion:
    """How far an image may be moved; every range is symmetric and uniform.

    rotate: degrees. scale: the factor lies in [1 - scale, 1 + scale], drawn per axis. shear: tangent of the angle.
    translate: share of the image's side. elastic: standard deviation of the coarse displacement, share of the side;
    elastic_cells: cells of the coarse grid along a side.
    """

    rotate: float = 12.0
    scale: float = 0.12
    shear: float = 0.15
    translate: float = 0.07
    elastic: float = 0.0
    elastic_cells: int = 5

    def __post_init__(self) -> None:
        for name in ("rotate", "scale", "shear", "translate", "elastic"):
            require(getattr(self, name) >= 0, f"{name}: must not be negative")
        require(self.rotate <= 180, "rotate: must be at most 180 degrees")
        require(self.scale < 1, "scale: must be below 1")
        require(self.elastic_cells >= 2, "elastic_cells: must be at least 2")


def distort(images: Tensor, distortion: Distortion, generator: torch.Generator) -> Tensor:
    """Resample `images` (N, C, H, W), each under its own draw; outside the image lies the value -1 (black).

    Pixels are in [-1, 1]. Draws come from `generator` on its own device, so that a CPU generator gives the same
    distortions on any device.
    """
    count, _, height, width = images.shape
    device = images.device

    def uniform(limit: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=generator, device=generator.device) * 2 - 1) * limit

    angle = uniform(math.radians(distortion.rotate))
    stretch = 1 + uniform(distortion.scale, 2)
    shear = uniform(distortion.shear)
    shift = 2 * uniform(distortion.translate, 2)  # affine_grid's coordinates run from -1 to 1
    cos, sin = angle.cos(), angle.sin()
    # rotation times shear times scale: (N, 2, 2)
    linear = torch.stack(
        [
            torch.stack([cos, -sin], 1),
            torch.stack([sin, cos], 1),
        ],
        1,
    )
    linear = linear @ torch.stack(
        [
            torch.stack([1 / stretch[:, 0], shear], 1),
            torch.stack([torch.zeros_like(shear), 1 / stretch[:, 1]], 1),
        ],
        1,
    )
    theta = torch.cat([linear, shift[:, :, None]], 2).to(device)  # (N, 2, 3)
    grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)  # (N, H, W, 2)
    if distortion.elastic > 0:
        cells = distortion.elastic_cells
        coarse = torch.randn(count, 2, cells, cells, generator=generator, device=generator.device)
        coarse = coarse.to(device) * (2 * distortion.elastic)
        fine = _enlarging(cells, height).to(device) @ coarse @ _enlarging(cells, width).T.to(device)  # (N, 2, H, W)
        grid = grid + fine.permute(0, 2, 3, 1)
    # black is -1, and grid_sample pads with 0
    return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


@lru_cache
def _enlarging(cells: int, side: int) -> Tensor:
    """(side, cells): bicubic interpolation along one axis as a matrix, far cheaper than F.interpolate each time."""
    return F.interpolate(torch.eye(cells)[None, None], (side, cells), mode="bicubic", align_corners=True)[0, 0]
