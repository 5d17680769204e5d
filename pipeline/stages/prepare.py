"""Read the source, check it, and lay out training images, test images and test labels in files of their own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.images import save_arrays
from pipeline.memory import within_memory
from pipeline.sources import DataConfig, hold_out, read
from pipeline.stages.stage import Stage, run, whole_folder, write_json
from pipeline.subsets import development_part

DEVELOPMENT_TEST = 0.5  # share of the development part that a study of it tests on


def prepare(stage: Stage) -> None:
    config = stage.config("data", DataConfig)
    with within_memory("lower data.image_size, or take fewer images"):
        source = read(config)
    train, test = source.train, source.test
    if config.part != "all":
        # A trial: the test images are read with the rest and go no further; what no study draws is tested on.
        per_class = stage.value("split.development_per_class")
        if not per_class:
            raise InputError(f"split.development_per_class: 0 leaves data.part: {config.part} no test images; raise it")
        chosen = development_part(train.labels, per_class)
        part, others = train.subset(chosen), train.subset(np.setdiff1d(np.arange(len(train)), chosen))
        train, test = others, part
        if config.part == "development":
            train, test = hold_out(part, DEVELOPMENT_TEST, config.split_seed, Path(config.root))
    if config.shift != "none":  # as the last step, so that what was dropped and held out stays the same
        from pipeline.shift import shifted  # brings torch, which nothing else here takes

        test = shifted(test, config)
    dropped = asdict(source.dropped)
    with whole_folder(Path("artifacts/data")) as folder:
        train.save(folder / "train.npz")
        # Test labels lie apart: compare is the only stage that may open them.
        save_arrays(folder / "test_images.npz", pixels=test.pixels)
        save_arrays(folder / "test_labels.npz", labels=test.labels)
        summary = {
            "source": config.source,
            "part": config.part,
            "shift": config.shift,
            "classes": list(train.classes),
            "shape": list(train.shape),
            "train": len(train),
            "test": len(test),
            "train_per_class": dict(zip(train.classes, np.bincount(train.labels).tolist(), strict=True)),
            "test_per_class": dict(zip(test.classes, np.bincount(test.labels).tolist(), strict=True)),
            "dropped": dropped,
        }
        write_json(folder / "summary.json", summary)
    copies = sum(dropped.values())
    print(f"prepare: {len(train)} training and {len(test)} test images, {copies} duplicates dropped")


if __name__ == "__main__":
    run("prepare", prepare)
