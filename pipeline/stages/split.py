"""Draw a budget's disjoint real subsets, one per replicate, outside the development part."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.images import load
from pipeline.seeds import derive
from pipeline.split import Split
from pipeline.stages.stage import Stage, run, write_json
from pipeline.subsets import SplitConfig, development_part, digest, draw_subsets, noisy_labels


def split(stage: Stage) -> None:
    config = stage.config("split", SplitConfig)
    asked, budget, seed = stage.value("study.replicates"), stage.budget or 0, stage.value("study.seed")
    train = load(Path("artifacts/data/train.npz"))
    # Of a trial on the development part, or tested on it, stage prepare has left nothing else.
    reserved = config.development_per_class if stage.value("data.part") == "all" else 0
    development = development_part(train.labels, reserved)
    counts = config.class_counts(budget, train.classes)
    subsets, unlabelled = draw_subsets(
        train.labels, development, budget, counts, config.unlabelled_per_class, asked, seed, config.fewer_replicates
    )
    labels = np.stack(
        [
            noisy_labels(
                train.labels[row],
                len(train.classes),
                config.label_noise,
                derive(seed, "label noise", budget, replicate),
            )
            for replicate, row in enumerate(subsets)
        ]
    )
    drawn = Split(subsets, labels, unlabelled, development)
    drawn.check()
    if len(subsets) < asked:
        print(f"split@{budget}: {len(subsets)} replicates; no more disjoint subsets of {budget} a class exist")
    drawn.save(Path(f"artifacts/splits/{budget}.npz"))
    write_json(
        Path(f"artifacts/splits/{budget}.json"),
        {
            "budget": budget,
            "replicates": len(subsets),
            "asked": asked,
            "per_class": dict(zip(train.classes, counts.tolist(), strict=True)),
            "wrong_labels": int((labels != train.labels[subsets]).sum(axis=1).max()),
            "unlabelled": unlabelled.shape[1],
            "digests": [digest(row) for row in subsets],
            "development_digest": digest(development),
        },
    )


if __name__ == "__main__":
    run("split", split, per_budget=True)
