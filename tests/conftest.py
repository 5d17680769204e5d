"""What several test files share: one thread, a few real digits read once, and a toy set that any network learns."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

# Before anything imports torch, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from toy_images import bright_corners

from pipeline.images import LabelledImages

ROOT = Path(__file__).resolve().parent.parent
RAW = ROOT / "datasets" / "MNIST" / "raw"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    """200 real MNIST digits, the first 20 of each class; plain reading, so that no project code is trusted."""
    with gzip.open(RAW / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(8 + 1000)[8:], np.uint8).astype(np.int64)
    with gzip.open(RAW / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + 1000 * 784)[16:], np.uint8).reshape(1000, 1, 28, 28)
    first = np.sort(np.concatenate([np.flatnonzero(labels == label)[:20] for label in range(10)]))
    return LabelledImages(pixels[first], labels[first], tuple("0123456789"))


@pytest.fixture(scope="session")
def toy() -> LabelledImages:
    """30 of `bright_corners`, 10 a class."""
    return bright_corners(10, seed=0)


@pytest.fixture(scope="session")
def fresh_toy() -> LabelledImages:
    """90 others of the same three classes."""
    return bright_corners(30, seed=1)
