"""From a trained discriminator to its scores of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.chunks import in_chunks
from pipeline.gan.networks.layers import Discriminator
from pipeline.gan.networks.registry import mapping_to_networks, new_discriminator
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.weights import load_weights

CHUNK = 250  # images at a time


def load_discriminator(config: Mapping[str, Any], path: Path) -> Discriminator:
    """As stage train_gan left it, in evaluation mode, on the CPU. config: shape, classes and networks, of its
    config.json. Raises InputError that names the file.
    """
    channels, height, width = config["shape"]
    networks = mapping_to_networks(config["networks"], f"{path}: networks")
    discriminator = new_discriminator((channels, height, width), len(config["classes"]), networks).eval()
    load_weights(discriminator, path)
    return discriminator


@torch.no_grad()
def images_to_scores(discriminator: Discriminator, images: LabelledImages) -> NDArray[np.float32]:
    """(N,), higher for what looks real and of its label; without dropout and noise. Fewer at a time where memory runs
    out.
    """

    def read(part: slice) -> Tensor:
        return discriminator(*to_tensors(images.subset(np.arange(part.start, part.stop)), torch.device("cpu")))

    scores: NDArray[np.float32] = torch.cat([*in_chunks(read, len(images), CHUNK)]).numpy()
    return scores
