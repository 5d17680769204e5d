"""Generate class-balanced labelled digits from each replicate's generator, one seed an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.classifier.arms import to_variants
from pipeline.config import require
from pipeline.export import images_to_folder, images_to_idx
from pipeline.files import read_json
from pipeline.gan.sampling import class_balanced_parts, load_generator
from pipeline.images import load, save_parts
from pipeline.memory import within_memory
from pipeline.provenance import file_to_digest
from pipeline.seeds import derive
from pipeline.stages.generated import set_name
from pipeline.stages.stage import Stage, run, whole_folder, write_json


@dataclass(frozen=True)
class GenerateConfig:
    """Section `generate`. per_class: digits of each class and replicate. export: besides the .npz, write each set as
    MNIST IDX files (idx) or as a folder per class (folder).
    """

    per_class: int
    export: Literal["none", "idx", "folder"]

    def __post_init__(self) -> None:
        require(self.per_class > 0, "per_class: must be positive")


def generate(stage: Stage) -> None:
    config = stage.config("generate", GenerateConfig)
    replicates = read_json(stage.path("gan", "config.json"))["replicates"]
    scales = to_variants({"generated": stage.value("variants.generated")}).scales
    # Sampling takes seconds, and one thread makes its bytes independent of the number of cores.
    torch.set_num_threads(1)
    sources = [
        {"generator": file_to_digest(stage.path("gan", f"generator-{r}.safetensors"))} for r in range(replicates)
    ]
    remedy = "lower generate.per_class or the networks' widths in the recipe's file in conf/gan"
    with within_memory(remedy), whole_folder(stage.path("synthetic")) as folder:
        write_json(folder / "inputs.json", sources)
        for replicate in range(replicates):
            trained = load_generator(stage.path("gan"), replicate)
            seed = derive(stage.value("study.seed"), "generate", stage.budget or 0, replicate)
            for scale in (1.0, *scales):
                parts = class_balanced_parts(trained.generator, trained.classes, config.per_class, seed, scale)
                count = len(trained.classes) * config.per_class
                save_parts(folder / set_name(replicate, scale), parts, count)
            if config.export != "none":
                write = images_to_idx if config.export == "idx" else images_to_folder
                write(load(folder / set_name(replicate)), folder / f"replicate-{replicate}-{config.export}")
    print(f"{stage.name}: {config.per_class} digits a class from each of {replicates} generators")


if __name__ == "__main__":
    run("generate", generate, per_budget=True)
