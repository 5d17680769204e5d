"""Draw a budget's disjoint real subsets, one per replicate, outside the development part."""

from __future__ import annotations

from pathlib import Path

from pipeline.images import load, save_arrays
from pipeline.stages.stage import Stage, run, write_json
from pipeline.subsets import SplitConfig, check_disjoint, development_part, digest, disjoint_subsets


def split(stage: Stage) -> None:
    config = stage.config("split", SplitConfig)
    asked, budget = stage.value("study.replicates"), stage.budget or 0
    labels = load(Path("artifacts/data/train.npz")).labels
    # A study of the development part has nothing else to leave alone.
    reserved = config.development_per_class if stage.value("data.part") == "all" else 0
    development = development_part(labels, reserved)
    subsets = disjoint_subsets(labels, development, budget, asked, stage.value("study.seed"), config.fewer_replicates)
    check_disjoint(subsets, development)
    if len(subsets) < asked:
        print(f"split@{budget}: {len(subsets)} replicates; no more disjoint subsets of {budget} a class exist")
    save_arrays(Path(f"artifacts/splits/{budget}.npz"), subsets=subsets, development=development)
    write_json(
        Path(f"artifacts/splits/{budget}.json"),
        {
            "budget": budget,
            "replicates": len(subsets),
            "asked": asked,
            "digests": [digest(row) for row in subsets],
            "development_digest": digest(development),
        },
    )


if __name__ == "__main__":
    run("split", split, per_budget=True)
