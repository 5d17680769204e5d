"""A replicate's assessment: from the files of its digits, of the training images and of the oracle to measurements."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.classifier.network import Classifier
from pipeline.files import read_json
from pipeline.images import LabelledImages, load
from pipeline.quality.assessment import Assessment, images_to_assessment
from pipeline.quality.settings import AssessConfig
from pipeline.weights import load_weights


def assess_replicate(
    synthetic: Path,
    train: Path,
    oracle: Path,
    digests: Mapping[str, str],
    subset: LabelledImages,
    given: NDArray[np.int64],
    config: AssessConfig,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """The fields of `Assessment` by name. For `compute.run_replicates`; on the CPU, whatever `device` is.

    synthetic, train: files of images; read here, so that no process holds more than those of one replicate. oracle: a
    folder. digests: of what lies there, by name, which a kept result stands for. subset: the reals, given: the indices
    in `train` of these and of all other images that the GAN was given. Raises InputError that names a file.
    """
    images = load(train)
    unseen = images.subset(np.setdiff1d(np.arange(len(images)), given))  # by this replicate's GAN
    del images
    with threadpool_limits(1):  # as torch: the bytes must not depend on the number of cores
        found = images_to_assessment(load(synthetic), subset, unseen, load_oracle(oracle), config, seed)
    report({"step": 1})
    return {field.name: getattr(found, field.name) for field in dataclasses.fields(Assessment)}


def load_oracle(folder: Path) -> Classifier:
    """The oracle that train_oracle wrote, in evaluation mode."""
    config = read_json(folder / "config.json")
    oracle = Classifier(config["channels"], len(config["classes"]), config["width"])
    load_weights(oracle, folder / "weights.safetensors")
    return oracle.eval().to(memory_format=torch.channels_last)
