"""Class-balanced batches, and pixels that come back as the bytes they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.batches import class_rounds, labels_to_batches
from pipeline.images import LabelledImages
from pipeline.pixels import to_bytes, to_tensors

UNEVEN = np.array([2, 0, 0, 2, 0, 0, 0, 5, 2])  # five, three and one image; no class 1, 3 or 4


@pytest.mark.parametrize(("steps", "size"), [(1, 1), (5, 4), (7, 9), (40, 10)])
@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_classes_come_in_rounds_up_to_every_place(steps: int, size: int, seed: int) -> None:
    batches = labels_to_batches(UNEVEN, steps, size, seed)
    assert batches.shape == (steps, size)
    seen = UNEVEN[batches.ravel()][:, None] == np.unique(UNEVEN)  # (places, classes)
    counts = seen.cumsum(0)
    assert (counts.max(1) - counts.min(1) <= 1).all()


def test_images_of_a_class_come_in_rounds() -> None:
    batches = labels_to_batches(UNEVEN, 13, 7, seed=1)
    times = np.bincount(batches.ravel(), minlength=len(UNEVEN))
    for label in np.unique(UNEVEN):
        mine = times[label == UNEVEN]
        assert mine.max() - mine.min() <= 1
        assert mine.sum() in (30, 31)


def test_a_batch_of_whole_rounds_is_exactly_balanced() -> None:
    for batch in labels_to_batches(UNEVEN, 50, 6, seed=1):
        assert np.bincount(UNEVEN[batch], minlength=6).tolist() == [2, 0, 2, 0, 0, 2]


def test_batches_depend_on_the_seed_alone() -> None:
    drawn = labels_to_batches(UNEVEN, 20, 6, seed=1)
    assert np.array_equal(drawn, labels_to_batches(UNEVEN, 20, 6, seed=1))
    assert not np.array_equal(drawn, labels_to_batches(UNEVEN, 20, 6, seed=2))
    assert len({tuple(UNEVEN[batch]) for batch in drawn}) > 1, "the classes of a batch are not shuffled"


def test_an_empty_share_of_a_batch_gives_empty_batches() -> None:
    assert labels_to_batches(UNEVEN, 3, 0, seed=1).shape == (3, 0)


def test_class_rounds_use_every_image_before_one_again() -> None:
    chosen = class_rounds(UNEVEN, 7, seed=1)
    assert UNEVEN[chosen].tolist() == [0] * 7 + [2] * 7 + [5] * 7
    assert sorted(chosen[:5]) == [1, 2, 4, 5, 6]
    assert sorted(chosen[7:10]) == sorted(chosen[10:13]) == [0, 3, 8]
    assert np.array_equal(chosen, class_rounds(UNEVEN, 7, seed=1))
    assert not np.array_equal(chosen, class_rounds(UNEVEN, 7, seed=2))


def test_bytes_become_numbers_from_minus_one_to_one_and_come_back() -> None:
    pixels = np.arange(512, dtype=np.int64).astype(np.uint8).reshape(2, 2, 8, 16)
    images = LabelledImages(pixels, np.array([1, 0]), ("a", "b"))
    tensor, labels = to_tensors(images, torch.device("cpu"))
    assert tensor.dtype == torch.float32
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert tensor[0, 0, 3, 3].item() == pytest.approx(51 / 127.5 - 1)  # 51 = 3 * 16 + 3
    assert labels.tolist() == [1, 0]
    back = to_bytes(tensor.contiguous(memory_format=torch.channels_last))
    assert np.array_equal(back, pixels)
    assert back.flags["C_CONTIGUOUS"]


def test_values_outside_become_black_or_white_and_others_the_nearest_byte() -> None:
    values = torch.tensor([-1.5, -1 + 0.9 / 255, -1 + 1.1 / 255, 0.999, 7.0]).reshape(1, 1, 1, 5)
    assert to_bytes(values).ravel().tolist() == [0, 0, 1, 255, 255]
