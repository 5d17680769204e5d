"""The sweep over recipes: which fit, what each experiment changes, and the coloured set for those of 64x64."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import coloured, recipes
from benchmarks.coloured import CONTRAST, digits_to_coloured
from benchmarks.recipes import Sweep, changed_params, fitting
from pipeline.errors import InputError
from pipeline.folders import folder_to_images
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages
from pipeline.stages.check import to_params


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
    sweep = Sweep(1000, 20, 3, 7, changes=("study.seed=8", "classifier.steps=40"))
    for name, steps in (("relativistic", 32), ("dcgan", 4)):  # batches of 32 and of 256
        # what DVC would hand to stage check
        params = to_params(changed_params(sweep.overrides(name, load_recipe(name))))
        assert params.data.part == "development"
        assert (params.gan.recipe, params.gan.steps, params.gan.epochs) == (name, steps, None)
        assert (params.study.budgets, params.study.replicates) == ((20,), 3)
        assert (params.study.seed, params.classifier.steps) == (7, 40), "the sweep's own come last"


def test_whatever_changes_an_experiment_changes_its_name() -> None:
    sweeps = [Sweep(1000, 20, 3, 7), Sweep(1000, 20, 3, 8), Sweep(1000, 20, 3, 7, ("arms.synthetic_share.gan=0.5",))]
    assert len({sweep.name("dcgan", load_recipe("dcgan")) for sweep in sweeps}) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--recipes", "deep_dense_dcgan"], "no recipe"), (["--replicates", "1"], "--replicates: an interval")],
)
def test_a_sweep_that_could_not_end_does_not_begin(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "run_experiment", lambda *_: pytest.fail("began"))
    with pytest.raises(SystemExit, match=f"^{message}"):
        run(monkeypatch, recipes, "--images", "128", *words)


def test_recipes_are_timed_by_turns(digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "TIMED_IMAGES", 256)
    each = recipes.seconds_per_image({name: load_recipe(name) for name in ("cgan_conv", "gan_mlp")}, digits)
    assert list(each) == ["cgan_conv", "gan_mlp"]
    assert each["cgan_conv"] > 2 * each["gan_mlp"] > 0, "twenty times as much to compute"


@pytest.mark.parametrize("change", ["data.rood=x", "data.root", "data.root=[x"])
def test_a_change_that_cannot_be_made_is_one_line(change: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(f'--set {change}: ')}") as error:
        changed_params([change])
    assert "\n" not in str(error.value)


def test_a_sweep_on_a_folder_runs_on_that_folder(
    digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coloured, "read", lambda _: Read(digits))
    run(monkeypatch, coloured, str(tmp_path / "a b"), "--per-class", "4")
    asked: dict[str, list[str]] = {}

    def noted(name: str, overrides: list[str]) -> None:
        asked[name] = overrides
        raise StopIteration  # nothing is trained here

    monkeypatch.setattr(recipes, "run_experiment", noted)
    words = ["--images", "128", "--recipes", "dcgan64", "cgan_mlp", "--set", "data.source=folder", "data.image_size=64"]
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StopIteration):
        run(monkeypatch, recipes, *words, "data.root='~/a b'")
    (overrides,) = asked.values()
    params = to_params(changed_params(overrides))
    assert (params.gan.recipe, params.gan.steps) == ("dcgan64", 1)
    assert params.data.root == str(tmp_path / "a b"), "whole, because an experiment runs elsewhere"


class Read:
    def __init__(self, train: LabelledImages) -> None:
        self.train = train


def run(monkeypatch: pytest.MonkeyPatch, module: object, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", *words])
    module.main()  # type: ignore[attr-defined]


class TestColoured:
    def test_a_digit_keeps_its_shape_in_two_colours(self, digits: LabelledImages) -> None:
        images = digits_to_coloured(digits, 3)
        assert images.shape == (3, 64, 64) and images.labels.tolist() == sorted([*range(10)] * 3)
        grounds = images.pixels[:, :, 0, 0].astype(int)
        assert len({tuple(ground) for ground in grounds}) == 30
        for number, (image, ground) in enumerate(zip(images.pixels.astype(int), grounds, strict=True)):
            distance = np.linalg.norm(image - ground[:, None, None], axis=0)  # from the ground, (64, 64)
            assert distance.max() >= CONTRAST * 0.9
            members = np.flatnonzero(digits.labels == images.labels[number])
            grey = digits.pixels[members[number % 3], 0]
            # halfway back to 28x28: pixel 16 of 28 lies at 64 / 28 times that place
            places = ((np.arange(28) + 0.5) * 64 / 28).astype(int)
            found = distance[np.ix_(places, places)] / distance.max() * 255
            assert np.corrcoef(found.ravel(), grey.ravel())[0, 1] > 0.95

    def test_more_of_a_class_change_none_of_the_first(self, digits: LabelledImages) -> None:
        few, many = digits_to_coloured(digits, 2), digits_to_coloured(digits, 5)
        for label in range(10):
            assert np.array_equal(few.pixels[few.labels == label], many.pixels[many.labels == label][:2])
        assert not np.array_equal(few.pixels, digits_to_coloured(digits, 2, seed=2).pixels)

    def test_too_many_are_one_line(self, digits: LabelledImages) -> None:
        with pytest.raises(InputError, match=r"^--per-class: 21 asked for, class 0 has 20; lower it$"):
            digits_to_coloured(digits, 21)

    def test_the_folder_reads_as_what_was_drawn(
        self, digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(coloured, "read", lambda _: Read(digits))
        run(monkeypatch, coloured, str(tmp_path / "drawn"), "--per-class", "2")
        (images,) = folder_to_images(tmp_path / "drawn", 64, "auto")
        assert np.array_equal(images.pixels, digits_to_coloured(digits, 2).pixels)
        with pytest.raises(SystemExit, match="not empty"):
            run(monkeypatch, coloured, str(tmp_path / "drawn"), "--per-class", "2")
