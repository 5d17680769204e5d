"""Generate class-balanced labelled digits from each replicate's generator, one seed an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.classifier.arms import to_variants
from pipeline.compute import ComputeConfig, resolve_workers, run_replicates
from pipeline.config import require
from pipeline.files import read_json
from pipeline.gan.drawing import Export, draw_replicate
from pipeline.memory import within_memory
from pipeline.provenance import file_to_digest
from pipeline.seeds import derive
from pipeline.stages.generated import set_name
from pipeline.stages.stage import Stage, run, whole_folder, write_json

DIGITS_A_WORKER = 20_000  # drawn in the seconds in which another process imports torch


@dataclass(frozen=True)
class GenerateConfig:
    """Section `generate`. per_class: digits of each class and replicate. export: besides the .npz, write each set as
    MNIST IDX files (idx) or as a folder per class (folder).
    """

    per_class: int
    export: Export

    def __post_init__(self) -> None:
        require(self.per_class > 0, "per_class: must be positive")


def generate(stage: Stage) -> None:
    config = stage.config("generate", GenerateConfig)
    trained = read_json(stage.path("gan", "config.json"))
    replicates, classes = trained["replicates"], len(trained["classes"])
    scales = (1.0, *to_variants({"generated": stage.value("variants.generated")}).scales)
    sources = [
        {"generator": file_to_digest(stage.path("gan", f"generator-{r}.safetensors"))} for r in range(replicates)
    ]
    # On CPUs of this machine, whose disk the digits go to, and whose one thread a process makes their bytes the same
    # on any number of cores.
    here, digits = replace(stage.cpus(ComputeConfig), backend="local"), config.per_class * classes
    drawn = len(scales) * digits
    here = replace(here, workers=resolve_workers(here, max(1, replicates * drawn // DIGITS_A_WORKER)))
    remedy = "lower generate.per_class or the networks' widths in the recipe's file in conf/gan"
    with within_memory(remedy), whole_folder(stage.path("synthetic")) as folder:
        write_json(folder / "inputs.json", sources)
        jobs: list[dict[str, Any]] = [
            {
                "trained": stage.path("gan"),
                "replicate": replicate,
                "per_class": config.per_class,
                "seed": derive(stage.value("study.seed"), "generate", stage.budget or 0, replicate),
                "sets": {folder / set_name(replicate, scale): scale for scale in scales},
                "exports": {}
                if config.export == "none"
                else {folder / f"replicate-{replicate}-{config.export}": config.export},
            }
            for replicate in range(replicates)
        ]
        run_replicates(draw_replicate, jobs, here, stage.name, [drawn] * replicates, keep=False)
    print(f"{stage.name}: {config.per_class} digits a class from each of {replicates} generators")


if __name__ == "__main__":
    run("generate", generate, per_budget=True)
