"""The classification accuracy score (CAS) of a generator on the development part, for benchmarks that stop at one."""

from __future__ import annotations

import torch
from torch import nn

from pipeline.classifier.network import images_to_logits
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, new_classifier, train
from pipeline.gan.sampling import class_balanced
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.seeds import derive


def accuracy(network: nn.Module, images: LabelledImages) -> float:
    """Share of `images` that a classifier reads rightly."""
    pixels, labels = to_tensors(images, next(network.parameters()).device)
    return float((images_to_logits(network, pixels).argmax(1) == labels).float().mean())  # type: ignore[arg-type]


def cas(
    generator: nn.Module,
    images: LabelledImages,
    config: ClassifierConfig,
    per_class: int,
    seed: int,
    bf16: bool = False,
) -> float:
    """Share of the real `images` that a classifier reads rightly which saw generated ones, `per_class`, alone. bf16: it
    is trained so.
    """
    device = next(generator.parameters()).device
    digits = class_balanced(generator, images.classes, per_class, derive(seed, "generate"))  # type: ignore[arg-type]
    material = Material(None, digits, None)
    classifier = new_classifier(material, config, derive(seed, "weights"), torch.device(device))
    for _ in train(classifier, material, config, seed, bf16=bf16):
        pass
    return accuracy(classifier, images)
