"""The optimiser, keeping on each weight the gradient that it was last given, for tests that look at it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipeline.adam import Adam


class RecordingAdam(Adam):
    """Adam, whose weights bear their last gradient and whose `made` says how many steps it made."""

    made = 0

    def step(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        self.made += 1
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient.detach()
        super().step(gradients, learning_rate)
