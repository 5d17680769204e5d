"""bf16 against float32: what is computed in it and what is not, gradient penalties, trainings, a study's results.

bfloat16 has 8 bits: a value is off by up to 0.4 %, and each layer adds as much again. Tolerances: scores 2 % of their
norm, a penalty 5 % of its value, and its gradient, a second derivative, 10 % of its norm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_at_once import CONFIG, CPU, RECIPE, RECIPES, SEEDS, apart, gans, subsets
from torch import Tensor, nn

from pipeline import compute, convolution
from pipeline.at_once import Many
from pipeline.bfloat16 import cast, is_native
from pipeline.classifier import replicate as classifier_replicate
from pipeline.classifier import training as classifier_training
from pipeline.classifier.network import images_to_logits
from pipeline.classifier.training import Material, new_classifier
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.gan import training as gan_training
from pipeline.gan.losses import LOSSES, gradient_penalty, interpolates_penalty
from pipeline.gan.recipe import load_recipe
from pipeline.gan.training import new_gan
from pipeline.images import LabelledImages
from pipeline.stacked import Stacked, is_stacked

CONVOLUTION = "aten::convolution"  # what vmap makes of every other kind of convolution


@pytest.fixture
def autocast_of_a_gpu() -> Iterator[None]:
    """A GPU's autocast knows CONVOLUTION; a CPU's does not, and leaves those of stacked networks in float32."""
    known = torch._C._dispatch_has_kernel_for_dispatch_key
    assert known(CONVOLUTION, "AutocastCUDA") and not known(CONVOLUTION, "AutocastCPU")

    def convolution(images: Tensor, weights: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            cast_bias = None if bias is None else bias.bfloat16()
            return torch.ops.aten.convolution(images.bfloat16(), weights.bfloat16(), cast_bias, *rest)

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution", convolution, "AutocastCPU")
    yield
    library._destroy()


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).detach().norm() / wanted.detach().norm())


def critic(name: str, seed: int = 1) -> nn.Module:
    return new_gan((1, 28, 28), 10, load_recipe(name), seed).discriminator


def some_images(*front: int) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.rand(*front, 1, 28, 28, generator=draws) * 2 - 1, torch.randint(10, front, generator=draws)


def penalties(judge: Any, weights: list[Tensor], kind: str, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The penalty and its gradient, all weights' in one."""
    if kind == "zero_centred":
        penalty = gradient_penalty(judge, images, labels)
    else:
        reals, fakes = images.chunk(2, -4)
        shares = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)).chunk(2, -1)[0]
        penalty = interpolates_penalty(judge, reals, fakes, labels.chunk(2, -1)[0], shares)
    gradients = torch.autograd.grad(penalty.sum(), weights, allow_unused=True)
    return penalty.detach(), torch.cat([each.flatten() for each in gradients if each is not None])


@pytest.mark.parametrize("kind", ["zero_centred", "interpolates"])
@pytest.mark.parametrize("name", ["relativistic", "relativistic_wide", "dcgan_wgan_gp"])
def test_penalties_are_finite_and_right(name: str, kind: str) -> None:
    judge, (images, labels) = critic(name), some_images(64)
    weights = list(judge.parameters())
    assert relative(cast(judge, CPU, True)(images, labels), judge(images, labels)) < 0.02
    wanted, gradient = penalties(judge, weights, kind, images, labels)
    found, its_gradient = penalties(cast(judge, CPU, True), weights, kind, images, labels)
    assert (found.dtype, its_gradient.dtype) == (torch.float32, torch.float32)
    assert its_gradient.isfinite().all() and relative(found, wanted) < 0.05
    assert 0 < relative(its_gradient, gradient) < 0.1


@pytest.mark.usefixtures("autocast_of_a_gpu")
@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("kind", ["zero_centred", "interpolates"])
def test_penalties_of_stacked_networks_are_too(kind: str, products: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if products:  # as a GPU computes their convolutions
        monkeypatch.setattr(convolution, "_as_product", is_stacked)
    stacked, given = Stacked([critic("relativistic", seed) for seed in (1, 2)]), some_images(2, 64)
    weights = list(stacked.weights.values())
    wanted, gradient = penalties(stacked, weights, kind, *given)
    found, its_gradient = penalties(cast(stacked, CPU, True), weights, kind, *given)
    assert relative(found, wanted) < 0.05 and 0 < relative(its_gradient, gradient) < 0.1


def test_slopes_so_small_that_float16_would_lose_them_are_kept() -> None:
    """A score that hardly depends on the image: squared slopes of 1e-12 and below, under float16's smallest number."""
    judge, (images, labels) = nn.Conv2d(1, 1, 28, bias=False), some_images(8)
    with torch.no_grad():
        judge.weight.fill_(1e-7)

    def score(pixels: Tensor, _: Tensor) -> Tensor:
        return judge(pixels).flatten()

    found, gradient = penalties(cast(score, CPU, True), [judge.weight], "zero_centred", images, labels)
    assert found.item() == pytest.approx(784e-14, rel=0.02)
    torch.testing.assert_close(gradient, torch.full((784,), 2e-7), rtol=0.02, atol=0)


def dtypes_of(network: nn.Module) -> set[torch.dtype]:
    """What convolutions and products of the next passes give."""
    found: set[torch.dtype] = set()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(lambda *called: found.add(called[-1].dtype))
    return found


@pytest.mark.parametrize("bf16", [False, True])
def test_networks_alone_are_computed_in_it(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    gan, known = gans(subsets(), RECIPE)[0], LOSSES["relativistic"]
    players, scored = [dtypes_of(player) for player in (gan.generator, gan.discriminator)], set[torch.dtype]()

    def noted(real: Tensor, fake: Tensor) -> Tensor:
        scored.update({real.dtype, fake.dtype})
        return known.discriminator(real, fake)

    monkeypatch.setitem(LOSSES, "relativistic", dataclasses.replace(known, discriminator=noted))
    list(gan_training.train(gan, subsets()[0], RECIPE, 3, 1, bf16=bf16))
    assert players == [{torch.bfloat16 if bf16 else torch.float32}] * 2
    assert scored == {torch.float32}
    for network in (gan.generator, gan.discriminator, gan.average):
        assert {value.dtype for value in network.parameters()} == {torch.float32}


@pytest.mark.usefixtures("autocast_of_a_gpu")
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("name", RECIPES)
def test_gans_begin_as_in_float32(name: str, many: bool) -> None:
    """Of the first step, which no rounding has moved yet, all that is measured; then finite, and elsewhere."""
    recipe = dataclasses.replace(RECIPES[name], batch_size=24)
    records = {}
    for bf16 in (False, True):
        reals = subsets(recipe)
        made = gans(reals, recipe)
        if many:
            found = [each[0] for each in gan_training.train_many(made, reals, recipe, 4, SEEDS, every=1, bf16=bf16)]
        else:
            found = list(gan_training.train(made[0], reals[0], recipe, 4, SEEDS[0], every=1, bf16=bf16))
        assert all(math.isfinite(value) for record in found for value in record.values())
        records[bf16] = found
    plain, other = (records[bf16][0] for bf16 in (False, True))
    assert plain != other
    for key in ("discriminator_loss", "generator_gradient", "discriminator_gradient", "penalty"):
        assert other[key] == pytest.approx(plain[key], rel=0.1, abs=1e-3), key


@pytest.mark.usefixtures("autocast_of_a_gpu")
@pytest.mark.parametrize("many", [False, True])
def test_a_classifier_learns_as_in_float32(many: bool, toy: LabelledImages, fresh_toy: LabelledImages) -> None:
    config, material = dataclasses.replace(CONFIG, steps=60, learning_rate=0.01), Material(toy, None, None)
    losses, networks = [], []
    for bf16 in (False, True):
        made = [new_classifier(material, config, seed, CPU) for seed in ((1, 2) if many else (1,))]
        if many:
            history = [
                each[0]["loss"]
                for each in classifier_training.train_many(made, [material] * 2, config, (1, 2), every=20, bf16=bf16)
            ]
        else:
            history = [r["loss"] for r in classifier_training.train(made[0], material, config, 1, every=20, bf16=bf16)]
        losses.append(history)
        networks.append(made[0])
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.05)
    assert 0 < apart(*networks, new_classifier(material, config, 1, CPU)) < 0.5
    pixels = torch.from_numpy(fresh_toy.pixels).float() / 127.5 - 1
    right = [float((images_to_logits(each, pixels).argmax(1).numpy() == fresh_toy.labels).mean()) for each in networks]
    assert right[0] > 0.9 and abs(right[1] - right[0]) < 0.05
    assert images_to_logits(networks[1], pixels).dtype == torch.float32, "what is read is read in float32"


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_study_in_bf16_is_another_and_kept_apart(
    at_once: int, tmp_path: Path, toy: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "CACHE", tmp_path)
    jobs = [
        {"material": Material(toy, None, None), "test_pixels": toy.pixels, "config": CONFIG, "seed": seed}
        for seed in (1, 2)
    ]
    many = Many(classifier_replicate.train_replicates, classifier_replicate.alike)
    by_precision = {}
    for precision in ("float32", "bf16"):
        where = ComputeConfig(device="cpu", workers=1, at_once=at_once, precision=precision)
        results = run_replicates(classifier_replicate.train_replicate, jobs, where, "toy", [10] * len(jobs), many)
        by_precision[precision] = [result["weights"]["linear.weight"].tobytes() for result in results]
    assert len({*by_precision["float32"], *by_precision["bf16"]}) == 4


def test_instructions_for_it_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, native in (
        ({}, False),
        ({"avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"bf16": True}, True),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: found, raising=False)
        assert is_native(CPU) == native
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not is_native(CPU)
    for native in (False, True):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert is_native(torch.device("cuda")) == native
