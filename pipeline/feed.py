"""What a training loop is fed: batches of pixels and targets, distorted if asked for, in blocks of several steps'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.distortion import Distortion
from pipeline.pixels import to_pixels
from pipeline.transforms import distort

GATHERED = 16  # batches that are gathered, distorted and stacked together, which costs less than one by one

Block = tuple[Any, ...]  # tensors (B, ...) of B steps, or None


def gather(
    parts: Sequence[tuple[Tensor, Tensor, NDArray[np.int64]]],
    distortion: Distortion | None,
    draws: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of pixels (B, N, C, H, W) in [-1, 1] and targets on `device`, each image under its own distortion.

    parts: pixels (M, C, H, W), still uint8, and targets of a set (labels (M,) or probabilities (M, K)), with the
    indices (steps, n) of its images in each batch; the sets' places in a batch follow one another.
    """
    sets = [(pixels, targets, torch.from_numpy(places).to(device)) for pixels, targets, places in parts]
    for first in range(0, len(sets[0][2]), GATHERED):
        rows = slice(first, first + GATHERED)
        chosen = torch.cat([pixels[places[rows]] for pixels, _, places in sets], 1)  # (GATHERED, N, C, H, W)
        images = to_pixels(chosen)
        targets = torch.cat([targets[places[rows]] for _, targets, places in sets], 1)
        if distortion is not None:
            images = distort(images.flatten(0, 1), distortion, draws).view_as(images)
        yield images, targets


def one_by_one(blocks: Iterable[Block]) -> Iterator[tuple[Any, ...]]:
    """What the blocks hold for each step, tensors or None."""
    for block in blocks:
        yield from zip(*(repeat(None) if part is None else part.unbind() for part in block), strict=False)


def together(feeds: Iterable[Iterable[tuple[Tensor | None, ...]]], dim: int = 0) -> Iterator[tuple[Tensor | None, ...]]:
    """What R feeds give each time, stacked in dimension `dim`; where they give None, None."""
    for parts in zip(*feeds, strict=True):
        yield tuple(None if each[0] is None else torch.stack(each, dim) for each in zip(*parts, strict=True))


def blocks_together(feeds: Sequence[Iterable[Block]]) -> Iterator[Block]:
    """The blocks of R feeds, stacked (B, R, ...), of as many steps as all of them have at hand."""
    waiting = [iter(feed) for feed in feeds]
    blocks = [next(feed, ()) for feed in waiting]
    while any(blocks):
        if not all(blocks):
            raise ValueError("feeds of unequal length")
        steps = min(len(block[0]) for block in blocks)
        yield from together([[_cut(block, slice(steps))] for block in blocks], 1)
        rests = [_cut(block, slice(steps, None)) for block in blocks]
        blocks = [rest if len(rest[0]) else next(feed, ()) for rest, feed in zip(rests, waiting, strict=True)]


def _cut(block: Block, steps: slice) -> Block:
    return tuple(None if part is None else part[steps] for part in block)
