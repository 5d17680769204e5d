"""Networks in bfloat16: half the bytes of a float32, its range of exponents, and 8 bits of its precision.

torch's mixed precision (autocast): the convolutions and products of a forward pass, and what autograd makes of them,
are computed in bfloat16, from weights that stay float32. Losses, the arithmetic of penalties, optimisers and averages
are outside and stay float32 too, and so does batch norm. Nothing has to be scaled, as float16 needs it, because no
gradient gets too small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.stacked import is_stacked


def cast(network: Callable[..., Tensor], device: torch.device, bf16: bool) -> Callable[..., Tensor]:
    """`network` itself, or, if `bf16`, under autocast; what it returns is float32 either way."""
    if not bf16:
        return network

    def under_autocast(*inputs: Tensor) -> Tensor:
        # Without its cache of cast weights, which a captured step would read again after the weights have changed.
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            outputs = network(*inputs)
        return outputs.float()

    return under_autocast


class BatchNorm1d(nn.BatchNorm1d):
    """In the precision of its weights, whatever that of its input: torch's own, stacked, may refuse another (CPU)."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.to(self.weight.dtype))


class BatchNorm2d(nn.BatchNorm2d):
    """As BatchNorm1d."""

    def forward(self, values: Tensor) -> Tensor:
        values = values.to(self.weight.dtype)
        if not is_stacked(values):
            return super().forward(values)
        # Without cuDNN, for which torch 2.11 asks in what order stacked values lie; vmap cannot say.
        with torch.backends.cudnn.flags(enabled=False):
            return super().forward(values)


def is_native(device: torch.device) -> bool:
    """Whether the device has instructions for it; without, it is computed all the same, and slowly."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 may have none
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
