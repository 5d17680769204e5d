"""Stacked convolutions as products: torch's own values, gradients, and gradients of these, at every size and stride."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from pipeline import convolution
from pipeline.convolution import Conv2d, Product
from pipeline.stacked import Stacked, is_stacked

# side, size of the kernel, stride, padding
SHAPES = [
    (7, 3, 1, 1),
    (7, 3, 2, 1),
    (8, 3, 2, 1),
    (12, 5, 2, 2),
    (9, 4, 2, 1),
    (6, 1, 1, 0),
    (8, 3, 3, 0),
    (7, 2, 2, 0),
]


def derivatives(products: Tensor, images: Tensor, weights: Tensor) -> list[Tensor]:
    """Of a sum of curved values: by both, and of the squares of these, by both again."""
    firsts = torch.autograd.grad(products.tanh().sum(), [images, weights], create_graph=True)
    seconds = [
        second
        for first in firsts
        for second in torch.autograd.grad(first.square().sum(), [images, weights], retain_graph=True)
    ]
    return [*firsts, *seconds]


@pytest.mark.parametrize(("side", "size", "stride", "padding"), SHAPES)
@pytest.mark.parametrize("replicates", [None, 3])
def test_a_product_is_a_convolution(side: int, size: int, stride: int, padding: int, replicates: int | None) -> None:
    draws, front = torch.Generator().manual_seed(0), () if replicates is None else (replicates,)
    options = {"generator": draws, "dtype": torch.float64, "requires_grad": True}
    images = torch.randn(*front, 2, 3, side, side, **options)  # type: ignore[call-overload]
    weights = torch.randn(*front, 4, 3, size, size, **options)  # type: ignore[call-overload]

    def product(images: Tensor, weights: Tensor) -> Tensor:
        return Product.apply(images, weights, stride, padding)

    def reference(images: Tensor, weights: Tensor) -> Tensor:
        return F.conv2d(images, weights, None, stride, padding)

    found, expected = ((each if replicates is None else vmap(each))(images, weights) for each in (product, reference))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(derivatives(found, images, weights), derivatives(expected, images, weights))


def test_a_stacked_layer_is_a_product_with_its_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [Conv2d(2, 3, 3, padding=1) for _ in range(2)]
    images = torch.randn(2, 4, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    plain = torch.stack([layer(each) for layer, each in zip(layers, images, strict=True)])
    used = []
    apply = Product.apply
    monkeypatch.setattr(Product, "apply", lambda *given: used.append(1) or apply(*given))
    torch.testing.assert_close(Stacked(layers)(images), plain)
    assert not used, "on a CPU, groups are faster"
    monkeypatch.setattr(convolution, "_as_product", is_stacked)
    torch.testing.assert_close(Stacked(layers)(images), plain)
    assert used
    with torch.autocast("cpu", torch.bfloat16):
        lower = Stacked(layers)(images)
    assert lower.dtype == torch.bfloat16
    torch.testing.assert_close(lower.float(), plain, rtol=0.05, atol=0.05)
