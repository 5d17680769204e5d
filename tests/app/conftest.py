"""Two tiny trained studies: MNIST digits, and coloured 64x64 pictures of two named classes. The stages make them."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import LabelledImages, save_arrays
from pipeline.stages.split import split
from pipeline.stages.stage import Stage, read_params
from pipeline.stages.train_gan import train_gan
from pipeline.stages.train_oracle import train_oracle
from pipeline.stages.train_teacher import train_teacher

ROOT = Path(__file__).parents[2]


def make_study(folder: Path, train: LabelledImages, budget: int) -> Path:
    """`folder`/artifacts with two barely trained generators and an oracle, as the stages leave them."""
    params = read_params(ROOT / "params.yaml")
    params["study"] |= {"budgets": [budget], "replicates": 2, "seed": 3}
    params["split"]["development_per_class"] = 0
    params["gan"]["steps"] = 3
    params["oracle"] |= {"width": 8, "steps": 60, "batch_size": 32}
    params["compute"]["workers"] = 1
    (folder / "conf").symlink_to(ROOT / "conf")
    with chdir(folder):
        train.save(Path("artifacts/data/train.npz"))
        save_arrays(Path("artifacts/data/test_images.npz"), pixels=train.pixels[:10])
        for name, body, of in (
            (f"split@{budget}", split, budget),
            (f"train_teacher@{budget}", train_teacher, budget),
            (f"train_gan@{budget}", train_gan, budget),
            ("train_oracle", train_oracle, None),
        ):
            body(Stage(name, of, params, ROOT / "params.yaml"))
    return folder / "artifacts"


@pytest.fixture(scope="session")
def digit_study(digits: LabelledImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images a class; not to be changed."""
    return make_study(tmp_path_factory.mktemp("digit-study"), digits, 10)


@pytest.fixture(scope="session")
def pet_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six a class of reddish "cat" and bluish "hot dog", 3x64x64; not to be changed."""
    draws = np.random.default_rng(0)
    labels = np.arange(24) % 2
    pixels = draws.integers(0, 90, (24, 3, 64, 64), dtype=np.uint8)
    pixels[labels == 0, 0] += 150
    pixels[labels == 1, 2] += 150
    pets = LabelledImages(pixels, labels, ("cat", "hot dog"))
    return make_study(tmp_path_factory.mktemp("pet-study"), pets, 6)
