"""Recompute from the artifacts on disk what every number saw, and fail on any break of the chain.

    python -m pipeline.verify

Holds what each GAN and classifier was handed against the split, the test images and the files in `artifacts/`, draws
some synthetic digits again from their generators, and holds all of it against results/provenance.json. A line for each
break, exit status 1; a missing or damaged file is one line and 2. Changes nothing; run it after `dvc repro` or
`dvc pull`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.classifier.teacher import images_to_probabilities, load_teacher
from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.gan.sampling import class_balanced, load_generator
from pipeline.images import load, load_arrays
from pipeline.provenance import differences
from pipeline.seeds import derive
from pipeline.stages.compare import read_labels
from pipeline.stages.controls import gather_controls
from pipeline.stages.evidence import ARTIFACTS, gather
from pipeline.stages.generated import set_name
from pipeline.stages.stage import PARAMS, read_params

AGAIN = 5  # digits of each class and replicate that are drawn again
ROUNDING = 0.01  # what another processor may move a probability
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
        lines += judged_again(budget, len(found["budgets"][str(budget)]["replicates"]))
        lines += drawn_again(budget, seed, len(found["budgets"][str(budget)]["replicates"]))
    return lines


def drawn_again(budget: int, seed: int, replicates: int) -> Iterator[str]:
    """A line for each synthetic set whose first digits of each class are not what its generator makes of their seeds:
    they were chosen, by whatever means, or put in. (An arm's filter chooses from the set and leaves the set as it is.)
    """
    scales = {arm["scale"] for arm in read_json(ARTIFACTS / f"augmented/{budget}/arms.json").values()}
    for replicate, scale in product(range(replicates), sorted(scales | {1.0})):
        trained = load_generator(ARTIFACTS / f"gan/{budget}", replicate)
        stored = load(ARTIFACTS / f"synthetic/{budget}" / set_name(replicate, scale))
        own_seed = derive(seed, "generate", budget, replicate)
        place = f"budget {budget}, replicate {replicate}" + (f", latent scale {scale:g}" if scale != 1 else "")
        counts = np.bincount(stored.labels, minlength=len(trained.classes))
        count = min(AGAIN, int(counts.min()))
        if len(set(counts)) > 1 or not count:
            yield f"{place}: its synthetic digits are not as many of each class"
            continue
        again = class_balanced(trained.generator, trained.classes, count, own_seed, scale)
        first = np.concatenate([np.flatnonzero(stored.labels == k)[:count] for k in range(len(trained.classes))])
        moved = np.abs(stored.pixels[first].astype(int) - again.pixels).max(axis=(1, 2, 3))
        if (moved > GREY_LEVELS).any():
            yield (
                f"{place}: {int((moved > GREY_LEVELS).sum())} of {len(first)} synthetic digits are not what its "
                "generator makes of their seeds: chosen by a filter that no record names, or put in"
            )


def judged_again(budget: int, replicates: int) -> Iterator[str]:
    """A line for each replicate whose generated digits are not read as its own teacher reads them."""
    for replicate in range(replicates):
        stored = load_arrays(ARTIFACTS / f"judged/{budget}/replicate-{replicate}.npz")["probabilities"]
        if not len(stored):
            continue
        teacher = load_teacher(
            read_json(ARTIFACTS / f"teacher/{budget}/config.json"),
            ARTIFACTS / f"teacher/{budget}/weights-{replicate}.safetensors",
        )
        read = images_to_probabilities(teacher, load(ARTIFACTS / f"synthetic/{budget}/{set_name(replicate)}"))
        if np.abs(read - stored).max() > ROUNDING:
            yield f"budget {budget}, replicate {replicate}: its digits were not judged by its teacher, as recorded"


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
