"""Blocks of what several feeds give, stacked step by step wherever the blocks of each begin and end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.feed import Block, blocks_together, one_by_one


def feed(first: float, lengths: tuple[int, ...]) -> Iterator[Block]:
    """Blocks of these lengths, whose steps count up from `first`; each with a part that is None."""
    for length in lengths:
        values = first + torch.arange(length)
        yield values[:, None].expand(length, 3), None, values
        first += length


def test_steps_are_stacked_whatever_the_blocks() -> None:
    feeds = [feed(0, (4, 4, 2)), feed(100, (3, 7)), feed(200, (10,))]
    steps = list(one_by_one(blocks_together(feeds)))
    assert len(steps) == 10
    for number, (images, nothing, labels) in enumerate(steps):
        assert nothing is None
        assert labels.tolist() == [number, 100 + number, 200 + number]
        assert images.shape == (3, 3) and images[:, 0].tolist() == labels.tolist()


def test_one_feed_is_itself() -> None:
    assert [labels.tolist() for _, _, labels in one_by_one(blocks_together([feed(5, (2, 1))]))] == [[5], [6], [7]]


def test_no_feed_no_step() -> None:
    assert list(blocks_together([feed(0, ())])) == []


def test_feeds_of_unequal_length_are_told() -> None:
    with pytest.raises(ValueError, match="unequal"):
        list(blocks_together([feed(0, (4,)), feed(0, (3,))]))
