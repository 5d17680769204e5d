"""A made-up study whose predictions go through the real comparison; its images are MNIST's."""

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from pipeline import comparison, groups, images, interactions, subsets
from pipeline.classifier.arms import ARMS, Arm
from pipeline.config import from_mapping
from pipeline.controls import controls_to_deltas
from pipeline.images import LabelledImages
from pipeline.split import Split
from pipeline.verdict import CompareConfig
from pipeline.worth import predictions_to_worth

ROOT = Path(__file__).parents[2]


RAW = ROOT / "datasets" / "MNIST" / "raw"


# Mean accuracy at 50 a class, and how often two arms err together is left to chance and to each image's difficulty.
SKILLS = {
    "real": 93.0,
    "real+classical": 97.0,
    "real+copies": 94.0,
    "real+interpolated": 93.2,
    "real+gan": 95.0,
    "real+gan+classical": 97.3,
    "gan": 89.0,
}


STEPS = {"gan": 1000, "classifier": 400}


GRID_STEPS = [100, 300, 600, 1000]


def digits(count: int) -> LabelledImages:
    """The first `count` MNIST training images."""
    with gzip.open(RAW / "train-images-idx3-ubyte.gz") as file:
        file.seek(16)
        pixels = np.frombuffer(file.read(count * 784), np.uint8).reshape(count, 1, 28, 28)
    with gzip.open(RAW / "train-labels-idx1-ubyte.gz") as file:
        file.seek(8)
        labels = np.frombuffer(file.read(count), np.uint8).astype(np.int64)
    return LabelledImages(pixels, labels, tuple("0123456789"))


def make_params(budgets: Sequence[int], replicates: int) -> dict[str, Any]:
    primary = {"budget": budgets[-1], "arm": "real+gan", "reference": "real"}
    return {
        "study": {"seed": 20, "budgets": list(budgets), "replicates": replicates},
        "data": {"source": "mnist", "image_size": None, "development_per_class": 5},
        "oracle": {"steps": 600, "batch_size": 128},
        "gan": {"recipe": "relativistic", "steps": STEPS["gan"]},
        "generate": {"per_class": 500},
        "assess": {"neighbours": 5, "features": 64},
        "classifier": {"steps": STEPS["classifier"], "batch_size": 64, "learning_rate": 0.01},
        "arms": {
            "synthetic_share": {"gan": 0.1, "copies": 0.5, "interpolated": 0.5},
            "classical": {"rotate": 10.0, "shift": 0.08},
        },
        "compare": {"margin": 0.2, "confidence": 0.95, "primary": primary},
        "compute": {"device": "auto", "precision": "auto"},
    }


def make_study(
    root: Path,
    budgets: Sequence[int] = (5,),
    replicates: int = 4,
    train: LabelledImages | None = None,
    tests: int = 800,
    diverged: Sequence[int] = (),
    collapsed: Sequence[int] = (),
) -> dict[str, Any]:
    """Write every file that the report reads below `root`, and return the params. diverged, collapsed: replicates."""
    rng = np.random.default_rng(7)
    train = train or digits(1500)
    params, artifacts = make_params(budgets, replicates), root / "artifacts"
    classes = list(train.classes)
    per_class = dict(zip(classes, np.bincount(train.labels, minlength=len(classes)).tolist(), strict=True))
    facts = {"source": "mnist", "classes": classes, "shape": list(train.shape), "train": len(train), "test": tests}
    dropped = {"train_copies": 1, "test_copies": 0, "train_in_test": 2, "contradictory": 0}
    test_per_class = {name: tests // len(classes) for name in classes}
    facts |= {"train_per_class": per_class, "test_per_class": test_per_class, "dropped": dropped}
    train.save(artifacts / "data/train.npz")
    write_json(artifacts / "data/summary.json", facts)
    make_results(root, params, classes, tests, rng)
    make_history(artifacts / "oracle/history.csv", ["step", "loss"], [[s, 2 / s] for s in range(10, 601, 10)])
    make_runs(artifacts / "runs", budgets)

    development = subsets.development_part(train.labels, 5)
    for i, budget in enumerate(budgets):
        drawn = subsets.disjoint_subsets(train.labels, development, budget, replicates, seed=i, fewer=True)
        nothing = np.empty((len(drawn), 0), np.int64)
        Split(drawn, train.labels[drawn], nothing, development).save(artifacts / f"splits/{budget}.npz")
        digests = [subsets.digest(row) for row in drawn]
        split = {"budget": budget, "replicates": len(drawn), "asked": replicates, "digests": digests}
        write_json(artifacts / f"splits/{budget}.json", split)
        make_gan(artifacts / f"gan/{budget}", train, len(drawn), diverged, collapsed, rng)
        synthetic = train.subset(rng.permutation(len(train))[:300])
        synthetic.save(artifacts / f"synthetic/{budget}/replicate-0.npz")
        make_quality(artifacts / f"quality/{budget}", train, drawn, rng)
        for part, arms in (("baseline", list(SKILLS)[:4]), ("augmented", list(SKILLS)[4:])):
            rows = [
                [arm, r, step, float(2.3 * np.exp(-step / 60) + 0.02 + 0.005 * rng.random())]
                for arm in arms
                for r in range(len(drawn))
                for step in range(5, STEPS["classifier"] + 1, 5)
            ]
            make_history(artifacts / f"{part}/{budget}/history.csv", ["arm", "replicate", "step", "loss"], rows)
            made = {
                arm.name: asdict(arm) | {"augmentation": None, "phases": phases_of(arm)}
                for arm in ARMS
                if arm.name in arms
            }
            write_json(artifacts / f"{part}/{budget}/arms.json", made)
    return params


def phases_of(arm: Arm) -> list[dict[str, Any]]:
    """Batches of 64, by origin."""
    batch = {"real": 32, arm.synthetic: 32} if arm.real and arm.synthetic else {arm.synthetic or "real": 64}
    return [{"steps": STEPS["classifier"], "batch": batch}]


def make_results(root: Path, params: dict[str, Any], classes: list[str], tests: int, rng: np.random.Generator) -> None:
    labels = rng.integers(0, len(classes), tests)
    hardness = rng.normal(size=tests)

    def predict(accuracy: float) -> NDArray[np.int64]:
        score = 0.8 * hardness + 0.6 * rng.normal(size=tests)
        wrong = score > np.quantile(score, min(0.999, accuracy / 100))
        return np.where(wrong, (labels + rng.integers(1, len(classes), tests)) % len(classes), labels)

    by_budget = {}
    for budget in params["study"]["budgets"]:
        arms = {}
        count = min(params["study"]["replicates"], 5000 // budget)
        lifts = rng.normal(0, 0.15, size=count)
        for arm, skill in SKILLS.items():
            error = (100 - skill) * (50 / budget) ** 0.45
            arms[arm] = np.stack([predict(100 - error + lift + rng.normal(0, 0.15)) for lift in lifts])
        by_budget[budget] = arms
    study = comparison.Predictions(by_budget, labels, classes)
    config = from_mapping(CompareConfig, params["compare"], "compare")
    deltas = comparison.predictions_to_deltas(study, config)
    (root / "results").mkdir(parents=True)
    deltas.to_csv(root / "results/deltas.csv", index=False)
    comparison.predictions_to_accuracies(study).to_csv(root / "results/accuracies.csv", index=False)
    comparison.predictions_to_recalls(study).to_csv(root / "results/recalls.csv", index=False)
    comparison.predictions_to_mcnemar(study, config).to_csv(root / "results/mcnemar.csv", index=False)
    controls_to_deltas({}, labels, classes, config).to_csv(root / "results/controls.csv", index=False)
    predictions_to_worth(study, config.confidence).to_csv(root / "results/worth.csv", index=False)
    interactions.predictions_to_interactions(study, 0.95).to_csv(root / "results/interactions.csv", index=False)
    groups.predictions_to_groups(study, {}, 0.95).to_csv(root / "results/groups.csv", index=False)
    metrics = comparison.deltas_to_metrics(study, deltas, config, predict(99.3))
    write_json(root / "results/metrics.json", metrics)


def make_gan(
    folder: Path,
    train: LabelledImages,
    replicates: int,
    diverged: Sequence[int],
    collapsed: Sequence[int],
    rng: np.random.Generator,
) -> None:
    header = ["replicate", "step", "generator_loss", "discriminator_loss", "real_score", "fake_score"]
    header += ["generator_gradient", "discriminator_gradient", "penalty", "spread"]
    rows, health = [], []
    for r in range(replicates):
        top = 0.05 if r in collapsed else 0.45
        for step in range(20, STEPS["gan"] + 1, 20):
            if r in diverged and step >= 500:
                rows.append([r, step, *[float("nan")] * 8])
                break
            wave, noise = 1 - np.exp(-step / 150), rng.normal(0, 0.03, size=8)
            values = np.array([0.7 + wave, 0.7 - 0.4 * wave, wave, -wave, 1, 0.6, 0.1, top * wave])
            rows.append([r, step, *(values + noise * [1, 1, 1, 1, 1, 1, 0.1, 0.1]).round(5)])
        names = list(train.classes[3:5]) if r in collapsed else []
        bad = r in diverged or r in collapsed
        spread = None if r in diverged else top
        health.append(
            {"replicate": r, "finite": r not in diverged, "spread": spread, "spread_real": 0.47, "collapsed": names}
            | {"healthy": not bad}
        )
    make_history(folder / "history.csv", header, rows)
    write_json(folder / "health.json", {"replicates": health})
    write_json(folder / "config.json", {"grid_steps": GRID_STEPS})
    (folder / "grids").mkdir()
    rows_of_images = [
        np.concatenate(list(train.pixels[train.labels == i][:10, 0]), 1) for i in range(len(train.classes))
    ]
    grid = np.concatenate(rows_of_images)
    for step in GRID_STEPS:
        if 0 in diverged and step > 500:
            break
        noisy = np.clip(grid + rng.normal(0, 200 * np.exp(-step / 300), size=grid.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"grids/replicate-0-step-{step:06d}.png")


def make_quality(folder: Path, train: LabelledImages, drawn: NDArray[np.int64], rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    rows, by_class = [], []
    for r in range(len(drawn)):
        row = {"replicate": r, "agreement": 90 + rng.random(), "frechet": 3 + rng.random(), "frechet_floor": 0.4}
        row |= {"kid": 5 + rng.random(), "kid_floor": -0.02}
        row |= {"precision": 0.8, "recall": 0.7, "density": 0.9, "coverage": 0.75, "spread": 0.44, "spread_real": 0.47}
        for view in ("pose", "pixel"):
            row |= {
                f"{view}_closer_to_subset": 0.54 + 0.02 * rng.random(),
                f"{view}_distance_ratio": {"pose": 0.97, "pixel": 0.99}[view],
                f"{view}_near_copies": 70,
                f"{view}_near_unused": 52,
                f"{view}_c_t": -2 + rng.random(),
                f"{view}_c_t_unused": -0.5,
            }
        rows.append(row | {"exact_copies": 0})
        by_class += [
            [r, name, 500, 85 + 15 * rng.random(), 9, -0.1, 0.8, 0.6, 0.9, 0.95, 0.44, 0.47] for name in train.classes
        ]
    pd.DataFrame(rows).to_csv(folder / "quality.csv", index=False)
    header = ["replicate", "class", "synthetic", "agreement", "kid", "kid_floor", "precision", "recall"]
    make_history(folder / "classes.csv", [*header, "precision_real", "recall_real", "spread", "spread_real"], by_class)
    pairs = train.pixels[drawn[0][:16]]
    distance = np.linspace(0.03, 0.09, len(pairs))
    images.save_arrays(
        folder / "suspects.npz",
        synthetic=pairs[::-1],
        real=pairs,
        unused=pairs[::-1],
        distance=distance,
        distance_unused=2 * distance,
    )


def make_runs(folder: Path, budgets: Sequence[int]) -> None:
    names = ["prepare", "train_oracle", "compare"]
    stages = ["split", "train_teacher", "train_gan", "generate", "judge", "assess", "train_baseline", "train_augmented"]
    stages.append("train_controls")
    names += [f"{stage}@{budget}" for stage in stages for budget in budgets]
    seconds = {"prepare": 2.5, "train_gan": 423.0, "train_oracle": 58.1, "train_baseline": 95.0}
    for name in names:
        machine = {"processor": "Example CPU @ 2.5 GHz", "cores": 2, "system": "Linux 6.1", "memory_gb": 8.0}
        versions = {"python": "3.12.3", "torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.3.1"}
        run = {"stage": name, "seconds": seconds.get(name.split("@")[0], 7.3), "finished": "2026-03-01T12:00:00+00:00"}
        run |= {"machine": machine, "versions": versions}
        if "train" in name:  # only stages that compute on a device say so
            run |= {"device": "cpu", "workers": 2, "milliseconds_per_step": 20.0 if "augmented" in name else 10.0}
        write_json(folder / f"{name}.json", run)


def make_history(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
