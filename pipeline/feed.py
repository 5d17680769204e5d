"""What a training loop is fed: batches of pixels and targets, distorted if asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.batches import to_pixels
from pipeline.transforms import Distortion, distort

GATHERED = 16  # batches that are gathered and distorted together, which costs less than one by one


def gather(
    parts: Sequence[tuple[Tensor, Tensor, NDArray[np.int64]]],
    distortion: Distortion | None,
    draws: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of pixels (N, C, H, W) in [-1, 1] and targets on `device`, each image under its own distortion.

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
        yield from zip(images, targets, strict=True)


def together(feeds: Iterable[Iterable[tuple[Tensor | None, ...]]]) -> Iterator[tuple[Tensor | None, ...]]:
    """What several feeds give for a step, stacked (R, ...); where they give None, None."""
    for parts in zip(*feeds, strict=True):
        yield tuple(None if each[0] is None else torch.stack(each) for each in zip(*parts, strict=True))
