"""Trained weights come back the same, in the same bytes, and never half or from another network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.classifier.network import Classifier
from pipeline.errors import InputError
from pipeline.weights import arrays_to_network, load_weights, network_to_arrays, save_weights


def made(seed: int = 0, width: int = 4) -> Classifier:
    """A classifier with weights and batch statistics of its own, laid out as in training."""
    torch.manual_seed(seed)
    network = Classifier(1, 3, width).to(memory_format=torch.channels_last)
    network(torch.rand(6, 1, 8, 8))
    return network


def same(one: Classifier, other: Classifier) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == again and torch.equal(value, copy) for (name, value), (again, copy) in pairs)


def test_weights_and_batch_statistics_come_back_from_disk(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network_to_arrays(made()))
    other = made(seed=1)
    assert not same(made(), other)
    load_weights(other, tmp_path / "w.safetensors")
    assert same(made(), other)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"], "the temporary file stayed"


def test_the_same_weights_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    arrays = network_to_arrays(made())
    save_weights(tmp_path / "a", arrays)
    save_weights(tmp_path / "b", dict(reversed(arrays.items())))
    save_weights(tmp_path / "c", network_to_arrays(made(seed=1)))
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_the_file_is_a_table_of_plain_arrays(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", {"one": np.array([1.5, -2], np.float32)})
    content = (tmp_path / "w").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + length]) == {"one": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert np.frombuffer(content[8 + length :], "<f4").tolist() == [1.5, -2]


def test_arrays_become_a_network_of_their_own() -> None:
    network, arrays = made(seed=1), network_to_arrays(made())
    arrays_to_network(network, arrays)
    assert same(made(), network)
    for array in arrays.values():
        array[...] = 7
    assert same(made(), network), "the network shares the arrays' memory"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no such file; run `dvc repro`"):
        load_weights(made(), tmp_path / "absent")


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_file_is_named_in_one_line(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, network_to_arrays(made()))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"w\.safetensors: damaged") as error:
        load_weights(made(), path)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for arrays in (network_to_arrays(made(width=6)), {"one": np.zeros(2, np.float32)}):
        save_weights(path, arrays)
        with pytest.raises(InputError, match=r"w\.safetensors: of another network") as error:
            load_weights(made(), path)
        assert "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, network_to_arrays(made()))
    before = path.read_bytes()
    with pytest.raises(Exception, match="object"):
        save_weights(path, {"one": np.array([object()])})
    assert path.read_bytes() == before
