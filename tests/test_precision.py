"""benchmarks.precision: its arithmetic, that a pair is trained alike, and what it says where there is no GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import precision
from benchmarks.development import Fold
from benchmarks.precision import Trained, rounds_of, rounds_to_table
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages
from pipeline.stages.check import to_params
from pipeline.stages.stage import read_params


def test_the_table_by_hand() -> None:
    """tf32 takes half, a quarter and a third of the time; its CAS is 1 and 3 points more, and then 1 less: 1 ± 1.15."""
    plain = [Trained(4.0, 90.0), Trained(8.0, 91.0), Trained(6.0, 92.0)]
    other = [Trained(2.0, 91.0), Trained(2.0, 94.0), Trained(2.0, 91.0)]
    pairs = [{"float32": one, "tf32": two} for one, two in zip(plain, other, strict=True)]
    table = rounds_to_table(pairs).set_index("precision")
    assert table["seconds"].tolist() == [6, 2] and table["faster"].tolist() == [1, 3]
    assert table["CAS, %"].tolist() == [91, 92]
    assert table["over float32"].tolist() == ["", "+1.00 ± 1.15"]


def test_both_of_a_round_are_trained_alike(digits: LabelledImages, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU both are float32: the same seed must give the same CAS, and another seed other digits."""
    params = to_params(read_params(root / "params.yaml"))
    few = dataclasses.replace(params.classifier, steps=5, width=4, batch_size=10)
    params = dataclasses.replace(params, classifier=few, generate=dataclasses.replace(params.generate, per_class=2))
    recipe = dataclasses.replace(load_recipe("relativistic"), batch_size=8)
    monkeypatch.setattr(precision, "WARM_UP_STEPS", 1)
    fold = Fold(digits.subset(np.arange(0, 200, 2)), digits.subset(np.arange(1, 200, 2)))
    first, second = rounds_of(fold, params, recipe, 2, [1, 2], "cpu")
    for taken in (first, second):
        assert list(taken["float32"])[1:] == list(taken["tf32"])[1:] and taken["tf32"].seconds > 0
    assert list(first) == ["float32", "tf32"] and list(second) == ["tf32", "float32"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["precision"])
    with pytest.raises(SystemExit) as end:
        precision.main()
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert said.err == ("benchmarks.precision: a CPU computes in float32 alone; run this on a machine with a GPU\n")
