"""A classifier whose features are mixed in pairs while it is trained (manifold mixup, Verma et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.adam import Adam
from pipeline.classifier.network import images_to_logits, uniform_to_mask
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, draw, learning_rate_factor, new_classifier
from pipeline.pixels import to_pixels
from pipeline.seeds import derive


def train_mixed(
    material: Material,
    test_pixels: np.ndarray,  # type: ignore[type-arg]
    config: ClassifierConfig,
    seed: int,
    alpha: float,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """As `pipeline.classifier.replicate.train_replicate`, each image's features mixed with those of the image half a
    batch away, which has the other origin where half of each batch is generated. alpha: 0 mixes nothing.
    """
    network = new_classifier(material, config, derive(seed, "weights"), device)
    weights, losses = list(network.parameters()), []
    optimiser = Adam(weights, (0.9, 0.99), config.weight_decay)
    shares = np.random.default_rng(derive(seed, "mixing"))
    network.train()
    for step, (images, targets, _, uniform) in enumerate(draw(material, config, seed, device), 1):
        features = network.features(images.contiguous(memory_format=torch.channels_last))
        aims = F.one_hot(targets, len(material.sample.classes)).float()
        if alpha > 0:
            own = torch.from_numpy(shares.beta(alpha, alpha, (len(images), 1))).float().to(device)
            half = len(images) // 2
            features = own * features + (1 - own) * features.roll(half, 0)
            aims = own * aims + (1 - own) * aims.roll(half, 0)
        logits = network.linear(features * uniform_to_mask(uniform, config.dropout))
        loss = F.cross_entropy(logits, aims, label_smoothing=config.label_smoothing)
        rate = config.learning_rate * learning_rate_factor(step - 1, config.steps)
        optimiser.step(torch.autograd.grad(loss, weights), rate)
        losses.append(loss.detach())
        if step % 50 == 0 or step == config.steps:
            report({"step": step, "loss": torch.stack(losses).mean().item()})
            losses.clear()
    pixels = to_pixels(torch.tensor(test_pixels, device=device))
    return {"predictions": images_to_logits(network, pixels).argmax(1).cpu().numpy()}
