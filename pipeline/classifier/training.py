"""Training one classifier: one loop, schedule and initialisation for every arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from pipeline.adam import Adam
from pipeline.batches import labels_to_batches
from pipeline.bfloat16 import cast
from pipeline.capture import Step, captured
from pipeline.classifier.network import Classifier, dropout_draw, uniform_to_mask
from pipeline.classifier.settings import ClassifierConfig
from pipeline.distortion import Distortion
from pipeline.feed import Block, blocks_together, gather, one_by_one
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.stacked import Stacked

WARM_UP = 0.05  # share of the steps over which the learning rate rises from 0


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
    synthetic_share: float = 0.5
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

    @property
    def batch_kind(self) -> tuple[bool, bool]:
        """What batches must share to be stacked: are targets probabilities, and do images weigh differently?"""
        mixed = self.real is not None and self.synthetic is not None and self.order == "mixed"
        return self.targets is not None, self.batches == "weighted" or (mixed and self.weight != 1)

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
    network: Classifier,
    material: Material,
    config: ClassifierConfig,
    seed: int,
    every: int = 50,
    capture: bool = False,
    bf16: bool = False,
) -> Iterator[dict[str, float]]:
    """Train `network` in place; yield {step, loss} every `every` steps and at the end, loss averaged since the last.

    Batches are class-balanced unless `material` says otherwise. What is drawn comes from `seed`, each kind of draw from
    a stream of its own, so that paired arms see the same images in the same order and drop the same features. capture:
    steps as CUDA graphs, on a GPU. bf16: the network in bfloat16 while it is trained.
    """
    device = next(network.parameters()).device
    weights = list(network.parameters())
    network.train()
    read = cast(network, device, bf16)

    def loss_of(images: Tensor, targets: Tensor, importance: Tensor | None, uniform: Tensor) -> Tensor:
        mask = uniform_to_mask(uniform, config.dropout)
        logits = read(images.contiguous(memory_format=torch.channels_last), mask)
        return smoothed_cross_entropy(logits, targets, importance, config.label_smoothing)

    drawn = draw(material, config, seed, device)
    for step, loss in _run(_new_step(loss_of, weights, config, capture), drawn, config, every):
        yield {"step": step, "loss": loss.item()}


def train_many(
    networks: Sequence[Classifier],
    materials: Sequence[Material],
    config: ClassifierConfig,
    seeds: Sequence[int],
    every: int = 50,
    capture: bool = False,
    bf16: bool = False,
) -> Iterator[list[dict[str, float]]]:
    """`train` of several classifiers at once, with the same draws; at each record yield one of each classifier.

    Weights are stacked, and rounded otherwise than one by one; `networks` have them at the end. The materials may
    differ in all but the shape of a batch (`Material.batch_kind`). capture, bf16: as in `train`.
    """
    device = next(networks[0].parameters()).device
    for network in networks:
        network.train()
    stacked = Stacked(networks)
    read = cast(stacked, device, bf16)

    def loss_of(images: Tensor, targets: Tensor, importance: Tensor | None, uniform: Tensor) -> Tensor:
        logits = read(images, uniform_to_mask(uniform, config.dropout))
        given = (logits, targets) if importance is None else (logits, targets, importance)

        def one(logits: Tensor, targets: Tensor, importance: Tensor | None = None) -> Tensor:
            return smoothed_cross_entropy(logits, targets, importance, config.label_smoothing)

        losses: Tensor = vmap(one)(*given)
        return losses

    step_function = _new_step(loss_of, list(stacked.weights.values()), config, capture)
    pairs = zip(materials, seeds, strict=True)
    blocks = blocks_together([draw_blocks(material, config, seed, device) for material, seed in pairs])
    for step, losses in _run(step_function, one_by_one(blocks), config, every):
        if step == config.steps:
            for number in range(len(networks)):
                stacked.unstack(number)
        yield [{"step": step, "loss": loss} for loss in losses.tolist()]


def smoothed_cross_entropy(
    logits: Tensor, targets: Tensor, importance: Tensor | None, label_smoothing: float
) -> Tensor:
    """Mean over a batch, weighted by `importance` (N,) if any. logits: (N, K). targets: as `draw`."""
    if importance is None:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    each = F.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="none")
    return (each * importance).sum() / importance.sum()


def draw(material: Material, config: ClassifierConfig, seed: int, device: torch.device) -> Iterator[tuple[Any, ...]]:
    """All that is drawn for each step.

    Pixels (N, C, H, W); targets, labels (N,) or probabilities (N, K); weights in the loss (N,), if any; and what the
    dropout's mask is made of.
    """
    return one_by_one(draw_blocks(material, config, seed, device))


def draw_blocks(material: Material, config: ClassifierConfig, seed: int, device: torch.device) -> Iterator[Block]:
    """What `draw` gives, in blocks of several steps."""
    distortions = torch.Generator(device).manual_seed(derive(seed, "distortion"))
    dropout = torch.Generator(device).manual_seed(derive(seed, "dropout"))
    for images, targets, importance in material_to_blocks(material, config, seed, distortions, device):
        yield images, targets, importance, dropout_draw(images.shape[:2], dropout)


def _new_step(
    loss_of: Callable[..., Tensor], weights: Sequence[Tensor], config: ClassifierConfig, capture: bool
) -> Step:
    """The step: of what `draw` gives, and of the learning rate. It trains in place and returns the loss."""
    optimiser = Adam(weights, (0.9, 0.99), config.weight_decay)

    def step(tensors: tuple[Tensor | None, ...], numbers: tuple[float | Tensor]) -> tuple[Tensor]:
        loss = loss_of(*tensors)
        optimiser.step(torch.autograd.grad(loss.sum(), weights), numbers[0])
        return (loss.detach(),)

    return captured(step, weights[0].device) if capture else step


def _run(
    step_function: Step, drawn: Iterable[tuple[Tensor | None, ...]], config: ClassifierConfig, every: int
) -> Iterator[tuple[int, Tensor]]:
    """Make all steps; at each record yield its step and the mean loss since the last one."""
    losses: list[Tensor] = []
    for step, tensors in enumerate(drawn, 1):
        rate = config.learning_rate * learning_rate_factor(step - 1, config.steps)
        losses += step_function(tensors, (rate,))
        if step % every == 0 or step == config.steps:
            yield step, torch.stack(losses).mean(0)
            losses.clear()


def material_to_blocks(
    material: Material, config: ClassifierConfig, seed: int, distortions: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The first three of what `draw` gives, of B steps at a time: (B, N, C, H, W) and so on."""
    for phase, (steps, shares) in enumerate(material.phases(config.steps, config.batch_size)):
        later = ("phase", phase) if phase else ()
        parts = []
        for number, (images, count) in enumerate(shares):
            pixels, targets = torch.tensor(images.pixels, device=device), torch.tensor(images.labels, device=device)
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
        for batches, targets in gather(parts, material.distortion, distortions, device):
            if by_class is not None:
                yield batches, targets, by_class[targets]
            else:
                yield batches, targets, None if by_place is None else by_place.expand(len(batches), -1)


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear from 0 over the first twentieth of `steps`, times half a cosine from 1 to 0."""
    return min(1.0, (step + 1) / (WARM_UP * steps + 1)) * (1 + cos(pi * step / steps)) / 2
