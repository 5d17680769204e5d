"""Read the source, check it, and lay out training images, test images and test labels in files of their own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.images import save_arrays
from pipeline.sources import DataConfig, read
from pipeline.stages.stage import Stage, run, whole_folder, write_json


def prepare(stage: Stage) -> None:
    source = read(stage.config("data", DataConfig))
    train, test = source.train, source.test
    with whole_folder(Path("artifacts/data")) as folder:
        train.save(folder / "train.npz")
        # Test labels lie apart: compare is the only stage that may open them.
        save_arrays(folder / "test_images.npz", pixels=test.pixels)
        save_arrays(folder / "test_labels.npz", labels=test.labels)
        summary = {
            "source": stage.value("data.source"),
            "classes": list(train.classes),
            "shape": list(train.shape),
            "train": len(train),
            "test": len(test),
            "train_per_class": dict(zip(train.classes, np.bincount(train.labels).tolist(), strict=True)),
            "test_per_class": dict(zip(test.classes, np.bincount(test.labels).tolist(), strict=True)),
            "dropped": asdict(source.dropped),
        }
        write_json(folder / "summary.json", summary)
    dropped = sum(summary["dropped"].values())
    print(f"prepare: {len(train)} training and {len(test)} test images, {dropped} duplicates dropped")


if __name__ == "__main__":
    run("prepare", prepare)
