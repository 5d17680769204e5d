"""Stage prepare on real MNIST: a trial never meets a test image, and what no study draws stays apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import load, load_arrays
from pipeline.sources import Source, read
from pipeline.stages.check import to_params
from pipeline.stages.prepare import prepare
from pipeline.stages.split import split
from pipeline.stages.stage import Stage, read_params
from pipeline.subsets import development_part


@pytest.fixture(scope="module")
def params(root: Path) -> dict[str, Any]:
    values = read_params(root / "params.yaml")
    values["data"] |= {"root": str(root / "datasets"), "part": "development"}
    values["study"] |= {"replicates": 4}
    return values


@pytest.fixture(scope="module")
def mnist(root: Path, params: dict[str, Any]) -> Source:
    return read(to_params_in(root, params).data)


def to_params_in(root: Path, params: dict[str, Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # where conf/gan lies
        return to_params(params)


def test_the_development_part_is_halved_and_the_test_set_stays_shut(
    mnist: Source, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(Stage("prepare", None, params, Path("params.yaml")))
    train = load(Path("artifacts/data/train.npz"))
    tested = load_arrays(Path("artifacts/data/test_images.npz"))["pixels"]
    labels = load_arrays(Path("artifacts/data/test_labels.npz"))["labels"]
    assert np.bincount(train.labels).tolist() == np.bincount(labels).tolist() == [200] * 10

    reserved = mnist.train.subset(development_part(mnist.train.labels, 400))
    used = {image.tobytes() for image in [*train.pixels, *tested]}
    assert used == {image.tobytes() for image in reserved.pixels}
    assert len(used) == 4000  # no image in both halves
    assert not used & {image.tobytes() for image in mnist.test.pixels}
    assert read_json(Path("artifacts/data/summary.json"))["part"] == "development"

    split(Stage("split@50", 50, params, Path("params.yaml")))  # 4 x 50 of each class: all there is
    assert sorted(load_arrays(Path("artifacts/splits/50.npz"))["subsets"].ravel()) == list(range(2000))


def test_a_validation_draws_what_a_study_may_draw_and_is_tested_on_the_development_part(
    mnist: Source, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trial = params | {"data": params["data"] | {"part": "validation"}}
    prepare(Stage("prepare", None, trial, Path("params.yaml")))
    train = load(Path("artifacts/data/train.npz"))
    tested = load_arrays(Path("artifacts/data/test_images.npz"))["pixels"]
    chosen = development_part(mnist.train.labels, 400)
    reserved = mnist.train.subset(chosen)
    assert np.array_equal(tested, reserved.pixels)
    assert np.array_equal(load_arrays(Path("artifacts/data/test_labels.npz"))["labels"], reserved.labels)
    assert np.array_equal(train.pixels, np.delete(mnist.train.pixels, chosen, axis=0))
    held = {image.tobytes() for image in tested}
    assert not held & {image.tobytes() for image in [*train.pixels, *mnist.test.pixels]}

    split(Stage("split@50", 50, trial, Path("params.yaml")))
    subsets = load_arrays(Path("artifacts/splits/50.npz"))["subsets"]
    assert subsets.shape == (4, 500) and len(np.unique(subsets)) == 2000 and subsets.max() < len(train)


@pytest.mark.parametrize("part", ["development", "validation"])
def test_without_a_development_part_there_is_nothing_to_test_a_trial_on(
    part: str, params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trial = params | {
        "data": params["data"] | {"part": part},
        "split": params["split"] | {"development_per_class": 0},
    }
    with pytest.raises(InputError, match=rf"split\.development_per_class: 0 leaves data\.part: {part} no test images"):
        prepare(Stage("prepare", None, trial, Path("params.yaml")))
    assert not Path("artifacts").exists()
