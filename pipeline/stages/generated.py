"""Where generated digits lie, and those that an arm takes: for the stage that trains on them and for who checks it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.arms import Arm
from pipeline.classifier.selection import Judgement, select
from pipeline.images import LabelledImages, load, load_arrays


def set_name(replicate: int, scale: float = 1.0) -> str:
    """File of the digits that a replicate's generator makes at a latent scale."""
    return f"replicate-{replicate}.npz" if scale == 1 else f"replicate-{replicate}-scale-{scale:g}.npz"


def load_selected(
    budget: int, replicate: int, arm: Arm, real: LabelledImages
) -> tuple[LabelledImages, NDArray[np.float32] | None]:
    """The synthetic set of a GAN arm and its soft targets, if it has such. real: the replicate's subset."""
    generated = load(Path(f"artifacts/synthetic/{budget}", set_name(replicate, arm.scale)))
    judgement = None
    if arm.judged:
        judgement = Judgement(**load_arrays(Path(f"artifacts/judged/{budget}/replicate-{replicate}.npz")))
    return select(generated, real, judgement, arm)
