"""From a trained generator to labelled synthetic digits, one seed an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.chunks import in_chunks
from pipeline.files import read_json
from pipeline.gan.networks.layers import Generator
from pipeline.gan.networks.registry import mapping_to_networks, new_generator
from pipeline.images import LabelledImages, join
from pipeline.pixels import to_bytes
from pipeline.seeds import derive
from pipeline.weights import load_weights

CHUNK = 250  # images at a time, fewer where memory runs out


class Trained(NamedTuple):
    """A generator as stage train_gan left it. shape: (C, H, W) of its images. classes: what its labels stand for."""

    generator: Generator
    shape: tuple[int, int, int]
    classes: tuple[str, ...]


def load_generator(folder: Path, replicate: int) -> Trained:
    """The averaged generator of one replicate from `artifacts/gan/BUDGET`, on the CPU.

    Raises InputError naming the file that is missing, damaged or of another network.
    """
    path = folder / "config.json"
    trained = read_json(path)
    channels, height, width = trained["shape"]
    classes = tuple(trained["classes"])
    networks = mapping_to_networks(trained["networks"], f"{path}: networks")
    generator = new_generator((channels, height, width), len(classes), networks).eval()
    load_weights(generator, folder / f"generator-{replicate}.safetensors")
    return Trained(generator, (channels, height, width), classes)


def seeds_to_noise(seeds: list[int], latent: int) -> Tensor:
    """(N, latent) standard normal on the CPU; each row depends on its own seed alone."""
    draws = torch.Generator()
    return torch.stack([torch.randn(latent, generator=draws.manual_seed(seed)) for seed in seeds])


def class_balanced(
    generator: Generator, classes: tuple[str, ...], per_class: int, seed: int, scale: float = 1.0
) -> LabelledImages:
    """`per_class` digits of each class, ordered by class; digit i of a class is the same however many are asked for.

    scale: what the noise is multiplied by.
    """
    return join([*class_balanced_parts(generator, classes, per_class, seed, scale)])


def class_balanced_parts(
    generator: Generator, classes: tuple[str, ...], per_class: int, seed: int, scale: float = 1.0
) -> Iterator[LabelledImages]:
    """The images of `class_balanced`, CHUNK at a time, so that there may be more of them than memory holds."""

    def part_to_images(part: slice) -> LabelledImages:
        places = [divmod(place, per_class) for place in range(part.start, part.stop)]
        labels = np.array([label for label, _ in places], np.int64)
        seeds = [derive(seed, "digit", label, number) for label, number in places]
        return LabelledImages(_generate_at_once(generator, labels, seeds, scale), labels, classes)

    return in_chunks(part_to_images, len(classes) * per_class, CHUNK)


def generate(generator: Generator, labels: np.ndarray, seeds: list[int], scale: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    """uint8 images (N, C, H, W) for `labels` (N,), image i from `seeds[i]`; the noise is multiplied by `scale`."""
    parts = in_chunks(lambda part: _generate_at_once(generator, labels[part], seeds[part], scale), len(labels), CHUNK)
    return np.concatenate([*parts])


@torch.no_grad()
def _generate_at_once(generator: Generator, labels: np.ndarray, seeds: list[int], scale: float) -> np.ndarray:  # type: ignore[type-arg]
    device = next(generator.parameters()).device
    generator.eval()
    noise = seeds_to_noise(seeds, generator.latent).to(device) * scale
    return to_bytes(generator(noise, torch.from_numpy(labels).to(device)))
