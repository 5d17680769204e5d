"""Batched, differentiable augmentation: one draw per image, all of a batch in one resampling.

The classical arm and the GAN's reals use the same transform. Affine distortion as Simard et al. (2003), "Best practices
for convolutional neural networks applied to visual document analysis", with its elastic displacement drawn on a coarse
grid and interpolated, which costs one small upsampling instead of a convolution per image.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.distortion import Distortion


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
    across, down = (1 / (1 + uniform(distortion.scale, 2))).unbind(1)
    shear = uniform(distortion.shear)
    shift = 2 * uniform(distortion.translate, 2)  # places run from -1 to 1
    cos, sin = angle.cos(), angle.sin()
    # rotation times shear times scale, and the shift: where each output place is read from
    weights = torch.stack(
        [
            torch.stack([cos * across, cos * shear - sin * down, shift[:, 0]], 1),
            torch.stack([sin * across, sin * shear + cos * down, shift[:, 1]], 1),
        ],
        1,
    )  # (N, 2, 3)
    cells = 0
    if distortion.elastic > 0:
        cells = distortion.elastic_cells
        coarse = torch.randn(count, 2, cells * cells, generator=generator, device=generator.device)
        weights = torch.cat([weights, coarse * (2 * distortion.elastic)], 2)
    basis = _places(cells, height, width, device)
    grid = (weights.to(device).flatten(0, 1) @ basis).view(count, 2, height, width).permute(0, 2, 3, 1)
    # black is -1, and grid_sample pads with 0
    moved = F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if distortion.blur > 0:  # after the move, as a lens does it
        moved = _blurred(moved, (uniform(distortion.blur).abs() * height).to(device))
    return moved - 1


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """(N, C, H, W), black at 0, each under a Gaussian of its own `sigma` (N,), in pixels; outside is black.

    As two small matrix products an image, rows and columns, because every image has a kernel of its own.
    """
    height, width = images.shape[2:]
    offsets = torch.arange(max(height, width), device=images.device)
    # no narrower than a tenth of a pixel, which leaves an image as it is, so that nothing is divided by 0
    kernels = torch.exp(-((offsets / sigma.clamp(min=0.1)[:, None]) ** 2) / 2)  # (N, offsets): one half of each
    kernels = kernels / (2 * kernels.sum(1, keepdim=True) - 1)  # over both halves, whose middle is one
    down, across = (
        kernels[:, (offsets[:side, None] - offsets[:side]).abs()][:, None] for side in (height, width)
    )  # (N, 1, side, side)
    return down @ images @ across


@lru_cache
def _places(cells: int, height: int, width: int, device: torch.device) -> Tensor:
    """(3 + cells^2, H * W): what a grid of places is a sum of: x, y, 1, and each coarse cell's bicubic share.

    One matrix product then makes a batch's grid, far cheaper than affine_grid and an interpolation each time.
    """
    identity = torch.eye(2, 3)[None]
    x, y = F.affine_grid(identity, [1, 1, height, width], align_corners=False)[0].flatten(0, 1).unbind(1)
    rows = torch.stack([x, y, torch.ones_like(x)])
    if cells:
        shares = torch.eye(cells * cells).view(1, -1, cells, cells)
        elastic = F.interpolate(shares, (height, width), mode="bicubic", align_corners=True)[0].flatten(1)
        rows = torch.cat([rows, elastic])
    return rows.to(device)
