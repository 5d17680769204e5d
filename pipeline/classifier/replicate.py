"""One arm of one replicate: train a classifier on its material; only then predict the test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pipeline.batches import to_tensors
from pipeline.classifier.network import images_to_logits
from pipeline.classifier.training import ClassifierConfig, Material, new_classifier, train
from pipeline.images import LabelledImages
from pipeline.seeds import derive
from pipeline.weights import network_to_arrays


def train_replicate(
    material: Material,
    test_pixels: np.ndarray,  # type: ignore[type-arg]
    config: ClassifierConfig,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """Train on `material`, then read the classes of `test_pixels` (uint8 (T, C, H, W), no labels).

    Returns predictions (uint16 (T,)), history (records of `train`) and weights (NumPy arrays by name).
    """
    network = new_classifier(material, config, derive(seed, "weights"), device)
    history = []
    for record in train(network, material, config, seed):
        report(record)
        history.append(record)
    unlabelled = LabelledImages(test_pixels, np.zeros(len(test_pixels), np.int64), material.sample.classes)
    pixels, _ = to_tensors(unlabelled, device)
    predictions = images_to_logits(network, pixels).argmax(1).cpu().numpy().astype(np.uint16)
    return {"predictions": predictions, "history": history, "weights": network_to_arrays(network)}
