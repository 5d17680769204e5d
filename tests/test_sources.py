"""Sources read what is there, drop duplicates, and name the file when something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.sources import (
    MNIST_FILES,
    DataConfig,
    Dropped,
    Source,
    distinct,
    drop_duplicates,
    hold_out,
    idx_to_images,
    read,
    usps_test,
)

DATASETS = Path(__file__).parents[1] / "datasets"
FILES = [
    f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]  # in the order in which torchvision lists them


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails, unless the test asks for the loopback server."""

    def off(*_: object, **__: object) -> None:
        raise OSError("the network is off")

    if "server" not in request.fixturenames:
        monkeypatch.setattr(socket.socket, "connect", off)
        monkeypatch.setattr(socket, "getaddrinfo", off)


def config(source: str, root: Path, **changes: Any) -> DataConfig:
    standard: dict[str, Any] = {
        "part": "all",
        "shift": "none",
        "image_size": 28,
        "channels": "auto",
        "test_fraction": 0.25,
        "split_seed": 0,
    }
    return DataConfig(**{"source": source, "root": str(root), **standard, **changes})


def message(source: str, root: Path, **changes: Any) -> str:
    """The one line in which reading ends."""
    with pytest.raises(InputError) as error:
        read(config(source, root, **changes))
    text = str(error.value)
    assert "\n" not in text
    return text


def noise(count: int, size: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def idx(values: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0)


def tiny_set() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train images (20, 28, 28) and labels, test images (10, 28, 28) and labels; ten classes."""
    return noise(20), np.arange(20) % 10, noise(10, seed=1), np.arange(10)


def put_official(raw: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny files in the official format, declared official: torchvision's checksums become theirs."""
    import torchvision.datasets

    raw.mkdir(parents=True)
    for filename, values in zip(FILES, tiny_set(), strict=True):
        (raw / filename).write_bytes(idx(values))
    sums = [(filename, hashlib.md5((raw / filename).read_bytes()).hexdigest()) for filename in FILES]
    monkeypatch.setattr(getattr(torchvision.datasets, name), "resources", sums)


def put_image(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def put_folder(root: Path, per_class: int = 4, names: tuple[str, ...] = ("cat", "dog"), seed: int = 0) -> Path:
    for label, name in enumerate(names):
        for i, image in enumerate(noise(per_class, seed=100 * seed + label)):
            put_image(root / name / f"{i}.png", image)
    return root


# MNIST


@pytest.fixture(scope="module")
def mnist() -> Source:
    return read(config("mnist", DATASETS))


def test_mnist_is_whole_and_has_no_duplicates(mnist: Source) -> None:
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    assert mnist.train.shape == mnist.test.shape == (1, 28, 28)
    assert mnist.train.classes == tuple("0123456789")
    assert np.bincount(mnist.train.labels).min() == 5421
    assert mnist.dropped == Dropped(0, 0, 0, 0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder of links to MNIST's files, where torchvision looks for them below `tmp_path`."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        os.symlink(DATASETS / "MNIST" / "raw" / name, raw / name)
    return raw


@pytest.mark.usefixtures("raw")
def test_mnist_is_what_torchvision_reads(mnist: Source, tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    assert MNIST.resources == MNIST_FILES
    for part, train in ((mnist.train, True), (mnist.test, False)):
        official = MNIST(tmp_path, train=train, download=True)
        assert np.array_equal(official.data.numpy(), part.pixels[:, 0])
        assert np.array_equal(official.targets.numpy(), part.labels)


def test_reading_mnist_leaves_nothing_unpacked(mnist: Source) -> None:
    assert not [path.name for path in (DATASETS / "MNIST" / "raw").iterdir() if path.name.endswith("-ubyte")]


@pytest.mark.parametrize("damaged", FILES)
def test_a_missing_mnist_file_is_named_and_not_fetched(damaged: str, raw: Path, tmp_path: Path) -> None:
    (raw / damaged).unlink()
    assert message("mnist", tmp_path) == (
        f"{raw / damaged}: no such file; restore it with git, or put the official file there"
    )
    whole = (DATASETS / "MNIST" / "raw" / damaged).read_bytes()
    (raw / damaged).write_bytes(whole[:-1])
    assert message("mnist", tmp_path).startswith(f"{raw / damaged}: truncated or altered (md5 ")
    (raw / damaged).write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert message("mnist", tmp_path).endswith("; restore it with git")
    (raw / damaged).unlink()
    (raw / damaged).mkdir()
    assert message("mnist", tmp_path) == f"{raw / damaged}: Is a directory"


# IDX files


def test_idx_files_are_read() -> None:
    pixels, labels, _, _ = tiny_set()
    images = idx_to_images((idx(pixels), "images"), (idx(labels), "labels"), "0123456789")
    assert np.array_equal(images.pixels[:, 0], pixels)
    assert images.labels.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (b"", "PATH: "),
        (b"not gzip", "PATH: truncated or not gzip"),
        (idx(noise(2))[:-20], "PATH: truncated or not gzip"),
        (idx(noise(2))[:40] + b"xxxx" + idx(noise(2))[44:], "PATH: truncated or not gzip"),
        (idx(np.arange(2)), "PATH: not an IDX file of bytes in 3 dimensions"),
        (gzip.compress(bytes((0, 0, 8, 3, 0)), mtime=0), "PATH: not an IDX file of bytes in 3 dimensions"),
        (
            gzip.compress(gzip.decompress(idx(noise(2)))[:-1], mtime=0),
            "PATH: 1567 values where its header promises [2, 28, 28]",
        ),
    ],
    # The bytes as names would be unreadable, and gzip's hold a time: two workers would collect two different tests.
    ids=["empty", "not gzip", "cut", "damaged", "other dimensions", "short header", "short values"],
)
def test_a_damaged_idx_file_is_named(packed: bytes, expected: str) -> None:
    with pytest.raises(InputError) as error:
        idx_to_images((packed, "PATH"), (idx(np.arange(2)), "labels"), "0123456789")
    assert str(error.value).startswith(expected)


def test_images_and_labels_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"^LABELS: does not fit IMAGES: 2 images but labels of shape \(3,\)"):
        idx_to_images((idx(noise(2)), "IMAGES"), (idx(np.arange(3)), "LABELS"), "0123456789")
    with pytest.raises(InputError, match=r"^LABELS: does not fit IMAGES: label 10 outside the 10 classes"):
        idx_to_images((idx(noise(2)), "IMAGES"), (idx(np.array([3, 10])), "LABELS"), "0123456789")


# The sets that torchvision fetches


@pytest.mark.parametrize(("source", "name"), [("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")])
def test_a_copy_that_is_there_is_read_offline(
    source: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    put_official(tmp_path / name / "raw", name, monkeypatch)
    made = read(config(source, tmp_path))
    pixels, labels, test_pixels, _ = tiny_set()
    assert np.array_equal(made.train.pixels[:, 0], pixels)
    assert np.array_equal(made.test.pixels[:, 0], test_pixels)
    assert made.train.labels.tolist() == labels.tolist()
    assert made.train.classes == tuple(getattr(torchvision.datasets, name).classes)
    assert read(config(source, tmp_path, image_size=14)).test.shape == (1, 14, 14)


def test_an_altered_copy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    put_official(raw, "KMNIST", monkeypatch)
    (raw / FILES[3]).write_bytes(idx(np.arange(10)[::-1]))
    text = message("kmnist", tmp_path)
    assert text.startswith(f"{raw / FILES[3]}: truncated or altered (md5 ")
    assert text.endswith("; delete it to have it fetched again")


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("fashion_mnist", f"FashionMNIST/raw/{FILES[0]}"),
        ("kmnist", f"KMNIST/raw/{FILES[0]}"),
        ("emnist_digits", "EMNIST/raw/gzip.zip"),
        ("usps", "USPS/usps.bz2"),
    ],
)
def test_without_a_network_one_line_says_what_to_put_where(source: str, first: str, tmp_path: Path) -> None:
    text = message(source, tmp_path)
    assert text.startswith(f"{tmp_path / first}: no such file; http")
    assert "could not be fetched (" in text
    assert text.endswith("the network is off>); download it elsewhere and put it there")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a loopback server of tmp_path/served."""
    monkeypatch.setenv("no_proxy", "*")
    handler = partial(_QuietHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_set_is_fetched_whole_and_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import KMNIST

    put_official(tmp_path / "served", "KMNIST", monkeypatch)
    monkeypatch.setattr(KMNIST, "mirrors", [server + "absent/", server])
    first = read(config("kmnist", tmp_path / "data"))
    raw = tmp_path / "data" / "KMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES)
    monkeypatch.setattr(KMNIST, "mirrors", [server + "absent/"])
    assert np.array_equal(read(config("kmnist", tmp_path / "data")).train.pixels, first.train.pixels)
    (raw / FILES[2]).unlink()
    assert message("kmnist", tmp_path / "data").startswith(f"{raw / FILES[2]}: no such file; {server}absent/{FILES[2]}")


def test_a_download_with_another_checksum_is_not_kept(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import KMNIST

    put_official(tmp_path / "served", "KMNIST", monkeypatch)
    monkeypatch.setattr(KMNIST, "mirrors", [server])
    (tmp_path / "served" / FILES[1]).write_bytes(b"a login page")
    assert "could not be fetched (File not found or corrupted.)" in message("kmnist", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data" / "KMNIST" / "raw").iterdir()] == [FILES[0]]


def test_emnist_digits_stand_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import EMNIST

    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    pixels, labels, test_pixels, test_labels = tiny_set()
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for part, p, k in (("train", pixels, labels), ("test", test_pixels, test_labels)):
            archive.writestr(f"gzip/emnist-digits-{part}-images-idx3-ubyte.gz", idx(p.swapaxes(1, 2)))
            archive.writestr(f"gzip/emnist-digits-{part}-labels-idx1-ubyte.gz", idx(k))
    monkeypatch.setattr(EMNIST, "md5", hashlib.md5((folder / "gzip.zip").read_bytes()).hexdigest())
    made = read(config("emnist_digits", tmp_path))
    assert np.array_equal(made.train.pixels[:, 0], pixels)
    assert np.array_equal(made.test.pixels[:, 0], test_pixels)
    assert made.test.classes == tuple("0123456789")
    assert [path.name for path in folder.iterdir()] == ["gzip.zip"]


def test_usps_is_resized(usps: Path) -> None:
    from torchvision.datasets import USPS

    made = read(config("usps", usps))
    assert made.train.shape == (1, 28, 28)
    assert made.train.labels.tolist() == 3 * list(range(10))
    native = USPS(usps / "USPS", train=False).data
    assert np.array_equal(read(config("usps", usps, image_size=16)).test.pixels[:, 0], native)


def test_what_cannot_be_read_in_the_place_of_uspss_test_digits_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "USPS/usps.t.bz2"
    blocked.mkdir(parents=True)
    with pytest.raises(InputError, match=re.escape(f"{blocked}: ")):
        usps_test(config("usps", tmp_path))


# Duplicates and the split


def set_of(values: list[int], labels: list[int]) -> LabelledImages:
    """Images of one grey value each; equal values are exact duplicates."""
    pixels = np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    return LabelledImages(pixels, np.array(labels, np.int64), ("a", "b"))


def values(images: LabelledImages) -> list[int]:
    return images.pixels[:, 0, 0, 0].tolist()


def test_the_first_copy_stays_and_contradictory_ones_go() -> None:
    kept, copies, contradictory = distinct(set_of([1, 2, 1, 3, 2, 3, 1], [0, 0, 0, 1, 1, 1, 0]))
    assert (values(kept), kept.labels.tolist()) == ([1, 3], [0, 1])
    assert (copies, contradictory) == (3, 2)
    assert [len(distinct(set_of([], []))[0]), *distinct(set_of([], []))[1:]] == [0, 0, 0]


def test_the_test_set_keeps_what_lies_in_both_parts() -> None:
    train = set_of([1, 1, 2, 3, 4, 4, 9, 9], [0, 0, 1, 1, 0, 1, 0, 0])
    test = set_of([3, 5, 5, 9, 6, 6], [0, 1, 1, 0, 0, 1])
    kept_train, kept_test, dropped = drop_duplicates(train, test)
    assert values(kept_train) == [1, 2]
    assert values(kept_test) == [3, 5, 9]
    assert dropped == Dropped(train_copies=1, test_copies=1, train_in_test=3, contradictory=4)
    assert len(train) + len(test) == 5 + 1 + 1 + 3 + 4


def test_each_class_gives_its_fraction() -> None:
    images = set_of(list(range(30)), [0] * 20 + [1] * 10)
    train, test = hold_out(images, 0.2, 7, Path("root"))
    assert np.bincount(test.labels).tolist() == [4, 2]
    assert sorted(values(train) + values(test)) == list(range(30))
    assert values(test) == sorted(values(test)), "the order of the files is kept"
    assert values(hold_out(images, 0.2, 7, Path("root"))[1]) == values(test)
    assert values(hold_out(images, 0.2, 8, Path("root"))[1]) != values(test)
    assert values(hold_out(images.subset(np.arange(29)), 0.2, 7, Path("root"))[1])[:4] == values(test)[:4]


def test_a_class_is_never_held_out_whole_nor_left_out() -> None:
    images = set_of(list(range(6)), [0, 0, 0, 1, 1, 1])
    assert np.bincount(hold_out(images, 0.99, 0, Path("root"))[0].labels).tolist() == [1, 1]
    assert np.bincount(hold_out(images, 0.01, 0, Path("root"))[1].labels).tolist() == [1, 1]
    with pytest.raises(InputError, match=r"^root/b: 1 distinct image\(s\), too few to hold one out; add images$"):
        hold_out(images.subset(np.arange(4)), 0.5, 0, Path("root"))


def test_duplicates_in_files_are_dropped_and_counted(tmp_path: Path) -> None:
    put_folder(tmp_path / "train")
    put_folder(tmp_path / "test", seed=1)
    (tmp_path / "train" / "cat" / "z.png").write_bytes((tmp_path / "train" / "cat" / "0.png").read_bytes())
    (tmp_path / "train" / "dog" / "z.png").write_bytes((tmp_path / "test" / "cat" / "2.png").read_bytes())
    (tmp_path / "test" / "dog" / "z.bmp").touch()
    Image.open(tmp_path / "test" / "dog" / "1.png").save(tmp_path / "test" / "dog" / "z.bmp")
    made = read(config("folder", tmp_path))
    assert (len(made.train), len(made.test)) == (8, 8)
    assert made.dropped == Dropped(train_copies=1, test_copies=1, train_in_test=1, contradictory=0)


def test_copies_go_before_a_folder_is_split(tmp_path: Path) -> None:
    put_folder(tmp_path, per_class=8)
    for i in range(8):
        (tmp_path / "cat" / f"copy{i}.png").write_bytes((tmp_path / "cat" / f"{i}.png").read_bytes())
    (tmp_path / "dog" / "contradicts.png").write_bytes((tmp_path / "cat" / "0.png").read_bytes())
    made = read(config("folder", tmp_path))
    assert made.dropped == Dropped(train_copies=7, test_copies=0, train_in_test=0, contradictory=3)
    assert (len(made.train), len(made.test)) == (5 + 6, 2 + 2)
    assert not {p.tobytes() for p in made.train.pixels} & {p.tobytes() for p in made.test.pixels}


def test_a_class_that_duplicates_empty_is_named(tmp_path: Path) -> None:
    put_folder(tmp_path / "train", per_class=2)
    put_folder(tmp_path / "test", per_class=2)
    put_image(tmp_path / "train" / "cat" / "own.png", noise(1, seed=9)[0])
    assert message("folder", tmp_path) == (
        f"{tmp_path}: class dog has no training image that is not a duplicate; add images of it"
    )


# A folder of images per class


def test_a_folder_is_read_in_order_of_name(tmp_path: Path) -> None:
    for part, seed in (("train", 0), ("test", 1)):
        put_folder(tmp_path / part, per_class=3, names=("dog", "ant", "cat"), seed=seed)
    made = read(config("folder", tmp_path))
    assert made.train.classes == made.test.classes == ("ant", "cat", "dog")
    assert made.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    on_disk = [np.asarray(Image.open(p)) for p in sorted((tmp_path / "train").rglob("*.png"))]
    assert np.array_equal(made.train.pixels[:, 0], np.stack(on_disk))


def test_a_folder_without_a_test_part_is_split_the_same_way_twice(tmp_path: Path) -> None:
    put_folder(tmp_path, per_class=8)
    first, second = read(config("folder", tmp_path)), read(config("folder", tmp_path))
    other = read(config("folder", tmp_path, split_seed=1))
    assert np.bincount(first.train.labels).tolist() == [6, 6]
    assert np.bincount(first.test.labels).tolist() == [2, 2]
    assert np.array_equal(first.test.pixels, second.test.pixels)
    assert not np.array_equal(first.test.pixels, other.test.pixels)


def test_litter_is_passed_over(tmp_path: Path) -> None:
    put_folder(tmp_path)
    for junk in (".DS_Store", "Thumbs.db", "cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini", "README.md"):
        (tmp_path / junk).write_text("junk")
    put_folder(tmp_path / "__MACOSX")
    put_folder(tmp_path / ".git")
    made = read(config("folder", tmp_path))
    assert made.train.classes == ("cat", "dog")
    assert len(made.train) + len(made.test) == 8


def test_any_size_becomes_the_size_asked_for(tmp_path: Path) -> None:
    put_folder(tmp_path)
    put_image(tmp_path / "cat" / "wide.jpg", np.full((20, 90), 200, np.uint8))
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    put_image(tmp_path / "dog" / "checks.png", checks)
    made = read(config("folder", tmp_path, image_size=16))
    assert made.train.shape == (1, 16, 16)
    pixels = np.concatenate([made.train.pixels, made.test.pixels])
    flat = pixels[pixels.reshape(len(pixels), -1).std(1) < 25]
    assert sorted(round(image.mean(), -1) for image in flat) == [130, 200], "shrinking must average, not pick"


def test_colour_is_kept_if_any_image_has_some(tmp_path: Path) -> None:
    put_folder(tmp_path)
    assert read(config("folder", tmp_path)).train.shape == (1, 28, 28)
    put_image(tmp_path / "cat" / "grey_as_rgb.png", np.repeat(noise(1, seed=5)[0][..., None], 3, axis=2))
    assert read(config("folder", tmp_path)).train.shape == (1, 28, 28)
    assert read(config("folder", tmp_path, channels="colour")).train.shape == (3, 28, 28)
    red = np.zeros((28, 28, 3), np.uint8)
    red[..., 0] = 255
    put_image(tmp_path / "cat" / "red.png", red)
    made = read(config("folder", tmp_path))
    pixels = np.concatenate([made.train.pixels, made.test.pixels])
    assert pixels.shape[1:] == (3, 28, 28)
    assert [image.tolist() for image in pixels].count(np.moveaxis(red, -1, 0).tolist()) == 1
    grey = read(config("folder", tmp_path, channels="grey"))
    assert grey.train.shape == (1, 28, 28)
    assert 76 in np.concatenate([grey.train.pixels, grey.test.pixels]).mean((1, 2, 3)), "luma of red: 0.299 x 255"


def test_every_common_kind_of_image_is_read(tmp_path: Path) -> None:
    put_folder(tmp_path)
    grey = Image.fromarray(noise(1, seed=5)[0])
    for mode, ending in (("1", "png"), ("P", "png"), ("LA", "png"), ("RGBA", "png"), ("CMYK", "tif"), ("L", "WEBP")):
        grey.convert(mode).save(tmp_path / "cat" / f"{mode}.{ending}")
    assert read(config("folder", tmp_path)).train.shape == (1, 28, 28)


def test_transparency_shows_white_and_photographs_stand_upright(tmp_path: Path) -> None:
    put_folder(tmp_path / "train")
    ink = np.zeros((28, 28, 4), np.uint8)  # black everywhere, opaque in the upper half alone
    ink[:14, :, 3] = 255
    put_image(tmp_path / "test" / "cat" / "ink.png", ink)
    turned = Image.Exif()
    turned[0x0112] = 3  # orientation: turned by 180 degrees
    picture = np.repeat(np.array([[0], [255]], np.uint8), [10, 18], axis=0).repeat(28, axis=1)
    (tmp_path / "test" / "dog").mkdir()
    Image.fromarray(picture).save(tmp_path / "test" / "dog" / "photo.png", exif=turned)
    ink_read, photo_read = read(config("folder", tmp_path)).test.pixels[:, 0]
    assert np.array_equal(ink_read[:, 0], [0] * 14 + [255] * 14)
    assert np.array_equal(photo_read[:, 0], [255] * 18 + [0] * 10)


def test_a_folder_that_cannot_serve_is_named(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    assert message("folder", root).startswith(f"{root}: no such folder; set data.root")
    root.mkdir()
    assert message("folder", root).startswith(f"{root}: 0 class folder(s)")
    put_folder(root, names=("cat",))
    assert message("folder", root) == f"{root}: 1 class folder(s) of training images; at least 2 are needed"
    (root / "dog").mkdir()
    assert message("folder", root) == f"{root / 'dog'}: class with no image; add images or remove the folder"


def test_parts_that_do_not_fit_are_named(tmp_path: Path) -> None:
    put_folder(tmp_path / "train")
    assert message("folder", tmp_path) == (
        f"{tmp_path}: holds train; it must hold train/ and test/, or only class folders"
    )
    put_folder(tmp_path / "test", names=("cat", "dog", "emu"), seed=1)
    assert message("folder", tmp_path) == (
        f"{tmp_path}: class emu is not in both train/ and test/; add or remove its folder"
    )
    put_folder(tmp_path / "train", names=("ant", "cat", "dog", "emu"))
    assert message("folder", tmp_path).startswith(f"{tmp_path}: class ant is not in both")
    put_folder(tmp_path / "val")
    assert message("folder", tmp_path).startswith(f"{tmp_path}: holds test, train, val; it must hold")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("cat/notes.txt", b"text", "not an image file (.png"),
        ("cat/moving.gif", b"GIF89a", "not an image file (.png"),
        ("stray.png", b"", "lies outside the class folders; move it into one"),
        ("cat/empty.png", b"", "unreadable (no known image format); replace it by an 8-bit image or remove it"),
        ("cat/text.jpg", b"not an image", "unreadable (no known image format)"),
        ("cat/half.png", None, "unreadable ("),
    ],
)
def test_a_bad_file_is_named(name: str, content: bytes | None, expected: str, tmp_path: Path) -> None:
    put_folder(tmp_path)
    half = (tmp_path / "cat" / "0.png").read_bytes()
    (tmp_path / name).write_bytes(half[: len(half) // 2] if content is None else content)
    assert message("folder", tmp_path).startswith(f"{tmp_path / name}: {expected}")


def test_other_things_that_are_no_image_are_named(tmp_path: Path) -> None:
    put_folder(tmp_path)
    put_image(tmp_path / "cat" / "deep.png", noise(1)[0].astype(np.uint16) * 257)
    assert message("folder", tmp_path).startswith(f"{tmp_path / 'cat' / 'deep.png'}: unreadable (more than 8 bits")
    (tmp_path / "cat" / "deep.png").unlink()
    (tmp_path / "cat" / "more").mkdir()
    assert message("folder", tmp_path).startswith(f"{tmp_path / 'cat' / 'more'}: not an image file")
    (tmp_path / "cat" / "more").rmdir()
    os.symlink(tmp_path / "nowhere.png", tmp_path / "cat" / "link.png")
    assert message("folder", tmp_path).startswith(f"{tmp_path / 'cat' / 'link.png'}: unreadable (")


def test_importing_the_config_does_not_import_torch() -> None:
    code = "import sys, pipeline.sources, pipeline.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DATASETS.parent, check=False).returncode == 0
