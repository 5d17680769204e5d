"""The learning-rate check: the grid on toy images, its arithmetic by hand, and which studies it covers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import development
from benchmarks.development import Fold, generated, measure_rates
from pipeline import compute
from pipeline.classifier.arms import ARMS
from pipeline.errors import InputError
from pipeline.images import LabelledImages
from pipeline.report.rates import RATE, params_to_settings, rate_check
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS, read_params

RATES = (0.01, 0.02, 0.04)


@pytest.fixture
def params(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Params of a toy; finished trainings and the table go to `tmp_path`."""
    monkeypatch.chdir(root)
    monkeypatch.setattr(compute, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(development, "RATES", tmp_path / "rates.csv")
    values = read_params(PARAMS)
    values["data"]["image_size"] = 8
    values["gan"] |= {"steps": 2}
    values["generate"]["per_class"] = 6
    values["arms"] |= {"copies_per_class": 6, "interpolated_per_class": 6}
    values["classifier"] |= {"width": 4, "steps": 20, "batch_size": 8, "learning_rate": 0.02}
    values["compute"]["workers"] = 1
    return values


def table(accuracies: dict[str, list[list[float]]], params: dict[str, Any], budget: int = 50) -> pd.DataFrame:
    """Rows as the benchmark writes them. accuracies: of each arm a list of replicates, each a list of `RATES`."""
    settings = {key: value for key, value in params_to_settings(params).items() if key != RATE}
    rows = [
        {"budget": budget, "seed": 1, **settings, "arm": arm, "replicate": replicate, "accuracy": value, RATE: rate}
        for arm, replicates in accuracies.items()
        for replicate, values in enumerate(replicates)
        for rate, value in zip(RATES, values, strict=True)
    ]
    return pd.DataFrame(rows)


def test_the_grid_gives_every_arm_every_rate_once(
    params: dict[str, Any],
    toy: LabelledImages,
    fresh_toy: LabelledImages,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = [Fold(toy, fresh_toy), Fold(toy.subset(np.arange(15)), fresh_toy)]
    measure_rates(params, (0.02, 1e-6), 10, parts, seed=1)
    path = tmp_path / "rates.csv"
    found = pd.read_csv(path)
    assert len(found) == len(ARMS) * 2 * 2 and set(found["arm"]) == {arm.name for arm in ARMS}
    assert set(found["gan.steps"]) == {2} and set(found["classifier.width"]) == {4}
    real = found[found["arm"] == "real"].groupby(RATE)["accuracy"].mean()
    assert real[0.02] > 90 and real[1e-6] < 60  # the rate reaches the training: these corners are learnt in 20 steps

    assert f"{real[1e-6]:.2f}" in capsys.readouterr().out

    first = path.read_bytes()
    measure_rates(params, (0.02, 1e-6), 10, parts, seed=1)  # from the cache, into the same rows
    assert path.read_bytes() == first
    params["classifier"]["dropout"] = 0.0
    measure_rates(params, (0.02,), 10, parts, seed=1)
    assert len(pd.read_csv(path)) == len(found) + len(ARMS) * 2  # beside what was measured under other params

    params["classifier"]["dropout"] = 0.3
    check = rate_check(pd.read_csv(path), params, 10)
    assert (check.differing, check.rates, check.replicates) == ([], [1e-6, 0.02], 2)
    assert [arm.arm for arm in check.arms] == [arm.name for arm in ARMS]
    assert check.arms[0].accuracies == pytest.approx([real[1e-6], real[0.02]])


def test_several_gans_of_a_subset_share_its_set(params: dict[str, Any], toy: LabelledImages) -> None:
    parts, checked = [Fold(toy, toy), Fold(toy.subset(np.arange(15)), toy)], to_params(params)
    one = generated(checked, "relativistic", "default", 2, parts, 1)
    two = generated(checked, "relativistic", "default", 2, parts, 1, members=2)
    assert [len(images) for images in two] == [len(images) for images in one] == [18, 18]
    for alone, together in zip(one, two, strict=True):
        first, second = together.pixels[:9], together.pixels[9:]  # 3 of each class from each GAN
        assert all(image.tobytes() in {other.tobytes() for other in alone.pixels} for image in first)
        assert not {image.tobytes() for image in second} & {image.tobytes() for image in alone.pixels}


def test_a_null_number_of_gan_steps_is_refused(params: dict[str, Any]) -> None:
    params["gan"] |= {"steps": None, "epochs": 3}
    with pytest.raises(InputError, match=r"gan\.steps: null"):
        measure_rates(params, (0.02,), 10, [], seed=1)


def test_losses_and_changes_by_hand(params: dict[str, Any]) -> None:
    measured = {
        "real": [[90.0, 92.0, 91.0], [91.0, 92.0, 95.0], [92.0, 92.0, 93.0]],  # best 0.04: +1 on average
        "real+gan": [[95.0, 94.0, 90.0], [93.0, 94.0, 90.0], [94.0, 95.0, 90.0]],  # best at the shared 0.02
    }
    check = rate_check(table(measured, params), params, 50)
    assert (check.differing, check.replicates, check.shared) == ([], 3, 0.02)
    real, gan = check.arms
    assert real.accuracies == pytest.approx([91, 92, 93]) and real.best == 0.04
    # -1, +3, +1: mean 1, standard deviation 2
    assert real.loss == pytest.approx((1, 2 / math.sqrt(3)))
    assert gan.best == 0.02 and gan.loss == (0, 0)
    (contrast,) = check.contrasts
    assert (contrast.arm, contrast.reference) == ("real+gan", "real")
    assert contrast.shared == pytest.approx(7 / 3) and contrast.own == pytest.approx(4 / 3)
    assert contrast.change == pytest.approx((-1, 2 / math.sqrt(3)))
    # Best on the others: real 0.04 (94 to 92), 0.02 or 0.04 (92 each: the first), 0.04 (93 to 92): 91, 92, 93.
    # real+gan: without replicate 0 0.02 (94.5), without 1 0.01 or 0.02 (94.5 each: the first), without 2 0.01 (94; 0.02
    # has 94, too): 94, 93, 94. Deltas 3, 1, 1 against 2, 2, 3 with the shared rate: 1, -1, -2.
    assert contrast.crossed == pytest.approx((-2 / 3, np.std([1, -1, -2], ddof=1) / math.sqrt(3)))


def test_one_replicate_has_no_error(params: dict[str, Any]) -> None:
    check = rate_check(table({"real": [[1, 2, 3]], "real+gan": [[3, 2, 1]]}, params), params, 50)
    assert check.arms[0].loss[0] == 1 and math.isnan(check.arms[0].loss[1])
    assert all(math.isnan(value) for value in check.contrasts[0].crossed)


def test_other_settings_are_named(params: dict[str, Any]) -> None:
    rows = table({"real": [[1, 2, 3]]}, params)
    here = {**params, "classifier": {**params["classifier"], "steps": 150, "learning_rate": 0.03}}
    check = rate_check(rows, here, 10)
    assert check.differing == [
        ("budget", 50, 10),
        ("classifier.steps", 20, 150),
        (RATE, "0.01, 0.02, 0.04", 0.03),
    ]
    assert check.arms == []
    both = pd.concat([rows, table({"real": [[4, 5, 6]]}, here, 10)])  # the closest of what was measured is held against
    covered = {**here, "classifier": {**here["classifier"], "learning_rate": 0.04}}
    assert rate_check(both, covered, 10).arms[0].accuracies == [4, 5, 6]
    older = {**params, "arms": {}}  # a param that was not there yet
    assert ("arms.synthetic_share.gan", 0.1, None) in rate_check(rows, older, 50).differing


def test_the_committed_table_is_whole(root: Path) -> None:
    rows = pd.read_csv(root / "docs/rates.csv")
    keys = [name for name in rows.columns if name != "accuracy"]
    assert not rows.duplicated(keys).any() and rows["accuracy"].between(0, 100).all()
    for _, setting in rows.groupby([name for name in keys if name not in (RATE, "arm", "replicate")], dropna=False):
        counts = setting.groupby(["arm", RATE])["replicate"].nunique().unstack()
        assert set(counts.index) == {arm.name for arm in ARMS} and counts.nunique().eq(1).all()
