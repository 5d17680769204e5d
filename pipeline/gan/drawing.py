"""A replicate's synthetic sets: from the file of its generator to files of digits, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from pipeline.export import images_to_folder, images_to_idx
from pipeline.gan.sampling import class_balanced_parts, load_generator
from pipeline.images import LabelledImages, load, save_parts

Export = Literal["none", "idx", "folder"]


def draw_replicate(
    trained: Path,
    replicate: int,
    per_class: int,
    seed: int,
    sets: Mapping[Path, float],
    exports: Mapping[Path, Export],
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> dict[str, Any]:
    """Write `per_class` digits of each class from a generator of the folder `trained` to each of `sets`, with the noise
    multiplied by what stands there, and the first of these to each of `exports` besides. For `compute.run_replicates`.

    The result is empty: a set may be larger than memory. Raises InputError that names a file of `trained`.
    """
    generator, _, classes = load_generator(trained, replicate)
    generator.to(device)
    count = len(classes) * per_class
    for number, (path, scale) in enumerate(sets.items()):
        parts = class_balanced_parts(generator, classes, per_class, seed, scale)
        save_parts(path, _reported(parts, number * count, report), count)
    for path, form in exports.items():
        write = images_to_idx if form == "idx" else images_to_folder
        write(load(next(iter(sets))), path)
    return {}


def _reported(
    parts: Iterator[LabelledImages], drawn: int, report: Callable[[dict[str, float]], None]
) -> Iterator[LabelledImages]:
    for part in parts:
        yield part
        drawn += len(part)
        report({"step": drawn})
