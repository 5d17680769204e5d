"""The optimiser against torch's own classes, and why it is not one of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pipeline.adam import Adam


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_steps_as_torch_does(weight_decay: float) -> None:
    draws = torch.Generator().manual_seed(0)
    weights = [torch.randn(5, 3, generator=draws), torch.randn(4, generator=draws)]
    theirs = [weight.clone().requires_grad_() for weight in weights]
    ours = Adam(weights, (0.5, 0.99), weight_decay)
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    reference = kind(theirs, lr=1.0, betas=(0.5, 0.99), weight_decay=weight_decay, fused=True)
    for step in range(20):
        gradients = [torch.randn(weight.shape, generator=draws) for weight in weights]
        rate = 0.01 / (step + 1)
        ours.step(gradients, rate)
        reference.param_groups[0]["lr"] = rate
        for weight, gradient in zip(theirs, gradients, strict=True):
            weight.grad = gradient
        reference.step()
    for our, their in zip(weights, theirs, strict=True):
        assert torch.equal(our, their)


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign() -> None:
    weights = [torch.tensor([1.0, -2.0])]
    Adam(weights, (0.9, 0.999)).step([torch.tensor([3.0, -0.2])], 0.25)  # mean / sqrt(square) is the sign, corrected
    assert torch.allclose(weights[0], torch.tensor([0.75, -1.75]))


def test_a_gradient_may_lie_in_another_order_of_memory() -> None:
    gradient = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    weights = [torch.zeros(3, 5), torch.zeros(3, 5)]
    Adam(weights, (0.5, 0.99)).step([gradient, gradient.T.contiguous().T], 0.1)
    assert torch.equal(weights[0].sign(), -gradient.sign())
    assert torch.equal(*weights)


def test_a_learning_rate_may_be_a_tensor() -> None:
    gradient = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    weights = [torch.zeros(3, 5), torch.zeros(3, 5)]
    Adam(weights[:1], (0.5, 0.99)).step([gradient], 0.1)
    Adam(weights[1:], (0.5, 0.99)).step([gradient], torch.tensor(0.1))
    torch.testing.assert_close(*weights)


def test_it_brings_no_compiler_along() -> None:
    code = (
        "import sys, torch; from pipeline.adam import Adam; weight = torch.zeros(2);"
        "Adam([weight], (0.9, 0.99)).step([torch.ones(2)], 0.1); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
