"""A replicate's teacher: a classifier of its own real subset, whose reading others take for true or doubt them by.

It reads the labels of unlabelled images (pseudo-labelling, Lee 2013), and the probabilities of generated ones, by which
a filter keeps them or which replace their labels. It sees what its replicate sees and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.network import Classifier, images_to_logits
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.weights import load_weights


def load_teacher(config: Mapping[str, Any], path: Path) -> Classifier:
    """In evaluation mode, on the CPU. config: channels, classes and width. Raises InputError that names the file."""
    teacher = Classifier(config["channels"], len(config["classes"]), config["width"])
    load_weights(teacher, path)
    return teacher.eval()


def images_to_probabilities(teacher: Classifier, images: LabelledImages) -> NDArray[np.float32]:
    """float32 (N, K); the labels of `images` are not looked at."""
    if not len(images):
        return np.empty((0, len(images.classes)), np.float32)
    pixels, _ = to_tensors(images, torch.device("cpu"))
    probabilities: NDArray[np.float32] = images_to_logits(teacher, pixels).softmax(1).numpy()
    return probabilities
