"""Downloads are read back by what they are for."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.packing import KINDS, pack
from pipeline.errors import InputError
from pipeline.images import LabelledImages, load
from pipeline.sources import DataConfig, read


def made(channels: int = 1, classes: tuple[str, ...] = ("cat", "hot dog", "T-shirt/top")) -> LabelledImages:
    pixels = np.random.default_rng(0).integers(0, 256, (12, channels, 9, 9), dtype=np.uint8)
    return LabelledImages(pixels, np.arange(12) // 4 % len(classes), classes)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_zip_of_pngs_has_a_table_of_labels(channels: int) -> None:
    images = made(channels)
    with zipfile.ZipFile(io.BytesIO(pack(images, "png"))) as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
        assert len(table) == 12 and len(archive.namelist()) == 13
        for row, pixels, label in zip(table, images.pixels, images.labels, strict=True):
            picture = np.asarray(Image.open(io.BytesIO(archive.read(row["file"]))))
            assert np.array_equal(picture.reshape(9, 9, channels), np.moveaxis(pixels, 0, -1))
            assert (int(row["label"]), row["class"]) == (label, images.classes[label])


def test_the_unpacked_zip_is_a_data_source(tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(pack(made(3), "png"))).extractall(tmp_path)
    source = read(DataConfig("folder", "all", "none", str(tmp_path), 9, "auto", 0.25, 0))
    assert len(source.train) + len(source.test) == 12
    assert source.train.classes == ("T-shirt-top", "cat", "hot dog")


def test_npz_holds_labelled_images_and_no_object(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(pack(made(3), "npz"))
    read_back = load(tmp_path / "set.npz")  # never unpickles
    assert np.array_equal(read_back.pixels, made(3).pixels)
    assert np.array_equal(read_back.labels, made(3).labels) and read_back.classes == made(3).classes


def test_torchvision_reads_the_idx_files(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    zipfile.ZipFile(io.BytesIO(pack(made(), "idx"))).extractall(tmp_path)
    read_back = MNIST(tmp_path, train=True)
    assert np.array_equal(read_back.data.numpy(), made().pixels[:, 0])
    assert read_back.targets.tolist() == made().labels.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_images_give_the_same_bytes(kind: str) -> None:
    assert pack(made(), kind) == pack(made(), kind)


def test_what_a_kind_cannot_hold_is_said_without_naming_a_temporary_folder() -> None:
    for kind, images, message in (
        ("idx", made(3), "IDX files hold grey images"),
        ("png", made(1, ("a/b", "a-b")), "cannot have a folder of its own"),
        ("gif", made(), "gif: unknown kind of file; known: png, npz, idx"),
    ):
        with pytest.raises(InputError, match=message) as refused:
            pack(images, kind)
        assert "tmp" not in str(refused.value)
