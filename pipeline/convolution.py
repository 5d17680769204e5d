"""A convolution that, of several stacked networks on a GPU, is one batched product.

vmap turns R convolutions into one of R groups, which cuDNN computes group by group in part (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.stacked import is_stacked


class Conv2d(nn.Conv2d):
    """torch's own; square kernels, no groups, no dilation."""

    def forward(self, images: Tensor) -> Tensor:
        if not _as_product(self.weight):
            return super().forward(images)
        weight, bias, kind = self.weight, self.bias, images.device.type
        if torch.is_autocast_enabled(kind):  # it knows convolutions, and would not reach the backward pass
            lower = torch.get_autocast_dtype(kind)
            images, weight = images.to(lower), weight.to(lower)
        products: Tensor = Product.apply(images, weight, self.stride[0], self.padding[0])  # type: ignore[no-untyped-call]
        return products if bias is None else products + bias.to(products.dtype)[:, None, None]


def _as_product(weight: Tensor) -> bool:
    return weight.is_cuda and is_stacked(weight)


class Product(torch.autograd.Function):
    """Patches of images (N, C, H, W) times weights (O, C, K, K): (N, O, h, w), channels innermost in memory.

    torch would fold a gradient back patch by patch. Here the gradient by the images is a convolution of the gradient
    with the weights turned round, and so a product too; both can be differentiated again.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        size = weight.shape[-1]
        patches = _patches(F.pad(images, [padding] * 4), size, stride)
        count, height, width = patches.shape[:3]
        products = patches.reshape(count * height * width, -1) @ _rows(weight).T
        return products.view(count, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
        images, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(images, weight)

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        stride, padding, size = ctx.stride, ctx.padding, weight.shape[-1]
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            # Between the slopes lie as many zeros as the stride left out; around them, what makes the images' size.
            spread, outer = slopes, size - 1 - padding
            (height, width), (rows, columns) = slopes.shape[-2:], images.shape[-2:]
            if stride > 1:
                spread = F.pad(slopes[..., None, :, None], [0, stride - 1, 0, 0, 0, stride - 1])
                spread = spread.reshape(*slopes.shape[:2], stride * height, stride * width)
            below, right = rows + padding - stride * height, columns + padding - stride * width
            spread = F.pad(spread, [outer, right, outer, below])
            of_images = Product.apply(spread, weight.flip(-1, -2).transpose(0, 1), 1, 0)
        if ctx.needs_input_grad[1]:
            patches = _patches(F.pad(images, [padding] * 4), size, stride)
            by_row = slopes.permute(0, 2, 3, 1).reshape(-1, weight.shape[0])
            products = by_row.T @ patches.reshape(by_row.shape[0], -1)
            of_weight = products.view(weight.shape[0], size, size, -1).permute(0, 3, 1, 2)
        return of_images, of_weight, None, None


def _patches(images: Tensor, size: int, stride: int) -> Tensor:
    """(N, C, H, W) to (N, h, w, K, K, C), a view."""
    return images.unfold(2, size, stride).unfold(3, size, stride).permute(0, 2, 3, 4, 5, 1)


def _rows(weight: Tensor) -> Tensor:
    """(O, C, K, K) to (O, K * K * C); a view, where channels are innermost."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
