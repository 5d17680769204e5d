"""Train a classifier on each replicate's real subset, where unlabelled or generated images are read by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.classifier.arms import ArmsConfig, to_variants
from pipeline.classifier.settings import ClassifierConfig
from pipeline.images import LabelledImages, load
from pipeline.memory import within_memory
from pipeline.seeds import derive
from pipeline.split import PseudoLabels, load_split
from pipeline.stages.stage import Stage, run, whole_folder, write_json


def train_teacher(stage: Stage) -> None:
    train = load(Path("artifacts/data/train.npz"))
    split = load_split(Path(f"artifacts/splits/{stage.budget}.npz"))
    arms = stage.config("arms", ArmsConfig)
    # It is trained as that arm is.
    classifier = arms.settings("real+classical", stage.config("classifier", ClassifierConfig), stage.budget or 0)
    variants = to_variants({"generated": stage.value("variants.generated")})
    config = {"channels": train.shape[0], "classes": list(train.classes), "width": classifier.width}
    labels, sure = np.zeros(split.unlabelled.shape, np.int64), np.zeros(split.unlabelled.shape, bool)
    saw: list[dict[str, str]] = []
    with whole_folder(stage.path("teacher")) as folder:
        if variants.needs_teacher or split.unlabelled.shape[1] > 0:
            # Imported here: most studies have no teacher, and need not wait for torch.
            from pipeline.at_once import Many
            from pipeline.classifier.replicate import alike, train_replicate, train_replicates
            from pipeline.classifier.teacher import images_to_probabilities, load_teacher
            from pipeline.classifier.training import Material
            from pipeline.compute import ComputeConfig, describe, milliseconds_per_step, run_replicates
            from pipeline.weights import save_weights

            jobs = [
                {
                    "material": Material(real=real, synthetic=None, distortion=arms.classical),
                    "test_pixels": train.pixels[split.unlabelled[replicate]],
                    "config": classifier,
                    "seed": derive(stage.value("study.seed"), "teacher", stage.budget or 0, replicate),
                }
                for replicate, real in enumerate(split.real(train))
            ]
            compute, many = stage.compute(ComputeConfig), Many(train_replicates, alike)
            stage.facts |= describe(compute, jobs, many)
            with within_memory("lower classifier.batch_size, classifier.width or compute.workers"):
                steps = [classifier.steps] * len(jobs)
                results = run_replicates(train_replicate, jobs, compute, stage.name, steps, many)
            stage.facts["milliseconds_per_step"] = milliseconds_per_step(results, classifier.steps)
            saw = [result["saw"] for result in results]
            for replicate, result in enumerate(results):
                save_weights(folder / f"weights-{replicate}.safetensors", result["weights"])
                teacher = load_teacher(config, folder / f"weights-{replicate}.safetensors")
                pixels = train.pixels[split.unlabelled[replicate]]
                unread = LabelledImages(pixels, np.zeros(len(pixels), np.int64), train.classes)
                probabilities = images_to_probabilities(teacher, unread)
                if len(pixels):
                    labels[replicate], best = probabilities.argmax(1), probabilities.max(1)
                    sure[replicate] = best >= arms.pseudo_confidence
                    share = sure[replicate].mean()
                    print(f"{stage.name}: replicate {replicate} is sure of {share:.0%} of {len(pixels)} images")
        else:
            print(f"{stage.name}: no image is read by a teacher; none is trained")
        write_json(folder / "config.json", config | {"replicates": len(saw)})
        write_json(folder / "inputs.json", saw)
    PseudoLabels(labels, sure).save(Path(f"artifacts/pseudo/{stage.budget}.npz"))


if __name__ == "__main__":
    run("train_teacher", train_teacher, per_budget=True)
