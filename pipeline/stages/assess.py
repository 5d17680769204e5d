"""Measure the synthetic digits with the audit-only oracle, for the report alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.classifier.network import Classifier
from pipeline.files import read_json
from pipeline.images import load, save_arrays
from pipeline.memory import within_memory
from pipeline.quality.assessment import AssessConfig, images_to_assessment
from pipeline.seeds import derive
from pipeline.split import load_pseudo_labels, load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_csv
from pipeline.weights import load_weights


def assess(stage: Stage) -> None:
    config = stage.config("assess", AssessConfig)
    train = load(Path("artifacts/data/train.npz"))
    split = load_split(Path(f"artifacts/splits/{stage.budget}.npz"))
    reals = load_pseudo_labels(Path(f"artifacts/pseudo/{stage.budget}.npz")).join(split, train)
    oracle = load_oracle(Path("artifacts/oracle"))
    torch.set_num_threads(1)  # the bytes must not depend on the number of cores
    results = []
    for replicate, subset in enumerate(reals):
        synthetic = load(stage.path("synthetic", f"replicate-{replicate}.npz"))
        given = np.concatenate([split.subsets[replicate], split.unlabelled[replicate]])
        unseen = train.subset(np.setdiff1d(np.arange(len(train)), given))  # by this replicate's GAN
        seed = derive(stage.value("study.seed"), "assess", stage.budget or 0, replicate)
        with within_memory("lower assess.images"):
            results.append(images_to_assessment(synthetic, subset, unseen, oracle, config, seed))
        numbers = results[-1].numbers
        print(
            f"{stage.name}: replicate {replicate}, the oracle agrees with {numbers['agreement']:.1f} % of the labels, "
            f"Fréchet distance {numbers['frechet']:.1f} (floor {numbers['frechet_floor']:.1f})"
        )
    with whole_folder(stage.path("quality")) as folder:
        numbers = pd.DataFrame([result.numbers for result in results])
        write_csv(folder / "quality.csv", numbers.rename_axis("replicate").reset_index())
        classes = pd.concat({number: result.classes for number, result in enumerate(results)}, names=["replicate"])
        write_csv(folder / "classes.csv", classes.reset_index("replicate"))
        # The most suspicious of all replicates first.
        ratio = np.concatenate([result.distance / np.maximum(result.distance_unused, 1e-12) for result in results])
        order = np.argsort(ratio, kind="stable")[: config.suspects]
        names = ("synthetic", "real", "unused", "distance", "distance_unused")
        arrays = {name: np.concatenate([getattr(result, name) for result in results])[order] for name in names}
        save_arrays(folder / "suspects.npz", **arrays)


def load_oracle(folder: Path) -> Classifier:
    """The oracle that train_oracle wrote, in evaluation mode."""
    config = read_json(folder / "config.json")
    oracle = Classifier(config["channels"], len(config["classes"]), config["width"])
    load_weights(oracle, folder / "weights.safetensors")
    return oracle.eval()


if __name__ == "__main__":
    run("assess", assess, per_budget=True)
