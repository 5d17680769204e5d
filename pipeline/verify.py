"""Recompute from the artifacts on disk what every number saw and is, and fail on any break of the chain.

    python -m pipeline.verify

Holds what each GAN and classifier was handed against the split, the test images and the files in `artifacts/`; draws
the synthetic digits again from their generators, judges them again, labels unlabelled images again, makes copies and
interpolated images again; holds all of it against results/provenance.json, the other result files against what the
predictions give, what each GAN and classifier was trained with against params.yaml, and what the quality numbers were
measured on against what is there. A line for each break, exit status 1; a missing or damaged file is one line and 2.
Trains nothing, changes nothing; run it after `dvc repro` or `dvc pull`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.classifier.arms import ArmsConfig
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load
from pipeline.provenance import differences
from pipeline.rounding import files_apart
from pipeline.split import load_split
from pipeline.stages.compare import RESULTS, read_labels, write_results
from pipeline.stages.controls import gather_controls
from pipeline.stages.evidence import ARTIFACTS, gather
from pipeline.stages.plan import otherwise_trained
from pipeline.stages.proof import (
    arms_remade,
    controls_remade,
    drawn_again,
    judged_again,
    labelled_again,
    latent_scales,
    quality_held,
    sets_due,
)
from pipeline.stages.stage import PARAMS, RUNS, Stage, read_params, record
from pipeline.verdict import CompareConfig

AGAIN = 200_000  # synthetic digits that are drawn again, all sets together; where there are more, as many of each set


def verify(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """A line for each break, and one for each thing that could not be checked, or not whole. rng: chooses the digits
    that are drawn again, where these are too many. Raises InputError where a file is missing or damaged.
    """
    torch.set_num_threads(1)  # as the stages that made the images
    stage = Stage("verify", None, read_params(PARAMS), PARAMS)
    recorded, labels = read_json(RESULTS / "provenance.json"), read_labels()
    budgets = [int(budget) for budget in recorded["budgets"]]
    found, breaks = gather(budgets, labels)
    controls, seen, broken = gather_controls(found, stage.value("controls.models"))
    changed = [*differences(recorded, found | seen)]
    breaks += [*broken, *changed]
    # Changed predictions are a break; that the result files are of others then is none of its own.
    if not any(f", {what}: " in line for line in changed for what in ("predictions", "test_labels")):
        breaks += compared_again(budgets, labels, controls, stage.config("compare", CompareConfig))
    drawn, notes = sets_drawn_again(stage, budgets, rng)
    breaks += drawn
    for budget in budgets:
        made, unsure = made_again(stage, budget)
        breaks, notes = breaks + made, notes + unsure
    return breaks, notes


def compared_again(
    budgets: Sequence[int],
    labels: NDArray[np.int64],
    controls: Mapping[int, Mapping[str, NDArray[np.int64]]],
    config: CompareConfig,
) -> Iterator[str]:
    """A line for each result file that says something else than the predictions. Arguments as of `write_results`."""
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder), budgets, labels, controls, config)
        for again in sorted(Path(folder).iterdir()):
            place, count = files_apart(RESULTS / again.name, again)
            if count:
                more = f" (and {count - 1} more)" if count > 1 else ""
                yield f"{RESULTS / again.name}: {place}{more}; run `dvc repro compare`"


def sets_drawn_again(stage: Stage, budgets: Sequence[int], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Breaks and notes of all synthetic sets."""
    sets = [
        (budget, replicate, scale)
        for budget in budgets
        for scale in latent_scales(budget)
        for replicate in range(len(load_split(ARTIFACTS / f"splits/{budget}.npz").subsets))
    ]
    seed, per_class = stage.value("study.seed"), stage.value("generate.per_class")
    size = per_class * len(read_json(ARTIFACTS / "data/summary.json")["classes"])
    most = max(1, AGAIN // len(sets))
    lines = [line for own in sets for line in drawn_again(*own, seed, per_class, most, rng)]
    return lines, (
        [f"of each synthetic set {most} digits of {size}, chosen at random, were drawn again"] if most < size else []
    )


def made_again(stage: Stage, budget: int) -> tuple[list[str], list[str]]:
    """Breaks and notes of a budget's trainings, and of all other images and judgements."""
    train, split = load(ARTIFACTS / "data/train.npz"), load_split(ARTIFACTS / f"splits/{budget}.npz")
    reals, arms = split.real(train), stage.config("arms", ArmsConfig)
    breaks, notes = [*otherwise_trained(stage, budget), *judged_again(budget, reals)], []
    breaks += labelled_again(budget, train, split, arms.pseudo_confidence)
    breaks += quality_held(budget, train, split)
    due = sets_due(budget, stage.value("study.seed"), reals, arms)
    for maker, lines in (
        ("train_baseline", arms_remade(budget, len(reals), due)),
        ("train_controls", controls_remade(budget, len(reals), due, stage.value("controls.models"))),
    ):
        # A digest forgives no rounding: another is a break only where the same libraries have made the images again.
        elsewhere, others = made_elsewhere(f"{maker}@{budget}"), [*lines]
        if elsewhere and others:
            notes.append(
                f"budget {budget}: {len(others)} sets of copies or interpolated images come out otherwise here, but "
                f"{maker} ran with {elsewhere}: not counted as breaks"
            )
        else:
            breaks += others
    return breaks, notes


def made_elsewhere(stage: str) -> str:
    """With which other processor and versions a stage ran, by its record; empty if with ours, or without a record."""
    path = RUNS / f"{stage}.json"
    if not path.exists():
        return ""
    there: dict[str, Any] = read_json(path)
    here = record(Stage(stage, None, {}, PARAMS), 0)
    ours, theirs = ({"processor": run["machine"]["processor"], **run["versions"]} for run in (here, there))
    return ", ".join(f"{name} {value}" for name, value in theirs.items() if ours.get(name) != value)


def main() -> int:
    """The command line; returns the exit status."""
    try:
        breaks, notes = verify(np.random.default_rng())
    except InputError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    for line in breaks:
        print(line)
    for note in notes:
        print(f"verify: {note}")
    sound = f"every number saw what results/provenance.json says{', as far as was checked' if notes else ''}"
    print(f"verify: {f'{len(breaks)} breaks' if breaks else sound}")
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main())
