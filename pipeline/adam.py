"""Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019): torch's own fused computation, without its class.

torch.optim.Adam imports torch's compiler when it is made. That takes seconds in every process that trains for a minute,
and nothing here is compiled. Both it and torch.optim.adam.adam count the steps of each weight on its own, which of
networks as small as these is up to a twentieth of a training step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-8


class Adam:
    """Steps `weights` in place, all on one device.

    betas: decays a step of the running means of gradients and of their squares. weight_decay: decoupled (AdamW), a
    share of the weights times the learning rate.
    """

    def __init__(self, weights: Sequence[Tensor], betas: tuple[float, float], weight_decay: float = 0.0) -> None:
        self.weights, self.betas, self.weight_decay = list(weights), betas, weight_decay
        self.means = [torch.zeros_like(weight) for weight in self.weights]
        self.squares = [torch.zeros_like(weight) for weight in self.weights]
        self.steps = torch.zeros((), dtype=torch.float32, device=self.weights[0].device)  # all weights share it

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        """One step along `gradients`, one for each weight. A tensor () as learning rate can be captured (CUDA)."""
        if isinstance(learning_rate, Tensor):
            learning_rate = learning_rate.float()  # what the fused computation reads there, whatever the weights are
        self.steps += 1
        torch._fused_adamw_(
            self.weights,
            [_in_order_of(weight, gradient) for weight, gradient in zip(self.weights, gradients, strict=True)],
            self.means,
            self.squares,
            [],
            [self.steps] * len(self.weights),
            lr=learning_rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


def _in_order_of(weight: Tensor, gradient: Tensor) -> Tensor:
    """`gradient` with the memory in the order of its weight's: the fused computation reads both as they lie there.

    Unlike `backward`, torch.autograd.grad promises no order; what vmap stacks comes transposed.
    """
    return gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)
