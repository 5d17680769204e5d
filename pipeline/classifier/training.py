"""Training one classifier: the same steps, batch size, schedule and initialisation in every arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.adam import Adam
from pipeline.batches import labels_to_batches, to_tensors
from pipeline.classifier.network import Classifier, dropout_mask
from pipeline.config import require
from pipeline.feed import gather
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.transforms import Distortion

WARM_UP = 0.05  # share of the steps over which the learning rate rises from 0


@dataclass(frozen=True)
class ClassifierConfig:
    """width: channels of the first layer. steps, batch_size: of the optimiser. learning_rate: the highest; it rises
    over the first twentieth of the steps and falls along a cosine to 0. weight_decay: AdamW's. dropout: of the
    features. label_smoothing: of the cross-entropy.
    """

    width: int
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float
    label_smoothing: float

    def __post_init__(self) -> None:
        require(self.width > 0, "width: must be positive")
        require(self.steps > 0, "steps: must be positive")
        require(self.batch_size >= 4, "batch_size: must be at least 4, for batch norm")
        require(self.learning_rate > 0, "learning_rate: must be positive")
        require(self.weight_decay >= 0, "weight_decay: must not be negative")
        require(0 <= self.dropout < 1, "dropout: must lie in [0, 1)")
        require(0 <= self.label_smoothing < 1, "label_smoothing: must lie in [0, 1)")


@dataclass(frozen=True)
class Material:
    """What one classifier sees: real images, synthetic images, or both, and the distortion of each batch.

    synthetic_share: part of a batch that is synthetic; used only where there are both. weight: of a synthetic image in
    the loss, a real one having 1. targets: float32 (N, K), probabilities in place of the synthetic images' labels.
    order, batches: as in `arms.Options`.
    """

    real: LabelledImages | None
    synthetic: LabelledImages | None
    distortion: Distortion | None
    synthetic_share: float
    weight: float = 1.0
    targets: NDArray[np.float32] | None = None
    order: Literal["mixed", "pretrained"] = "mixed"
    batches: Literal["balanced", "natural", "weighted"] = "balanced"

    def __post_init__(self) -> None:
        if self.real is None and self.synthetic is None:
            raise ValueError("an arm needs real images, synthetic images, or both")

    @property
    def sample(self) -> LabelledImages:
        """One of the sets, for what all share: shape and classes."""
        return self.synthetic if self.real is None else self.real  # type: ignore[return-value]

    def shares(self, batch_size: int) -> list[tuple[LabelledImages, int]]:
        """Each set with its places in a mixed batch."""
        if self.synthetic is None:
            return [(self.real, batch_size)]  # type: ignore[list-item]
        if self.real is None:
            return [(self.synthetic, batch_size)]
        synthetic = round(batch_size * self.synthetic_share)
        return [(self.real, batch_size - synthetic), (self.synthetic, synthetic)]

    def phases(self, steps: int, batch_size: int) -> list[tuple[int, list[tuple[LabelledImages, int]]]]:
        """(steps, sets with their places in a batch), one after the other."""
        if self.order == "mixed":
            return [(steps, self.shares(batch_size))]
        synthetic, real = self.synthetic, self.real
        return [(steps // 2, [(synthetic, batch_size)]), (steps - steps // 2, [(real, batch_size)])]  # type: ignore[list-item]


def new_classifier(material: Material, config: ClassifierConfig, seed: int, device: torch.device) -> Classifier:
    """A classifier for these images whose weights depend on `seed` alone, so that paired arms start alike."""
    images = material.sample
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(images.shape[0], len(images.classes), config.width)
    return network.to(device).to(memory_format=torch.channels_last)


def train(
    network: Classifier, material: Material, config: ClassifierConfig, seed: int, every: int = 50
) -> Iterator[dict[str, float]]:
    """Train `network` in place; yield {step, loss} every `every` steps and at the end, loss averaged since the last.

    Batches are class-balanced unless `material` says otherwise. What is drawn comes from `seed`, each kind of draw from
    a stream of its own, so that paired arms see the same images in the same order and drop the same features.
    """
    device = next(network.parameters()).device
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    dropout = torch.Generator(device).manual_seed(derive(seed, "dropout"))
    weights = list(network.parameters())
    optimiser = Adam(weights, (0.9, 0.99), config.weight_decay)

    network.train()
    losses = []
    batches = material_to_batches(material, config, seed, distortions, device)
    for step, (images, targets, importance) in enumerate(batches, 1):
        mask = dropout_mask(len(images), config.dropout, dropout)
        logits = network(images.contiguous(memory_format=torch.channels_last), mask)
        if importance is None:
            loss = F.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)
        else:
            each = F.cross_entropy(logits, targets, label_smoothing=config.label_smoothing, reduction="none")
            loss = (each * importance).sum() / importance.sum()
        rate = config.learning_rate * learning_rate_factor(step - 1, config.steps)
        optimiser.step(torch.autograd.grad(loss, weights), rate)
        losses.append(loss.detach())
        if step % every == 0 or step == config.steps:
            yield {"step": step, "loss": torch.stack(losses).mean().item()}
            losses.clear()


def material_to_batches(
    material: Material, config: ClassifierConfig, seed: int, distortions: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Pixels (N, C, H, W); targets, labels (N,) or probabilities (N, K); and weights in the loss (N,), if any."""
    for phase, (steps, shares) in enumerate(material.phases(config.steps, config.batch_size)):
        later = ("phase", phase) if phase else ()
        parts = []
        for number, (images, count) in enumerate(shares):
            pixels, targets = to_tensors(images, device)
            if material.targets is not None:
                targets = F.one_hot(targets, len(images.classes)).float()
                if images is material.synthetic:
                    targets = torch.from_numpy(material.targets).to(device)
            # One class for all makes rounds of all images: batches as the images come.
            balanced = images.labels if material.batches == "balanced" else np.zeros_like(images.labels)
            places = labels_to_batches(balanced, steps, count, derive(seed, "batches", number, *later))
            parts.append((pixels, targets, places))
        importance = [
            1.0 if images is material.real else material.weight for images, count in shares for _ in range(count)
        ]
        by_place = torch.tensor(importance, device=device) if len(set(importance)) > 1 else None
        by_class = None
        if material.batches == "weighted":
            counts = np.bincount(material.sample.labels, minlength=len(material.sample.classes))
            by_class = torch.from_numpy(len(material.sample) / np.maximum(counts, 1)).float().to(device)
        for batch, targets in gather(parts, material.distortion, distortions, device):
            yield batch, targets, by_place if by_class is None else by_class[targets]


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear from 0 over the first twentieth of `steps`, times half a cosine from 1 to 0."""
    return min(1.0, (step + 1) / (WARM_UP * steps + 1)) * (1 + cos(pi * step / steps)) / 2
