"""Where images come from: official sets and a folder of images per class, all checked on the way in.

Official files are read as they lie, packed, and must have the checksum that torchvision lists. MNIST never goes to the
network; torchvision fetches the others when they are not there. Every mistake in the data is an InputError that names
the file and the remedy. torchvision is imported only where another official set than MNIST is read: it takes seconds.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.config import require
from pipeline.errors import InputError, one_line
from pipeline.folders import folder_to_images, to_square
from pipeline.images import LabelledImages

MNIST_LIKE = {"fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}  # torchvision's names
# As torchvision.datasets.MNIST.resources: train images, train labels, test images, test labels, and their MD5.
MNIST_FILES = [
    ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
]
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class DataConfig:
    """Section `data` of params.yaml.

    source: which set. part: all of it; or the development part of its training images alone (development), or what a
    study may draw with the development part as its test (validation): the test images then go no further than the
    reading of the files, which drops training images that equal one. shift: what the test images are changed to
    (shift.py). root: the folder that holds MNIST/raw/, FashionMNIST/raw/ and so on, or the user's own
    folder. image_size: side in pixels; images of another size are resized. channels: of a folder; auto is colour if any
    image is not grey. test_fraction: of each class, held out if a folder has no train/ and test/. split_seed: of that
    draw, of what the development part holds out, and of the shift.
    """

    source: Literal["mnist", "fashion_mnist", "kmnist", "emnist_digits", "usps", "folder"]
    part: Literal["all", "development", "validation"]
    shift: Literal["none", "rotated", "blurred", "usps"]
    root: str
    image_size: int
    channels: Literal["auto", "grey", "colour"]
    test_fraction: float
    split_seed: int

    def __post_init__(self) -> None:
        require(self.root != "", "root: must name a folder, got an empty text")
        digits = self.source in ("mnist", "emnist_digits")
        require(
            digits or self.shift != "usps",
            f"shift: usps is for mnist and emnist_digits, not for {self.source}",
        )
        require(self.image_size >= 8, f"image_size: must be 8 pixels or more, got {self.image_size}")
        grey = self.source == "folder" or self.channels != "colour"
        require(grey, f"channels: {self.source} is grey; colour is for the source folder")
        require(0 < self.test_fraction < 1, f"test_fraction: must lie between 0 and 1, got {self.test_fraction}")
        require(self.split_seed >= 0, f"split_seed: must be 0 or more, got {self.split_seed}")


@dataclass(frozen=True)
class Dropped:
    """How many images were left out because their pixels, as resized, equal another's.

    train_copies, test_copies: copies after the first, which is kept. train_in_test: training images that lie in the
    test set, which keeps them. contradictory: images whose copies in the same part bear another label; none is kept.
    """

    train_copies: int
    test_copies: int
    train_in_test: int
    contradictory: int


@dataclass(frozen=True)
class Source:
    """A data set without exact duplicates, in the order of its files; every class has an image in both parts."""

    train: LabelledImages
    test: LabelledImages
    dropped: Dropped


def read(config: DataConfig) -> Source:
    """Read and check the set that `config` names. Raises InputError naming the file at fault."""
    root, size = Path(config.root).expanduser(), config.image_size
    try:
        match config.source:
            case "folder":
                parts = folder_to_images(root, size, config.channels)
            case "emnist_digits":
                parts = _emnist_digits(root / "EMNIST" / "raw")
            case "usps":
                parts = [_usps(root / "USPS", "train"), _usps(root / "USPS", "test")]
            case "mnist":
                parts = _four_files(root / "MNIST" / "raw", MNIST_FILES, DIGITS, mirrors=[])
            case _:
                parts = _mnist_like(root, MNIST_LIKE[config.source])
    except OSError as error:
        raise _unreadable(error, root) from error
    if len(parts) == 1:
        # Copies go before the draw: otherwise one could be held out while its twin is trained on.
        pool, copies, contradictory = distinct(parts[0])
        train, test = hold_out(pool, config.test_fraction, config.split_seed, root)
        dropped = Dropped(copies, 0, 0, contradictory)
    else:
        train, test, dropped = drop_duplicates(*(_resized(part, size) for part in parts))
    for part, images in (("training", train), ("test", test)):
        missing = sorted(set(range(len(images.classes))) - set(images.labels.tolist()))
        if missing:
            name = images.classes[missing[0]]
            raise InputError(f"{root}: class {name} has no {part} image that is not a duplicate; add images of it")
    return Source(train, test, dropped)


def drop_duplicates(train: LabelledImages, test: LabelledImages) -> tuple[LabelledImages, LabelledImages, Dropped]:
    """Both parts without exact duplicates, and what was dropped; `Dropped` says which copy stays."""
    tested = {image.tobytes() for image in test.pixels}
    across = np.array([image.tobytes() in tested for image in train.pixels], dtype=bool)
    train, train_copies, train_contradictory = distinct(train.subset(~across))
    test, test_copies, test_contradictory = distinct(test)
    contradictory = train_contradictory + test_contradictory
    return train, test, Dropped(train_copies, test_copies, int(across.sum()), contradictory)


def distinct(images: LabelledImages) -> tuple[LabelledImages, int, int]:
    """The first copy of every image, in order; how many later copies and how many contradictory images were dropped."""
    labels: dict[bytes, set[int]] = {}
    first = np.zeros(len(images), dtype=bool)
    keys = [image.tobytes() for image in images.pixels]
    for i, (key, label) in enumerate(zip(keys, images.labels.tolist(), strict=True)):
        first[i] = key not in labels
        labels.setdefault(key, set()).add(label)
    agreed = np.array([len(labels[key]) == 1 for key in keys], dtype=bool)
    return images.subset(agreed & first), int((agreed & ~first).sum()), int((~agreed).sum())


def hold_out(images: LabelledImages, fraction: float, seed: int, root: Path) -> tuple[LabelledImages, LabelledImages]:
    """Split off `fraction` of each class (at least one image, never all) as a test set; both parts keep their order.

    A class's draw depends on `seed`, its place among the classes and its number of images alone.
    """
    held = np.zeros(len(images), dtype=bool)
    for label, name in enumerate(images.classes):
        members = np.flatnonzero(images.labels == label)
        if len(members) < 2:
            raise InputError(f"{root / name}: {len(members)} distinct image(s), too few to hold one out; add images")
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held[np.random.default_rng((seed, label)).permutation(members)[:count]] = True
    return images.subset(~held), images.subset(held)


# Official sets: each gives (train, test), and leaves nothing unpacked beside the official files.


def _mnist_like(root: Path, name: str) -> list[LabelledImages]:
    """A set that comes in four files as MNIST does; `name` is torchvision's class and folder."""
    import torchvision.datasets

    kind = getattr(torchvision.datasets, name)
    return _four_files(root / name / "raw", kind.resources, kind.classes, kind.mirrors)


def _four_files(
    folder: Path, files: Sequence[tuple[str, str]], classes: Sequence[str], mirrors: Sequence[str]
) -> list[LabelledImages]:
    """files: (name, MD5) as in MNIST_FILES. mirrors: where to fetch them; none for never."""
    blobs = []
    for filename, md5 in files:
        path = folder / filename
        _verify(path, md5, [mirror + filename for mirror in mirrors])
        blobs.append((path.read_bytes(), str(path)))
    return [idx_to_images(blobs[0], blobs[1], classes), idx_to_images(blobs[2], blobs[3], classes)]


def _emnist_digits(folder: Path) -> list[LabelledImages]:
    """EMNIST's split `digits` out of the official zip, turned upright: its files hold every image transposed."""
    from torchvision.datasets import EMNIST

    archive, parts = folder / "gzip.zip", []
    _verify(archive, EMNIST.md5, [EMNIST.url])
    with zipfile.ZipFile(archive) as packed:
        for part in ("train", "test"):
            members = [f"gzip/emnist-digits-{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
            images, labels = ((packed.read(member), f"{archive}:{member}") for member in members)
            lying = idx_to_images(images, labels, EMNIST.classes_split_dict["digits"])
            parts.append(LabelledImages(lying.pixels.swapaxes(2, 3).copy(), lying.labels, lying.classes))
    return parts


def usps_test(config: DataConfig) -> LabelledImages:
    """USPS's test digits as `read` gives them, without its training digits. Raises InputError naming the file."""
    folder = Path(config.root).expanduser() / "USPS"
    try:
        images = _usps(folder, "test")
    except OSError as error:
        raise _unreadable(error, folder) from error
    return distinct(_resized(images, config.image_size))[0]


def _unreadable(error: OSError, root: Path) -> InputError:
    return InputError(f"{error.filename or root}: {one_line(error.strerror or error)}")


def _usps(folder: Path, part: Literal["train", "test"]) -> LabelledImages:
    """USPS, 16x16, as torchvision reads it."""
    from torchvision.datasets import USPS

    url, filename, md5 = USPS.split_list[part]
    _verify(folder / filename, md5, [url])
    official = USPS(folder, train=part == "train")
    return LabelledImages(official.data[:, None], np.array(official.targets), DIGITS)


def _verify(path: Path, md5: str, urls: Sequence[str]) -> None:
    """Check that `path` has the official checksum; fetch it first, whole or not at all, if it is not there."""
    reason = None
    for url in [] if path.exists() else urls:
        from torchvision.datasets.utils import download_url

        part = path.with_name(path.name + ".part")
        try:
            download_url(url, path.parent, part.name, md5)
            os.replace(part, path)
            break
        except (OSError, RuntimeError, http.client.HTTPException) as error:  # RuntimeError: what came has another md5
            part.unlink(missing_ok=True)
            reason = f"{url} could not be fetched ({one_line(error)}); download it elsewhere and put it there"
    if not path.exists():
        raise InputError(f"{path}: no such file; {reason or 'restore it with git, or put the official file there'}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        remedy = "delete it to have it fetched again" if urls else "restore it with git"
        raise InputError(f"{path}: truncated or altered (md5 {found}, the official file has {md5}); {remedy}")


def idx_to_images(images: tuple[bytes, str], labels: tuple[bytes, str], classes: Iterable[str]) -> LabelledImages:
    """Grey images from a gzipped IDX image file and its label file, each given as (bytes, its name for errors)."""
    pixels, numbers = _idx(*images, dimensions=3), _idx(*labels, dimensions=1)
    try:
        return LabelledImages(pixels[:, None], numbers.astype(np.int64), tuple(classes))
    except InputError as error:
        raise InputError(f"{labels[1]}: does not fit {images[1]}: {error}; replace both") from None


def _idx(packed: bytes, name: str, dimensions: int) -> NDArray[np.uint8]:
    """MNIST's format: 0, 0, 8 (for uint8), how many dimensions, each of them as big-endian uint32, the values."""
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: truncated or not gzip ({one_line(error)}); replace it") from None
    start = 4 + 4 * dimensions
    if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < start:
        raise InputError(f"{name}: not an IDX file of bytes in {dimensions} dimensions; replace it")
    shape = np.frombuffer(data, ">u4", dimensions, 4).tolist()
    if len(data) - start != math.prod(shape):
        raise InputError(f"{name}: {len(data) - start} values where its header promises {shape}; replace it")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _resized(images: LabelledImages, size: int) -> LabelledImages:
    """Grey images (N, 1, H, W) at side `size`; images of that size come back as they are, grey or colour."""
    if images.shape[1:] == (size, size):
        return images
    squares = np.stack([to_square(image[0], size) for image in images.pixels])
    return LabelledImages(squares[:, None], images.labels, images.classes)
