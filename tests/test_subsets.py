"""The leak-free split: disjoint subsets outside the development part, and replicates that stay what they were."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.files import read_json
from pipeline.images import LabelledImages, load_arrays
from pipeline.stages.split import split
from pipeline.stages.stage import Stage
from pipeline.subsets import check_disjoint, development_part, digest, disjoint_subsets

SIZES = (45, 40, 60)  # images of each class


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int64]:
    return np.random.default_rng(3).permutation(np.repeat(np.arange(3), SIZES))


@pytest.fixture(scope="module")
def development(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return development_part(labels, 8)


def test_the_development_part_has_as_many_of_each_class(labels: NDArray[np.int64]) -> None:
    part = development_part(labels, 8)
    assert np.bincount(labels[part]).tolist() == [8, 8, 8]
    assert (np.diff(part) > 0).all()
    assert np.array_equal(part, development_part(labels, 8))
    assert len(development_part(labels, 0)) == 0


def test_a_development_part_that_leaves_nothing_names_the_key_and_the_class(labels: NDArray[np.int64]) -> None:
    assert len(development_part(labels, 39)) == 3 * 39
    with pytest.raises(InputError, match=r"^split\.development_per_class: 40 leaves nothing of class 1, which has 40 "):
        development_part(labels, 40)


@pytest.mark.parametrize(("budget", "replicates"), [(1, 32), (4, 8), (10, 3), (32, 1)])
def test_subsets_are_disjoint_balanced_and_outside_the_development_part(
    labels: NDArray[np.int64], development: NDArray[np.int64], budget: int, replicates: int
) -> None:
    subsets = disjoint_subsets(labels, development, budget, replicates, seed=1)
    assert subsets.shape == (replicates, 3 * budget)
    assert len(np.unique(subsets)) == subsets.size
    assert not np.isin(subsets, development).any()
    for subset in subsets:
        assert np.bincount(labels[subset]).tolist() == [budget] * 3
        assert (np.diff(subset) > 0).all()


def test_the_first_replicates_do_not_change_when_more_are_asked_for(
    labels: NDArray[np.int64], development: NDArray[np.int64]
) -> None:
    few, many = (disjoint_subsets(labels, development, 4, replicates, seed=1) for replicates in (3, 8))
    assert np.array_equal(few, many[:3])


def test_budgets_are_drawn_apart_and_seeds_differ(labels: NDArray[np.int64], development: NDArray[np.int64]) -> None:
    small, large = (disjoint_subsets(labels, development, budget, 1, seed=1)[0] for budget in (8, 16))
    assert not np.isin(small, large).all(), "the smaller budget is a part of the larger"
    assert not np.array_equal(small, disjoint_subsets(labels, development, 8, 1, seed=2)[0])


def test_too_much_names_the_largest_that_fits(labels: NDArray[np.int64], development: NDArray[np.int64]) -> None:
    with pytest.raises(InputError) as error:
        disjoint_subsets(labels, development, 10, 4, seed=1)
    message = str(error.value)
    assert message.startswith("study.budgets: 10 images a class x 4 replicates need 40 of class 1, which has 32;")
    budget, replicates = map(int, re.findall(r"(?:budget|replicates) (?:is|are) (\d+)", message)[-2:])
    assert (budget, replicates) == (8, 3)
    assert len(disjoint_subsets(labels, development, budget, 4, seed=1)) == 4
    assert len(disjoint_subsets(labels, development, 10, replicates, seed=1)) == 3
    with pytest.raises(InputError):
        disjoint_subsets(labels, development, budget + 1, 4, seed=1)


def test_fewer_replicates_takes_those_that_fit(labels: NDArray[np.int64], development: NDArray[np.int64]) -> None:
    fewer = disjoint_subsets(labels, development, 10, 9, seed=1, fewer=True)
    assert np.array_equal(fewer, disjoint_subsets(labels, development, 10, 3, seed=1))
    assert len(disjoint_subsets(labels, development, 10, 2, seed=1, fewer=True)) == 2
    with pytest.raises(InputError, match=r"^study\.budgets: 33 images a class"):
        disjoint_subsets(labels, development, 33, 9, seed=1, fewer=True)


def test_a_planted_duplicate_is_caught(labels: NDArray[np.int64], development: NDArray[np.int64]) -> None:
    subsets = disjoint_subsets(labels, development, 4, 3, seed=1)
    check_disjoint(subsets, development)
    subsets[2, 5] = subsets[0, 1]
    with pytest.raises(InputError, match=rf"^leak: training image {subsets[0, 1]} is in two subsets"):
        check_disjoint(subsets, development)


def test_a_planted_development_image_is_caught(labels: NDArray[np.int64], development: NDArray[np.int64]) -> None:
    subsets = disjoint_subsets(labels, development, 4, 3, seed=1)
    subsets[1, 0] = development[7]
    with pytest.raises(InputError, match=rf"^leak: image {development[7]} of the development part is in a subset"):
        check_disjoint(subsets, development)


def test_a_digest_is_the_checksum_of_the_indices() -> None:
    expected = hashlib.sha256(struct.pack("<3q", 5, 7, 70000)).hexdigest()
    assert digest(np.array([5, 7, 70000])) == digest(np.array([5, 7, 70000], np.int32)) == expected
    assert digest(np.array([7, 5, 70000])) != expected


def test_the_development_part_does_not_depend_on_the_studys_seed(
    digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    digits.save(Path("artifacts/data/train.npz"))
    drawn, facts = {}, {}
    for seed in (1, 2):
        study = {"seed": seed, "replicates": 3}
        params = {
            "study": study,
            "data": {"part": "all"},
            "split": {
                "development_per_class": 6,
                "fewer_replicates": False,
                "rare_classes": [],
                "common_per_class": 1,
                "label_noise": 0.0,
                "unlabelled_per_class": 0,
            },
        }
        split(Stage("split@4", 4, params, Path("params.yaml")))
        drawn[seed] = load_arrays(Path("artifacts/splits/4.npz"))
        facts[seed] = read_json(Path("artifacts/splits/4.json"))
    assert np.array_equal(drawn[1]["development"], drawn[2]["development"])
    assert facts[1]["development_digest"] == facts[2]["development_digest"] == digest(drawn[1]["development"])
    assert not np.array_equal(drawn[1]["subsets"], drawn[2]["subsets"])
    assert facts[1]["digests"] == [digest(row) for row in drawn[1]["subsets"]] != facts[2]["digests"]
