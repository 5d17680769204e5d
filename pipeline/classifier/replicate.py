"""One arm of one replicate, or several at once: train classifiers; only then predict the test images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.chunks import in_chunks
from pipeline.classifier.network import Classifier, images_to_logits
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, new_classifier, train, train_many
from pipeline.pixels import to_pixels
from pipeline.seeds import derive
from pipeline.weights import network_to_arrays

CHUNK = 1000  # test images at a time


def train_replicate(
    material: Material,
    test_pixels: np.ndarray,  # type: ignore[type-arg]
    config: ClassifierConfig,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
    capture: bool = False,
    bf16: bool = False,
) -> dict[str, Any]:
    """Train on `material`, then read the classes of `test_pixels` (uint8 (T, C, H, W), no labels).
    capture, bf16: as in `training.train`; what is read is read in float32.

    Returns predictions (uint16 (T,)), history (records of `train`) and weights (NumPy arrays by name).
    """
    network = new_classifier(material, config, derive(seed, "weights"), device)
    history = []
    for record in train(network, material, config, seed, capture=capture, bf16=bf16):
        report(record)
        history.append(record)
    return _result(network, test_pixels, history, device)


def train_replicates(
    jobs: Sequence[Mapping[str, Any]],
    device: torch.device,
    reports: Sequence[Callable[[dict[str, float]], None]],
    capture: bool = False,
    bf16: bool = False,
) -> list[dict[str, Any]]:
    """`train_replicate(**job)` of several jobs, alike as `alike` says, at once: stacked, or plainly where it is one."""
    if len(jobs) == 1:
        return [train_replicate(**jobs[0], device=device, report=reports[0], capture=capture, bf16=bf16)]
    materials, config = [job["material"] for job in jobs], jobs[0]["config"]
    seeds = [job["seed"] for job in jobs]
    networks = [
        new_classifier(material, config, derive(seed, "weights"), device)
        for material, seed in zip(materials, seeds, strict=True)
    ]
    histories: list[list[dict[str, float]]] = [[] for _ in jobs]
    for records in train_many(networks, materials, config, seeds, capture=capture, bf16=bf16):
        for report, history, record in zip(reports, histories, records, strict=True):
            report(record)
            history.append(record)
    return [
        _result(network, job["test_pixels"], history, device)
        for network, job, history in zip(networks, jobs, histories, strict=True)
    ]


def alike(job: Mapping[str, Any]) -> Hashable:
    """Jobs with the same can be trained at once, whatever arms they are."""
    material = job["material"]
    return material.sample.shape, len(material.sample.classes), material.batch_kind, job["config"]


def _result(
    network: Classifier,
    test_pixels: np.ndarray,  # type: ignore[type-arg]
    history: list[dict[str, float]],
    device: torch.device,
) -> dict[str, Any]:
    def read(part: slice) -> Tensor:
        return images_to_logits(network, to_pixels(torch.tensor(test_pixels[part], device=device))).argmax(1).cpu()

    predictions = torch.cat([*in_chunks(read, len(test_pixels), CHUNK)]).numpy().astype(np.uint16)
    return {"predictions": predictions, "history": history, "weights": network_to_arrays(network)}
