"""Several networks of one shape as one: their weights stacked, and one call for all, in which small layers fill a GPU.

After "model ensembling" in torch.func's documentation: vmap turns R convolutions into one of R groups, and R matrix
products into one batched product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap


def is_stacked(values: Tensor) -> bool:
    """Is it the part of stacked values that vmap shows one network?"""
    return bool(torch._C._functorch.is_batchedtensor(values))


class Stacked:
    """`networks`, R of one shape and in one mode. Training steps move the stacked values; `unstack` brings them back.

    weights, buffers: by name, each (R, ...), in the order of a network's own.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks = networks
        self.weights, self.buffers = stack_module_state(list(networks))

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Each network of its own part of `inputs`, each (R, ...); batch norm's moving averages follow."""
        outputs: Tensor = vmap(self._call)(self.weights, self.buffers, inputs)
        return outputs

    def _call(self, weights: dict[str, Tensor], buffers: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Any:
        return functional_call(self.networks[0], (weights, buffers), inputs)

    @torch.no_grad()
    def unstack(self, number: int) -> None:
        """Write the stacked values of network `number` into it."""
        values = self.weights | self.buffers
        for name, value in self.networks[number].state_dict().items():
            value.copy_(values[name][number])
