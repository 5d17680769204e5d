"""What a training loop is fed: batches of pixels and labels, distorted if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.batches import to_tensors
from pipeline.images import LabelledImages
from pipeline.transforms import Distortion, distort

GATHERED = 16  # batches that are gathered and distorted together, which costs less than one by one


def gather(
    parts: Sequence[tuple[LabelledImages, NDArray[np.int64]]],
    distortion: Distortion | None,
    draws: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of pixels (N, C, H, W) in [-1, 1] and labels (N,) on `device`, each image under its own distortion.

    parts: sets with the indices (steps, n) of their images in each batch, whose places follow one another.
    """
    sets = [(*to_tensors(images, device), torch.from_numpy(places).to(device)) for images, places in parts]
    for first in range(0, len(sets[0][2]), GATHERED):
        rows = slice(first, first + GATHERED)
        images = torch.cat([pixels[places[rows]] for pixels, _, places in sets], 1)  # (GATHERED, N, C, H, W)
        labels = torch.cat([targets[places[rows]] for _, targets, places in sets], 1)
        if distortion is not None:
            images = distort(images.flatten(0, 1), distortion, draws).view_as(images)
        yield from zip(images, labels, strict=True)
