"""Train the audit-only oracle on all training images. It measures quality; it never selects, filters or trains."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.at_once import Many
from pipeline.classifier.replicate import alike, train_replicate, train_replicates
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
from pipeline.distortion import Distortion
from pipeline.images import load, load_arrays, save_arrays
from pipeline.memory import within_memory
from pipeline.seeds import derive
from pipeline.stages.stage import Stage, run, whole_folder, write_csv, write_json
from pipeline.weights import save_weights


def train_oracle(stage: Stage) -> None:
    config = stage.config("oracle", ClassifierConfig)
    train = load(Path("artifacts/data/train.npz"))
    job = {
        "material": Material(real=train, synthetic=None, distortion=Distortion()),
        "test_pixels": load_arrays(Path("artifacts/data/test_images.npz"))["pixels"],
        "config": config,
        "seed": derive(stage.value("study.seed"), "oracle"),
    }
    compute, many = stage.compute(ComputeConfig), Many(train_replicates, alike)
    stage.facts |= describe(compute, [job], many)
    with within_memory("lower oracle.batch_size, oracle.width or data.image_size"):
        (result,) = run_replicates(train_replicate, [job], compute, stage.name, [config.steps], many)
    stage.facts["milliseconds_per_step"] = milliseconds_per_step([result], config.steps)
    with whole_folder(Path("artifacts/oracle")) as folder:
        save_weights(folder / "weights.safetensors", result["weights"])
        write_json(
            folder / "config.json", {"channels": train.shape[0], "classes": list(train.classes), "width": config.width}
        )
        save_arrays(folder / "predictions.npz", predictions=result["predictions"])
        write_json(folder / "inputs.json", [result["saw"]])
        write_csv(folder / "history.csv", pd.DataFrame(result["history"]))


if __name__ == "__main__":
    run("train_oracle", train_oracle)
