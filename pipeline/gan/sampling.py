"""From a trained generator to labelled synthetic digits, one seed an image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.batches import to_bytes
from pipeline.gan.networks import Generator
from pipeline.images import LabelledImages
from pipeline.seeds import derive

CHUNK = 250  # images at a time


def seeds_to_noise(seeds: list[int], latent: int) -> Tensor:
    """(N, latent) standard normal on the CPU; each row depends on its own seed alone."""
    draws = torch.Generator()
    return torch.stack([torch.randn(latent, generator=draws.manual_seed(seed)) for seed in seeds])


def class_balanced(generator: Generator, classes: tuple[str, ...], per_class: int, seed: int) -> LabelledImages:
    """`per_class` digits of each class, ordered by class; digit i of a class is the same however many are asked for."""
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), per_class)
    seeds = [derive(seed, "digit", int(label), number) for label in range(len(classes)) for number in range(per_class)]
    return LabelledImages(generate(generator, labels, seeds), labels, classes)


@torch.no_grad()
def generate(generator: Generator, labels: np.ndarray, seeds: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    """uint8 images (N, C, H, W) for `labels` (N,), image i from `seeds[i]`."""
    device = next(generator.parameters()).device
    generator.eval()
    parts = []
    for start in range(0, len(labels), CHUNK):
        noise = seeds_to_noise(seeds[start : start + CHUNK], generator.latent).to(device)
        images = generator(noise, torch.from_numpy(labels[start : start + CHUNK]).to(device))
        parts.append(to_bytes(images))
    return np.concatenate(parts)
