"""Augmentation: each part of the distortion alone against what it must do, its ranges, its draws and its gradient."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from pipeline.distortion import Distortion
from pipeline.images import LabelledImages
from pipeline.transforms import distort

NONE = Distortion(rotate=0, scale=0, shear=0, translate=0, elastic=0)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, side: int = 8, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, side, side, generator=draws(1)) * 2 - 1


def square(side: int, half: int) -> Tensor:
    """A white square in the middle of a black image, (1, 1, side, side)."""
    image = torch.full((1, 1, side, side), -1.0)
    middle = slice(side // 2 - half, side // 2 + half)
    image[..., middle, middle] = 1
    return image


def ink_centres(images: Tensor) -> Tensor:
    """Centre of mass of the ink, pixels from the middle: (N, 2), row and column."""
    ink = images[:, 0] + 1
    places = torch.arange(images.shape[2]) - (images.shape[2] - 1) / 2
    mass = ink.sum((1, 2))
    return torch.stack([(ink.sum(2) * places).sum(1) / mass, (ink.sum(1) * places).sum(1) / mass], 1)


@pytest.fixture(params=["least", "most"])
def extreme(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every uniform draw at one end of its range: -1 or 1."""
    fill = torch.ones if request.param == "most" else torch.zeros
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: fill(*shape))
    return 1 if request.param == "most" else -1


def test_zero_ranges_change_nothing() -> None:
    images = noise(5, channels=3)
    torch.testing.assert_close(distort(images, NONE, draws()), images, atol=1e-5, rtol=0)


def test_a_translation_by_whole_pixels_moves_by_them_and_leaves_black(extreme: int) -> None:
    images = noise(2)
    moved = distort(images, dataclasses.replace(NONE, translate=2 / 8), draws())
    if extreme == 1:
        kept, was, bare = moved[..., :-2, :-2], images[..., 2:, 2:], (moved[..., -2:, :], moved[..., :, -2:])
    else:
        kept, was, bare = moved[..., 2:, 2:], images[..., :-2, :-2], (moved[..., :2, :], moved[..., :, :2])
    torch.testing.assert_close(kept, was, atol=1e-5, rtol=0)
    for part in bare:
        torch.testing.assert_close(part, torch.full_like(part, -1))


def test_a_quarter_turn_turns_the_pixels(extreme: int) -> None:
    images = noise(2)
    turned = distort(images, dataclasses.replace(NONE, rotate=90), draws())
    torch.testing.assert_close(turned, torch.rot90(images, extreme, (2, 3)), atol=1e-4, rtol=0)


def test_scaling_by_a_half_changes_both_sides_by_a_half(extreme: int) -> None:
    scaled = distort(square(32, 8), dataclasses.replace(NONE, scale=0.5), draws()) + 1
    side = 16 * (1 + extreme * 0.5)
    for line in (scaled[0, 0, 16], scaled[0, 0, :, 16]):
        assert line.sum().item() / 2 == pytest.approx(side, abs=0.01)


def test_shear_slants_by_its_tangent(extreme: int) -> None:
    column = torch.full((1, 1, 33, 33), -1.0)
    column[..., 16] = 1
    slanted = distort(column, dataclasses.replace(NONE, shear=0.25), draws())[0, 0] + 1
    centres = (slanted * torch.arange(33)).sum(1) / slanted.sum(1)
    slope = torch.diff(centres)
    torch.testing.assert_close(slope, torch.full_like(slope, -extreme * 0.25), atol=1e-3, rtol=0)


def test_blur_is_a_gaussian_of_its_width_and_black_lies_outside(extreme: int) -> None:
    images = noise(2, side=14, channels=2)[:, :, :12]  # 12 rows of 14
    soft = distort(images, dataclasses.replace(NONE, blur=0.1), draws()) + 1
    expected = gaussian_filter(images.numpy() + 1, (0, 0, 1.2, 1.2), mode="constant", truncate=10)
    torch.testing.assert_close(soft, torch.from_numpy(expected), atol=2e-5, rtol=0)  # at both ends of the draw


def test_widths_of_blur_fill_their_range_evenly() -> None:
    # A point's values in the middle and next to it differ by exp(1 / (2 sigma^2)).
    point = torch.full((2000, 1, 15, 15), -1.0)
    point[..., 7, 7] = 1
    soft = distort(point, dataclasses.replace(NONE, blur=0.2), draws())[:, 0, 7] + 1
    assert torch.allclose(soft[:, 6], soft[:, 8]) and soft.max() <= 2 + 1e-4
    sigma = (2 * (soft[:, 7] / soft[:, 8]).log()) ** -0.5
    wide = sigma[sigma > 0.3]  # a narrower one leaves nothing next to the point that could be read off
    assert len(wide) / 2000 == pytest.approx(0.9, abs=0.03) and 2.95 < wide.max() < 3.0
    assert wide.mean().item() == pytest.approx(1.65, abs=0.06)


def test_every_image_has_a_draw_of_its_own() -> None:
    same = square(16, 3).expand(20, 1, 16, 16)
    every = Distortion(elastic=0.05, blur=1.0)  # up to 16 pixels: hardly one too narrow to see
    for part in ("rotate", "scale", "shear", "translate", "elastic", "blur"):
        distorted = distort(same, dataclasses.replace(NONE, **{part: getattr(every, part)}), draws())
        assert len({image.numpy().tobytes() for image in distorted}) == 20, part


def test_the_same_generator_state_gives_the_same_bytes() -> None:
    images, everything = noise(6), Distortion(elastic=0.03, blur=0.05)
    first, again, other = (distort(images, everything, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_generator_moves_on_from_batch_to_batch() -> None:
    images, generator = noise(6), draws()
    assert not torch.equal(distort(images, Distortion(), generator), distort(images, Distortion(), generator))


def test_translations_fill_their_range_evenly() -> None:
    side, share = 16, 0.25
    images = square(side, 1).expand(2000, 1, side, side)
    shifts = ink_centres(distort(images, dataclasses.replace(NONE, translate=share), draws())) / side
    assert shifts.abs().max() <= share + 1e-4
    assert shifts.abs().amax(0).min() > 0.99 * share
    # of a uniform distribution: mean 0, standard deviation limit / sqrt(3); rows and columns drawn apart
    assert shifts.mean(0).abs().max() < 4 * share / math.sqrt(3 * 2000)
    torch.testing.assert_close(shifts.std(0), torch.full((2,), share / math.sqrt(3)), atol=0, rtol=0.05)
    assert abs(torch.corrcoef(shifts.T)[0, 1]) < 0.1


def test_scales_fill_their_range_for_each_axis_apart() -> None:
    images = square(32, 4).expand(1000, 1, 32, 32)
    scaled = distort(images, dataclasses.replace(NONE, scale=0.5), draws())[:, 0] + 1
    sides = torch.stack([scaled[:, 16].sum(1), scaled[:, :, 16].sum(1)], 1) / 2 / 8  # of 8 pixels
    assert 0.5 - 0.01 < sides.min() < 0.51
    assert 1.49 < sides.max() < 1.5 + 0.01
    torch.testing.assert_close(sides.std(0), torch.full((2,), 0.5 / math.sqrt(3)), atol=0, rtol=0.05)
    assert abs(torch.corrcoef(sides.T)[0, 1]) < 0.1


def test_elastic_displacements_have_their_standard_deviation() -> None:
    # On a ramp of 9 columns from -1 to 1 a displacement by one pixel changes the value by 1/4. The middle of the image
    # is a node of the coarse grid, so that it moves by the drawn displacement itself.
    ramp = torch.linspace(-1, 1, 9).expand(4000, 1, 9, 9)
    moved = distort(ramp, dataclasses.replace(NONE, elastic=0.05, elastic_cells=3), draws())
    pixels = (moved - ramp)[:, 0, 4, 4] * 4
    assert pixels.std().item() == pytest.approx(0.05 * 9, rel=0.05)
    assert abs(pixels.mean().item()) < 4 * 0.45 / math.sqrt(4000)


def test_the_gradient_is_that_of_a_resampling() -> None:
    # A resampling, blurred or not, is linear in the pixels, so a step along any direction changes the output by
    # exactly the gradient.
    images, direction, weights = noise(4).requires_grad_(), noise(4).flip(0), torch.linspace(0, 1, 256).view(4, 1, 8, 8)
    everything = Distortion(elastic=0.03, blur=0.1)
    before = (distort(images, everything, draws()) * weights).sum()
    (gradient,) = torch.autograd.grad(before, images)
    after = (distort(images + direction, everything, draws()) * weights).sum()
    torch.testing.assert_close((gradient * direction).sum(), after - before, rtol=1e-4, atol=1e-4)
    assert gradient.abs().sum() > 0


def test_real_digits_stay_in_the_frame(digits: LabelledImages) -> None:
    pixels = torch.from_numpy(digits.pixels.copy()).float() / 127.5 - 1
    moved = distort(pixels, Distortion(), draws())
    assert moved.min() >= -1 - 1e-5
    assert moved.max() <= 1 + 1e-5
    assert ((moved + 1).sum() / (pixels + 1).sum()).item() == pytest.approx(1, abs=0.05), "ink was lost"
