"""The sweep over recipes: which fit, and what each experiment changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks.recipes import Sweep, fitting
from pipeline.gan.recipe import load_recipe
from pipeline.stages.check import to_params
from pipeline.stages.stage import read_params


@pytest.fixture(autouse=True)
def in_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


def test_recipes_that_do_not_fit_are_left_out_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["relativistic", "dcgan64", "deep_dense_dcgan", "dcgan"]
    assert list(fitting((1, 28, 28), 10, names, heavy=False)) == ["relativistic", "dcgan"]
    said = capsys.readouterr().out
    assert "dcgan64: left out (" in said and "64" in said
    assert "deep_dense_dcgan: left out (" in said and "want a GPU" in said
    assert "deep_dense_dcgan" in fitting((1, 28, 28), 10, names, heavy=True)
    assert list(fitting((3, 64, 64), 2, ["dcgan64"], heavy=False)) == ["dcgan64"]


def test_every_recipe_sees_as_many_images_and_no_test_image() -> None:
    sweep = Sweep(images=1000, budget=20, replicates=3, seed=7)
    for name, steps in (("relativistic", 32), ("dcgan", 4)):  # batches of 32 and of 256
        values = read_params(Path("params.yaml"))
        for override in sweep.overrides(name, load_recipe(name)):
            key, text = override.split("=", 1)
            *sections, last = key.split(".")
            place = values
            for section in sections:
                place = place[section]
            assert last in place
            place[last] = YAML(typ="safe").load(text)
        params = to_params(values)  # what DVC would hand to stage check
        assert params.data.part == "development"
        assert (params.gan.recipe, params.gan.steps, params.gan.epochs) == (name, steps, None)
        assert (params.study.budgets, params.study.replicates, params.study.seed) == ((20,), 3, 7)
    assert sweep.name("dcgan") != Sweep(images=1000, budget=20, replicates=3, seed=8).name("dcgan")
