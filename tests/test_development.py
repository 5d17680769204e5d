"""What the development benchmarks train on, what they may change of a recipe, and mixing in feature space."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_images import bright_corners

from benchmarks import development
from benchmarks.development import Fold, folds, generated, with_changes
from benchmarks.mixed import train_mixed
from pipeline import compute
from pipeline.classifier.replicate import train_replicate
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material
from pipeline.gan.recipe import load_recipe
from pipeline.images import LabelledImages
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

CPU = torch.device("cpu")
CONFIG = ClassifierConfig(4, 30, 8, 0.02, 0.01, 0.0, 0.1)


def test_a_dot_leads_into_a_part_of_a_recipe(root: Path) -> None:
    recipe = load_recipe("relativistic", root / "conf/gan")
    changed = with_changes(recipe, "penalty=1,distort_reals.rotate=24,networks.generator_width=8")
    assert (changed.penalty, changed.distort_reals.rotate, changed.networks.generator_width) == (1.0, 24.0, 8)
    assert changed.distort_reals.scale == recipe.distort_reals.scale
    assert with_changes(recipe, "default") is recipe


def test_subsets_of_the_pool_hold_no_image_of_the_development_part(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = read_params(root / PARAMS)
    values["split"]["development_per_class"] = 5
    monkeypatch.chdir(root)
    images = bright_corners(20, seed=1)
    monkeypatch.setattr(development, "read", lambda _: SimpleNamespace(train=images))
    params = to_params(values)
    for number, pool in enumerate((False, True)):
        parts = folds(params, 2, 2, pool)
        subsets = [{image.tobytes() for image in part.subset.pixels} for part in parts]
        rests = [{image.tobytes() for image in part.rest.pixels} for part in parts]
        assert not subsets[0] & subsets[1] and all(not s & r for s, r in zip(subsets, rests, strict=True))
        assert [len(rest) for rest in rests] == [(9, 15)[number]] * 2
    (whole,) = {frozenset(rest) for rest in rests}
    assert all(len(part.subset) == 6 for part in folds(params, 2, 7, pool=True)) and len(whole) == 15


@pytest.mark.parametrize("synthetic", [None, bright_corners(6, seed=2)])
def test_mixing_nothing_is_the_plain_loop(synthetic: object) -> None:
    material = Material(bright_corners(4, seed=3), synthetic, None)
    test = bright_corners(10, seed=4).pixels
    losses: dict[str, list[float]] = {name: [] for name in ("plain", "mixed", "really mixed")}

    def report(name: str) -> object:
        return lambda record: losses[name].append(record["loss"])

    plain = train_replicate(material, test, CONFIG, 5, CPU, report("plain"))
    mixed = train_mixed(material, test, CONFIG, 5, 0.0, CPU, report("mixed"))
    assert (plain["predictions"] == mixed["predictions"]).all()
    assert losses["mixed"] == pytest.approx(losses["plain"], rel=1e-4)
    again = [train_mixed(material, test, CONFIG, 5, 1.0, CPU, report("really mixed")) for _ in range(2)]
    assert np.array_equal(*(result["predictions"] for result in again))
    assert losses["really mixed"][0] == losses["really mixed"][1] > losses["plain"][0]


def test_several_gans_of_a_subset_share_its_set(
    root: Path, toy: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(compute, "CACHE", tmp_path / "cache")
    values = read_params(PARAMS)
    values["data"]["image_size"] = 8
    values["generate"]["per_class"] = 6
    values["compute"]["workers"] = 1
    parts, checked = [Fold(toy, toy), Fold(toy.subset(np.arange(15)), toy)], to_params(values)
    one = generated(checked, "relativistic", "default", 2, parts, 1)
    two = generated(checked, "relativistic", "default", 2, parts, 1, members=2)
    assert [len(images) for images in two] == [len(images) for images in one] == [18, 18]
    for alone, together in zip(one, two, strict=True):
        first, second = together.pixels[:9], together.pixels[9:]  # 3 of each class from each GAN
        assert all(image.tobytes() in {other.tobytes() for other in alone.pixels} for image in first)
        assert not {image.tobytes() for image in second} & {image.tobytes() for image in alone.pixels}
