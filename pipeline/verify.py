"""Recompute from the artifacts on disk what every number saw, and fail on any break of the chain.

    python -m pipeline.verify

Holds what each GAN and classifier was handed against the split, the test images and the files in `artifacts/`, draws
some synthetic digits again from their generators, and holds all of it against results/provenance.json. A line for each
break, exit status 1; a missing or damaged file is one line and 2. Changes nothing; run it after `dvc repro` or
`dvc pull`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.gan.sampling import class_balanced, load_generator
from pipeline.images import load
from pipeline.provenance import differences
from pipeline.seeds import derive
from pipeline.stages.compare import read_labels
from pipeline.stages.controls import gather_controls
from pipeline.stages.evidence import ARTIFACTS, gather
from pipeline.stages.stage import PARAMS, read_json, read_params

AGAIN = 5  # digits of each class and replicate that are drawn again
GREY_LEVELS = 8  # what another processor's rounding may move a pixel, of 255; a digit that was put in moves more


def verify() -> list[str]:
    """A line for each break. Raises InputError where a file is missing or damaged."""
    params = read_params(PARAMS)
    seed = params["study"]["seed"]
    recorded = read_json(Path("results/provenance.json"))
    budgets = [int(budget) for budget in recorded["budgets"]]
    found, lines = gather(budgets, read_labels())
    _, seen, broken = gather_controls(found, params["controls"]["models"])
    found, lines = found | seen, lines + broken
    lines += differences(recorded, found)
    for budget in budgets:
        lines += drawn_again(budget, seed, found["budgets"][str(budget)]["replicates"])
    return lines


def drawn_again(budget: int, seed: int, replicates: Sequence[dict[str, str]]) -> Iterator[str]:
    """A line for each synthetic set whose first digits of each class are not what its generator makes of their seeds:
    they were chosen, by whatever means, or put in. A set whose record names a filter was, and is passed over.
    """
    for replicate, record in enumerate(replicates):
        if "filter" in record:
            continue
        trained = load_generator(ARTIFACTS / f"gan/{budget}", replicate)
        stored = load(ARTIFACTS / f"synthetic/{budget}/replicate-{replicate}.npz")
        own_seed = derive(seed, "generate", budget, replicate)
        again = class_balanced(trained.generator, trained.classes, AGAIN, own_seed)
        first = np.concatenate([np.flatnonzero(stored.labels == k)[:AGAIN] for k in range(len(trained.classes))])
        place = f"budget {budget}, replicate {replicate}"
        if not np.array_equal(stored.labels[first], again.labels):
            yield f"{place}: its synthetic digits are not {AGAIN} or more of each class"
            continue
        moved = np.abs(stored.pixels[first].astype(int) - again.pixels).max(axis=(1, 2, 3))
        if (moved > GREY_LEVELS).any():
            yield (
                f"{place}: {int((moved > GREY_LEVELS).sum())} of {len(first)} synthetic digits are not what its "
                "generator makes of their seeds: chosen by a filter that no record names, or put in"
            )


def main() -> int:
    """The command line; returns the exit status."""
    try:
        lines = verify()
    except InputError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2
    for line in lines:
        print(line)
    print(f"verify: {len(lines)} breaks" if lines else "verify: every number saw what results/provenance.json says")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
