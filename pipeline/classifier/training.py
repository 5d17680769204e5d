"""Training one classifier: the same steps, batch size, schedule and initialisation in every arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi

import torch
import torch.nn.functional as F

from pipeline.adam import Adam
from pipeline.batches import labels_to_batches
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

    synthetic_share: part of a batch that is synthetic; used only where there are both.
    """

    real: LabelledImages | None
    synthetic: LabelledImages | None
    distortion: Distortion | None
    synthetic_share: float

    def __post_init__(self) -> None:
        if self.real is None and self.synthetic is None:
            raise ValueError("an arm needs real images, synthetic images, or both")

    def shares(self, batch_size: int) -> list[tuple[LabelledImages, int]]:
        """Each set with its places in a batch."""
        if self.synthetic is None:
            return [(self.real, batch_size)]  # type: ignore[list-item]
        if self.real is None:
            return [(self.synthetic, batch_size)]
        synthetic = round(batch_size * self.synthetic_share)
        return [(self.real, batch_size - synthetic), (self.synthetic, synthetic)]


def new_classifier(material: Material, config: ClassifierConfig, seed: int, device: torch.device) -> Classifier:
    """A classifier for these images whose weights depend on `seed` alone, so that paired arms start alike."""
    images = material.shares(config.batch_size)[0][0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(images.shape[0], len(images.classes), config.width)
    return network.to(device).to(memory_format=torch.channels_last)


def train(
    network: Classifier, material: Material, config: ClassifierConfig, seed: int, every: int = 50
) -> Iterator[dict[str, float]]:
    """Train `network` in place; yield {step, loss} every `every` steps and at the end, loss averaged since the last.

    Batches are class-balanced. What is drawn comes from `seed`, each kind of draw from a stream of its own, so that
    paired arms see the same images in the same order and drop the same features.
    """
    device = next(network.parameters()).device
    parts = [
        (images, labels_to_batches(images.labels, config.steps, count, derive(seed, "batches", number)))
        for number, (images, count) in enumerate(material.shares(config.batch_size))
    ]
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    dropout = torch.Generator(device).manual_seed(derive(seed, "dropout"))
    weights = list(network.parameters())
    optimiser = Adam(weights, (0.9, 0.99), config.weight_decay)

    network.train()
    losses = []
    for step, (batch, labels) in enumerate(gather(parts, material.distortion, distortions, device), 1):
        mask = dropout_mask(len(batch), config.dropout, dropout)
        logits = network(batch.contiguous(memory_format=torch.channels_last), mask)
        loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
        rate = config.learning_rate * learning_rate_factor(step - 1, config.steps)
        optimiser.step(torch.autograd.grad(loss, weights), rate)
        losses.append(loss.detach())
        if step % every == 0 or step == config.steps:
            yield {"step": step, "loss": torch.stack(losses).mean().item()}
            losses.clear()


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear from 0 over the first twentieth of `steps`, times half a cosine from 1 to 0."""
    return min(1.0, (step + 1) / (WARM_UP * steps + 1)) * (1 + cos(pi * step / steps)) / 2
