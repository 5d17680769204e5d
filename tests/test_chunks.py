"""Work in chunks: all of it, in order, whatever the size; halved where memory runs out, which a line says."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from pipeline import feed
from pipeline.chunks import in_chunks
from pipeline.classifier import replicate
from pipeline.classifier.network import Classifier, images_to_features, images_to_logits
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.gan import sampling
from pipeline.gan.networks.registry import new_discriminator, new_generator
from pipeline.gan.recipe import load_recipe
from pipeline.gan.scoring import images_to_scores
from pipeline.images import LabelledImages
from pipeline.pixels import to_pixels


class Small:
    """A memory that holds so many images at once. asked: the slices that it was asked for."""

    def __init__(self, size: int) -> None:
        self.size, self.asked = size, list[slice]()

    def __call__(self, part: slice) -> list[int]:
        self.asked.append(part)
        if part.stop - part.start > self.size:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))


@pytest.mark.parametrize(("count", "chunk"), [(10, 3), (9, 3), (2, 3), (0, 3), (5, 1)])
def test_slices_cover_all_in_order(count: int, chunk: int) -> None:
    parts = [*in_chunks(Small(chunk), count, chunk)]
    assert [*chain(*parts)] == list(range(count))
    assert all(len(part) == chunk for part in parts[:-1])


def test_a_chunk_that_does_not_fit_is_halved_and_stays_so(capsys: pytest.CaptureFixture[str]) -> None:
    memory = Small(30)
    assert [*chain(*in_chunks(memory, 250, 100))] == list(range(250))
    assert [part.stop - part.start for part in memory.asked] == [100, 50, *[25] * 10]
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with 100 images at once; going on with 50",
        "out of memory with 50 images at once; going on with 25",
    ]


def test_half_of_what_there_is_where_a_chunk_holds_more() -> None:
    memory = Small(30)
    assert [*chain(*in_chunks(memory, 40, 10_000))] == list(range(40))
    assert [part.stop - part.start for part in memory.asked] == [40, 20, 20]


def test_one_image_that_does_not_fit_is_an_error() -> None:
    memory = Small(0)
    with pytest.raises(torch.OutOfMemoryError):
        [*in_chunks(memory, 10, 4)]
    assert [part.stop for part in memory.asked] == [4, 2, 1]


def test_other_errors_are_not_tried_again() -> None:
    calls = []

    def broken(part: slice) -> None:
        calls.append(part)
        raise RuntimeError("shapes disagree")

    with pytest.raises(RuntimeError, match="shapes disagree"):
        [*in_chunks(broken, 10, 4)]
    assert len(calls) == 1


def test_a_classifier_that_does_not_fit_predicts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = Classifier(1, 3, 4), torch.randn(70, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    logits, features = images_to_logits(network, images), images_to_features(network, images)
    whole = Classifier.features

    def hungry(self: Classifier, part: torch.Tensor) -> torch.Tensor:
        if len(part) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, part)

    monkeypatch.setattr(Classifier, "features", hungry)
    assert torch.allclose(images_to_logits(network, images), logits, atol=1e-6)
    assert torch.allclose(images_to_features(network, images), features, atol=1e-6)


def test_a_generator_that_does_not_fit_draws_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = new_generator((1, 28, 28), 10, load_recipe("cgan_mlp").networks).eval()
    whole = sampling.class_balanced(generator, tuple("0123456789"), 30, seed=3)
    assert capsys.readouterr().out == ""
    forward = type(generator).forward

    def hungry(self: torch.nn.Module, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if len(noise) > 70:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, noise, labels)

    monkeypatch.setattr(type(generator), "forward", hungry)
    parts = sampling.class_balanced(generator, tuple("0123456789"), 30, seed=3)
    assert np.abs(parts.pixels.astype(int) - whole.pixels).max() <= 1  # another chunk may round otherwise
    assert "going on with 62" in capsys.readouterr().out


def test_a_discriminator_that_does_not_fit_scores_the_same(
    digits: LabelledImages, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    discriminator = new_discriminator((1, 28, 28), 10, load_recipe("relativistic").networks).eval()
    whole = images_to_scores(discriminator, digits)
    assert whole.shape == (200,) and len(set(whole.tolist())) > 100
    forward = type(discriminator).forward

    def hungry(self: torch.nn.Module, images: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if len(images) > 70:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, images, *others)

    monkeypatch.setattr(type(discriminator), "forward", hungry)
    np.testing.assert_allclose(images_to_scores(discriminator, digits), whole, atol=1e-5)
    assert "going on with 50" in capsys.readouterr().out


def test_a_training_turns_its_images_into_numbers_a_few_batches_at_a_time(
    digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sets stay uint8, a quarter of the memory, and so do the test images until they are predicted."""
    turned: list[int] = []

    def counted(bytes_: torch.Tensor) -> torch.Tensor:
        assert bytes_.dtype == torch.uint8
        turned.append(bytes_.shape[:-3].numel())
        return to_pixels(bytes_)

    for module in (feed, replicate):
        monkeypatch.setattr(module, "to_pixels", counted)
    monkeypatch.setattr(replicate, "CHUNK", 150)
    config = ClassifierConfig(4, 20, 4, 0.01, 0.0, 0.0, 0.0)
    where = torch.device("cpu")
    replicate.train_replicate(Material(digits, None, None), digits.pixels, config, 1, where, lambda _: None)
    assert turned == [feed.GATHERED * 4, 4 * 4, 150, 50]


def test_nothing_is_one_empty_slice() -> None:
    assert [*in_chunks(lambda part: part, 0, 4)] == [slice(0, 0)]
