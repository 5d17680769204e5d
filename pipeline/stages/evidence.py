"""The chain of a study, from the artifacts on disk: what stage compare records and `pipeline.verify` redoes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.arms import Arm
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import LabelledImages, load, load_arrays
from pipeline.provenance import (
    Budget,
    array_to_digest,
    breaks,
    file_to_digest,
    images_to_digest,
    shared_images,
    to_document,
)
from pipeline.split import Split, load_pseudo_labels, load_split
from pipeline.stages.generated import load_selected, set_name

ARTIFACTS = Path("artifacts")


def gather(budgets: Sequence[int], labels: NDArray[np.integer]) -> tuple[dict[str, Any], list[str]]:
    """results/provenance.json as the artifacts have it, and a line for each break of the chain.

    labels: the test labels, which stage compare opens.
    """
    train, test = load(ARTIFACTS / "data/train.npz"), load_arrays(ARTIFACTS / "data/test_images.npz")["pixels"]
    everything, test_pixels = images_to_digest(train), array_to_digest(test)
    data = {"training_images": everything, "test_images": test_pixels, "test_labels": array_to_digest(labels)}
    chains, lines = [], []
    for budget in budgets:
        split = load_split(ARTIFACTS / f"splits/{budget}.npz")
        try:
            split.check()
        except InputError as error:
            lines.append(f"budget {budget}: {error}")
        given = np.concatenate([split.subsets, split.unlabelled], axis=1)
        lines += shared_images(budget, train, given, test, split.development)
        chains.append(_read_budget(budget, train, split))
        lines += breaks(chains[-1], test_pixels, everything)
    (saw,) = read_json(ARTIFACTS / "oracle/inputs.json")
    predictions = load_arrays(ARTIFACTS / "oracle/predictions.npz")["predictions"]
    oracle = {**saw, "predictions": array_to_digest(predictions)}
    if saw.get("test_pixels") != test_pixels:
        lines.append("oracle: it predicted other images than the test images")
    return to_document(chains, data, oracle), lines


def _read_budget(budget: int, train: LabelledImages, split: Split) -> Budget:
    reals = split.real(train)
    joined = load_pseudo_labels(ARTIFACTS / f"pseudo/{budget}.npz").join(split, train)
    teachers = read_json(ARTIFACTS / f"teacher/{budget}/inputs.json")
    arms: dict[str, list[dict[str, str]]] = {}
    predictions: dict[str, list[str]] = {}
    due: dict[str, list[dict[str, str]]] = {}
    for kind in ("baseline", "augmented"):
        folder = ARTIFACTS / f"{kind}/{budget}"
        arms |= read_json(folder / "inputs.json")
        tables = load_arrays(folder / "predictions.npz")
        predictions |= {arm: [array_to_digest(row) for row in table] for arm, table in tables.items()}
        for name, values in read_json(folder / "arms.json").items():
            arm = Arm(**{field.name: values[field.name] for field in dataclasses.fields(Arm)})
            due[name] = [_due(budget, r, arm, reals[r], joined[r]) for r in range(len(reals))]
    return Budget(
        budget=budget,
        subsets=[images_to_digest(real) for real in reals],
        gan_due=[images_to_digest(images) for images in joined],
        gan=read_json(ARTIFACTS / f"gan/{budget}/inputs.json"),
        generators=[file_to_digest(ARTIFACTS / f"gan/{budget}/generator-{r}.safetensors") for r in range(len(reals))],
        generated=read_json(ARTIFACTS / f"synthetic/{budget}/inputs.json"),
        synthetic=[images_to_digest(load(ARTIFACTS / f"synthetic/{budget}/{set_name(r)}")) for r in range(len(reals))],
        teachers=teachers,
        judges=[
            {"discriminator": file_to_digest(ARTIFACTS / f"gan/{budget}/discriminator-{r}.safetensors")}
            | ({"teacher": file_to_digest(ARTIFACTS / f"teacher/{budget}/weights-{r}.safetensors")} if teachers else {})
            for r in range(len(reals))
        ],
        judged=read_json(ARTIFACTS / f"judged/{budget}/inputs.json"),
        due=due,
        arms=arms,
        predictions=predictions,
    )


def _due(budget: int, replicate: int, arm: Arm, real: LabelledImages, joined: LabelledImages) -> dict[str, str]:
    """What a classifier of `arm` should have seen: its real images, and the generated ones, chosen again."""
    due = {"real": images_to_digest(joined if arm.pseudo else real)} if arm.real else {}
    if arm.synthetic == "gan":
        images, targets = load_selected(budget, replicate, arm, real)
        due["synthetic"] = images_to_digest(images)
        if targets is not None:
            due["targets"] = array_to_digest(targets)
    return due
