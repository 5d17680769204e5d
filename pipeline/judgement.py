"""A replicate's judgement of its own generated digits: from files of digits, teacher and discriminator to arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.classifier.selection import FIELDS
from pipeline.classifier.teacher import images_to_probabilities, load_teacher
from pipeline.files import read_json
from pipeline.gan.scoring import images_to_scores, load_discriminator
from pipeline.images import LabelledImages, load
from pipeline.quality.nearness import images_to_nearness


def judge_replicate(
    synthetic: Path,
    teacher: Path | None,
    discriminator: Path | None,
    near: LabelledImages | None,
    digests: Sequence[str],
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """The fields of `selection.Judgement` by name, each empty without what it comes from: the teacher's probabilities,
    the discriminator's score, the distance to the nearest of the images `near`. For `compute.run_replicates`; on the
    CPU, whatever `device` is.

    Files are read here, so that no process holds more digits than those of one replicate; a config.json lies beside the
    weights. digests: of the files, which a kept result stands for. Raises InputError that names a file.
    """
    generated = load(synthetic)
    nothing = np.empty(0, np.float32)
    arrays: dict[str, NDArray[np.float32]] = dict.fromkeys(FIELDS, nothing)
    with threadpool_limits(1):  # as torch: the bytes must not depend on the number of cores
        if teacher is not None:
            network = load_teacher(read_json(teacher.parent / "config.json"), teacher)
            arrays["probabilities"] = images_to_probabilities(network, generated)
        if discriminator is not None:
            critic = load_discriminator(read_json(discriminator.parent / "config.json"), discriminator)
            arrays["score"] = images_to_scores(critic, generated)
        if near is not None:
            arrays["distance"] = images_to_nearness(generated, near)
    report({"step": 1})
    return arrays
