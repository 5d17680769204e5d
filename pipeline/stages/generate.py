"""Generate class-balanced labelled digits from each replicate's generator, one seed an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.config import from_mapping, require
from pipeline.export import images_to_folder, images_to_idx
from pipeline.gan.networks import Generator, NetworksConfig
from pipeline.gan.sampling import class_balanced
from pipeline.seeds import derive
from pipeline.stages.stage import Stage, read_json, run, whole_folder
from pipeline.weights import load_weights


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
    trained = read_json(stage.path("gan", "config.json"))
    networks = from_mapping(NetworksConfig, trained["networks"], "networks")
    classes = tuple(trained["classes"])
    # Sampling takes seconds, and one thread makes its bytes independent of the number of cores.
    torch.set_num_threads(1)
    with whole_folder(stage.path("synthetic")) as folder:
        for replicate in range(trained["replicates"]):
            generator = Generator(tuple(trained["shape"]), len(classes), networks)
            load_weights(generator, stage.path("gan", f"generator-{replicate}.safetensors"))
            seed = derive(stage.value("study.seed"), "generate", stage.budget or 0, replicate)
            images = class_balanced(generator, classes, config.per_class, seed)
            images.save(folder / f"replicate-{replicate}.npz")
            if config.export == "idx":
                images_to_idx(images, folder / f"replicate-{replicate}-idx")
            elif config.export == "folder":
                images_to_folder(images, folder / f"replicate-{replicate}-folder")
    print(f"{stage.name}: {config.per_class} digits a class from each of {trained['replicates']} generators")


if __name__ == "__main__":
    run("generate", generate, per_budget=True)
