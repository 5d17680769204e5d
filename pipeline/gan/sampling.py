"""From a trained generator to labelled synthetic digits, one seed an image."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.batches import to_bytes
from pipeline.chunks import in_chunks
from pipeline.files import read_json
from pipeline.gan.networks.layers import Generator
from pipeline.gan.networks.registry import mapping_to_networks, new_generator
from pipeline.images import LabelledImages
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
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), per_class)
    seeds = [derive(seed, "digit", int(label), number) for label in range(len(classes)) for number in range(per_class)]
    return LabelledImages(generate(generator, labels, seeds, scale), labels, classes)


@torch.no_grad()
def generate(generator: Generator, labels: np.ndarray, seeds: list[int], scale: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    """uint8 images (N, C, H, W) for `labels` (N,), image i from `seeds[i]`; the noise is multiplied by `scale`."""
    device = next(generator.parameters()).device
    generator.eval()

    def part_to_images(part: slice) -> np.ndarray:  # type: ignore[type-arg]
        noise = seeds_to_noise(seeds[part], generator.latent).to(device) * scale
        return to_bytes(generator(noise, torch.from_numpy(labels[part]).to(device)))

    return np.concatenate(in_chunks(part_to_images, len(labels), CHUNK))
