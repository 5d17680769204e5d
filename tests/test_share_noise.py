"""The noise of the share nearer to the training images: counted by hand, and what the page takes for it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks.share_noise import distances_to_shares, images_to_table
from pipeline.images import LabelledImages
from pipeline.report.copying import share_noise

RAW = Path(__file__).parents[1] / "datasets/MNIST/raw"


def test_shares_by_hand() -> None:
    # Two digits a class, one to each side: fresh digit 0 is nearest to pool 0, 1 to pool 3, and 2 is as near to all.
    distances = np.array([[0.0, 5.0, 1.0], [9.0, 5.0, 1.0], [9.0, 5.0, 1.0], [9.0, 0.0, 1.0]])
    shares = distances_to_shares(distances, np.array([0, 0, 1, 1]), 1, 200, np.random.default_rng(1))
    assert set(shares.round(6)) == {round(share, 6) for share in (0.5 / 3, 1.5 / 3, 2.5 / 3)}
    assert np.mean(np.isclose(shares, 0.5)) == pytest.approx(0.5, abs=0.15)  # on one side each
    assert shares.mean() == pytest.approx(0.5, abs=0.05)


def test_the_page_takes_what_is_measured() -> None:
    with gzip.open(RAW / "train-images-idx3-ubyte.gz") as file:
        file.seek(16)
        pixels = np.frombuffer(file.read(5000 * 784), np.uint8).reshape(5000, 1, 28, 28)
    with gzip.open(RAW / "train-labels-idx1-ubyte.gz") as file:
        file.seek(8)
        labels = np.frombuffer(file.read(5000), np.uint8).astype(np.int64)
    images = LabelledImages(pixels, labels, tuple("0123456789"))
    table = images_to_table(images, (50, 200), pool=4000, fresh=1000, draws=150, seed=1)
    assert (table[["pose", "pixel"]] - 0.5).abs().max(axis=None) < 0.01
    for row in table.to_dict("records"):
        assert row["pose, sd"] == pytest.approx(share_noise(int(row["images"]), 1000), rel=0.2)
