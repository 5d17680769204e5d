"""The chain of a study, from the artifacts on disk: what stage compare records and `pipeline.verify` redoes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.arms import Arm
from pipeline.config import from_mapping
from pipeline.errors import InputError
from pipeline.files import read_json, reading
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
        arms = load_arms(budget, "baseline") | load_arms(budget, "augmented")
        lines += [*breaks(chains[-1], test_pixels, everything), *_strays(chains[-1], arms)]
        lines += _unnamed_judges(chains[-1], arms)
    (saw,) = read_json(ARTIFACTS / "oracle/inputs.json")
    predictions = load_arrays(ARTIFACTS / "oracle/predictions.npz")["predictions"]
    oracle = {**saw, "predictions": array_to_digest(predictions)}
    if saw.get("test_pixels") != test_pixels:
        lines.append("oracle: it predicted other images than the test images")
    return to_document(chains, data, oracle), lines


def load_arms(budget: int, kind: str) -> dict[str, Arm]:
    """The arms that were trained, by name. kind: baseline or augmented."""
    path = ARTIFACTS / f"{kind}/{budget}/arms.json"
    with reading(path):
        return {
            name: from_mapping(Arm, {field.name: values[field.name] for field in dataclasses.fields(Arm)}, str(path))
            for name, values in read_json(path).items()
        }


def _strays(chain: Budget, arms: Mapping[str, Arm]) -> Iterator[str]:
    """A line for each classifier that saw synthetic images, or soft targets of some, though its arm takes none."""
    for name, arm in arms.items():
        takes = {"gan": ("synthetic", "targets"), None: ()}.get(arm.synthetic, ("synthetic",))
        for r, stray in product(range(len(chain.arms[name])), ("synthetic", "targets")):
            if stray in chain.arms[name][r] and stray not in takes:
                what = "synthetic images" if stray == "synthetic" else "soft targets"
                yield f"budget {chain.budget}, replicate {r}, arm {name}: its classifier saw {what}; its arm takes none"


def _unnamed_judges(chain: Budget, arms: Mapping[str, Arm]) -> Iterator[str]:
    """A line for each replicate of whose judge, which an arm asks, there is no record."""
    teacher = [name for name, arm in arms.items() if arm.keep == "agreeing" or arm.labels == "soft"]
    discriminator = [name for name, arm in arms.items() if arm.keep == "convincing"]
    for judge, asking in (("teacher", teacher[:1]), ("discriminator", discriminator[:1])):
        for name, (r, judged) in product(asking, enumerate(chain.judged)):
            if judge not in judged:
                place = f"budget {chain.budget}, replicate {r}"
                yield f"{place}: no record names the {judge} that judged its synthetic digits, as arm {name} asks"


def _read_budget(budget: int, train: LabelledImages, split: Split) -> Budget:
    reals = split.real(train)
    pseudo = ARTIFACTS / f"pseudo/{budget}.npz"
    with reading(pseudo):
        joined = load_pseudo_labels(pseudo).join(split, train)
    teachers = read_json(ARTIFACTS / f"teacher/{budget}/inputs.json")
    arms: dict[str, list[dict[str, str]]] = {}
    predictions: dict[str, list[str]] = {}
    due: dict[str, list[dict[str, str]]] = {}
    for kind in ("baseline", "augmented"):
        folder = ARTIFACTS / f"{kind}/{budget}"
        arms |= read_json(folder / "inputs.json")
        tables = load_arrays(folder / "predictions.npz")
        predictions |= {arm: [array_to_digest(row) for row in table] for arm, table in tables.items()}
        for name, arm in load_arms(budget, kind).items():
            due[name] = [_due(budget, r, arm, reals[r], joined[r]) for r in range(len(reals))]
    return Budget(
        budget=budget,
        subsets=[images_to_digest(real) for real in reals],
        unlabelled=[array_to_digest(train.pixels[own]) for own in split.unlabelled if len(own)],
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
        with reading(ARTIFACTS / f"judged/{budget}/replicate-{replicate}.npz"):
            images, targets = load_selected(budget, replicate, arm, real)
        due["synthetic"] = images_to_digest(images)
        if targets is not None:
            due["targets"] = array_to_digest(targets)
    return due
