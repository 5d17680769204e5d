"""The chain of a study, from the artifacts on disk: what stage compare records and `pipeline.verify` redoes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from pipeline.subsets import check_disjoint

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
        split = load_arrays(ARTIFACTS / f"splits/{budget}.npz")
        try:
            check_disjoint(split["subsets"], split["development"])
        except InputError as error:
            lines.append(f"budget {budget}: {error}")
        lines += shared_images(budget, train, split["subsets"], test, split["development"])
        chains.append(_read_budget(budget, train, split["subsets"]))
        lines += breaks(chains[-1], test_pixels, everything)
    (saw,) = read_json(ARTIFACTS / "oracle/inputs.json")
    predictions = load_arrays(ARTIFACTS / "oracle/predictions.npz")["predictions"]
    oracle = {**saw, "predictions": array_to_digest(predictions)}
    if saw.get("test_pixels") != test_pixels:
        lines.append("oracle: it predicted other images than the test images")
    return to_document(chains, data, oracle), lines


def _read_budget(budget: int, train: LabelledImages, subsets: NDArray[np.integer]) -> Budget:
    replicates = range(len(subsets))
    arms: dict[str, list[dict[str, str]]] = {}
    predictions: dict[str, list[str]] = {}
    for kind in ("baseline", "augmented"):
        folder = ARTIFACTS / f"{kind}/{budget}"
        arms |= read_json(folder / "inputs.json")
        tables = load_arrays(folder / "predictions.npz")
        predictions |= {arm: [array_to_digest(row) for row in table] for arm, table in tables.items()}
    return Budget(
        budget=budget,
        subsets=[images_to_digest(train.subset(indices)) for indices in subsets],
        gan=read_json(ARTIFACTS / f"gan/{budget}/inputs.json"),
        generators=[file_to_digest(ARTIFACTS / f"gan/{budget}/generator-{r}.safetensors") for r in replicates],
        generated=read_json(ARTIFACTS / f"synthetic/{budget}/inputs.json"),
        synthetic=[images_to_digest(load(ARTIFACTS / f"synthetic/{budget}/replicate-{r}.npz")) for r in replicates],
        arms=arms,
        predictions=predictions,
    )
