"""What several test files share: one thread, a few real digits read once, and a toy set that any network learns."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import signal
from pathlib import Path

# Before anything imports torch, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from toy_images import bright_corners

from pipeline.images import LabelledImages

ROOT = Path(__file__).resolve().parent.parent
RAW = ROOT / "datasets" / "MNIST" / "raw"

# A job in the background of a script, or under nohup, ignores SIGINT, and so would the stages that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture
def usps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with made-up files in USPS's format, 30 training and 20 test digits, which torchvision takes for it."""
    from torchvision.datasets import USPS

    (tmp_path / "USPS").mkdir()
    listed = {}
    for part, name, count in (("train", "usps.bz2", 30), ("test", "usps.t.bz2", 20)):
        values = np.random.default_rng(count).uniform(-1, 1, (count, 256)).round(3)
        lines = [f"{k % 10 + 1} " + " ".join(f"{i}:{v}" for i, v in enumerate(row, 1)) for k, row in enumerate(values)]
        path = tmp_path / "USPS" / name
        path.write_bytes(bz2.compress("\n".join(lines).encode()))
        listed[part] = ["http://absent/", name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(USPS, "split_list", listed)
    return tmp_path
