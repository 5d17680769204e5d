"""What each replicate may know of its generated digits: its teacher's reading, its discriminator's score, nearness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.arms import to_variants
from pipeline.classifier.teacher import images_to_probabilities, load_teacher
from pipeline.files import read_json
from pipeline.gan.scoring import images_to_scores, load_discriminator
from pipeline.images import load, save_arrays
from pipeline.provenance import file_to_digest
from pipeline.quality.nearness import images_to_nearness
from pipeline.split import load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_json


def judge(stage: Stage) -> None:
    variants = to_variants({"generated": stage.value("variants.generated")})
    keeps = {variant.keep for variant in variants.generated}
    train = load(Path("artifacts/data/train.npz"))
    subsets = load_split(Path(f"artifacts/splits/{stage.budget}.npz")).real(train)
    torch.set_num_threads(1)  # the bytes must not depend on the number of cores
    judges: list[dict[str, str]] = []
    with whole_folder(stage.path("judged")) as folder:
        for replicate, real in enumerate(subsets):
            generated = load(stage.path("synthetic", f"replicate-{replicate}.npz"))
            nothing = np.empty(0, np.float32)
            arrays: dict[str, NDArray[np.float32]] = dict.fromkeys(("probabilities", "score", "distance"), nothing)
            judges.append({})
            if variants.needs_teacher:
                path = stage.path("teacher", f"weights-{replicate}.safetensors")
                teacher = load_teacher(read_json(stage.path("teacher", "config.json")), path)
                arrays["probabilities"] = images_to_probabilities(teacher, generated)
                judges[-1]["teacher"] = file_to_digest(path)
            if "convincing" in keeps:
                path = stage.path("gan", f"discriminator-{replicate}.safetensors")
                critic = load_discriminator(read_json(stage.path("gan", "config.json")), path)
                arrays["score"] = images_to_scores(critic, generated)
                judges[-1]["discriminator"] = file_to_digest(path)
            if "novel" in keeps:
                arrays["distance"] = images_to_nearness(generated, real)
            save_arrays(folder / f"replicate-{replicate}.npz", **arrays)
        write_json(folder / "inputs.json", judges)
    print(
        f"{stage.name}: {'judged' if variants.needs_judgement else 'no arm asks what is thought of generated digits'}"
    )


if __name__ == "__main__":
    run("judge", judge, per_budget=True)
