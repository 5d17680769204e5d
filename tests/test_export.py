"""Exported sets are read back: IDX files by torchvision itself, folders by the source `folder`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.export import images_to_folder, images_to_idx, main
from pipeline.images import LabelledImages
from pipeline.sources import DataConfig, read

ROOT = Path(__file__).parents[1]


def made(classes: tuple[str, ...] = ("cat", "dog", "hé"), channels: int = 1, count: int = 12) -> LabelledImages:
    pixels = np.random.default_rng(0).integers(0, 256, (count, channels, 9, 9), dtype=np.uint8)
    return LabelledImages(pixels, np.arange(count) % len(classes), classes)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_torchvision_reads_the_idx_files(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    images = made()
    images_to_idx(images, tmp_path / "out")
    read_back = MNIST(tmp_path / "out", train=True)
    assert np.array_equal(read_back.data.numpy(), images.pixels[:, 0])
    assert read_back.targets.tolist() == images.labels.tolist()
    assert (tmp_path / "out" / "classes.txt").read_text(encoding="utf-8").split() == list(images.classes)
    assert MNIST(tmp_path / "out", train=True, download=True).targets.tolist() == images.labels.tolist()


def test_no_synthetic_image_passes_for_a_test_set(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    images_to_idx(made(), tmp_path / "out")
    with pytest.raises(ValueError, match="offset"):
        MNIST(tmp_path / "out", train=False)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_folder_source_reads_the_folder(channels: int, tmp_path: Path) -> None:
    images = made(channels=channels)
    images_to_folder(images, tmp_path / "out")
    source = read(DataConfig("folder", "all", "none", str(tmp_path / "out"), 9, "auto", 0.25, 0))
    assert source.train.classes == images.classes
    exported = {(image.tobytes(), label) for image, label in zip(images.pixels, images.labels, strict=True)}
    parts = [(part.pixels, part.labels) for part in (source.train, source.test)]
    assert {(image.tobytes(), label) for p, k in parts for image, label in zip(p, k, strict=True)} == exported


def test_a_file_is_called_after_its_place(tmp_path: Path) -> None:
    images_to_folder(made(count=11), tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out" / "cat").iterdir())] == [
        "00.png",
        "03.png",
        "06.png",
        "09.png",
    ]


@pytest.mark.parametrize("write", [images_to_idx, images_to_folder])
def test_the_same_set_gives_the_same_bytes(write: Callable[[LabelledImages, Path], None], tmp_path: Path) -> None:
    write(made(), tmp_path / "a")
    write(made(), tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b") != {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "the temporary folder stayed"


def test_a_class_name_that_no_folder_can_bear_is_changed_or_refused(tmp_path: Path) -> None:
    images_to_folder(made(("T-shirt/top", "Bag")), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Bag", "T-shirt-top"]
    for classes in (("a/b", "a-b"), ("..", "b"), ("", "b")):
        with pytest.raises(InputError, match="cannot have a folder of its own"):
            images_to_folder(made(classes), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_idx_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"out: IDX files hold grey images, these have 3 channels"):
        images_to_idx(made(channels=3), tmp_path / "out")
    with pytest.raises(InputError, match=r"out: IDX labels are bytes, too small for 257 classes"):
        images_to_idx(made(tuple(map(str, range(257)))), tmp_path / "out")
    with pytest.raises(InputError, match=r"out: images with 2 channels"):
        images_to_folder(made(channels=2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    images_to_idx(made(), tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(InputError, match=r"out: not empty; name a new folder"):
        images_to_folder(made(), tmp_path / "out")
    assert files(tmp_path / "out") == before
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: is a file"):
        images_to_folder(made(), tmp_path / "file")


def test_an_export_that_fails_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match=r"out: cannot be written \(No space left on device\)"):
        images_to_folder(made(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".out.part" / "cat").mkdir(parents=True)
    (tmp_path / ".out.part" / "cat" / "99.png").write_bytes(b"half")
    images_to_folder(made(), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert len(files(tmp_path / "out")) == 12


@pytest.mark.parametrize("to", ["idx", "folder"])
def test_the_command_line_writes_a_set(to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made().save(tmp_path / "set.npz")
    assert main([str(tmp_path / "set.npz"), "--to", to, str(tmp_path / "new" / "out")]) == 0
    assert "12 images of 3 classes written to " in capsys.readouterr().out
    assert files(tmp_path / "new" / "out")


def test_the_command_line_ends_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.export", str(tmp_path / "no.npz"), "--to", "idx", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"{tmp_path / 'no.npz'}: no such file; run `dvc repro` (or `dvc pull`) to make it"
    ]
    assert not (tmp_path / "out").exists()
