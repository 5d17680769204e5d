"""Several trainings at once are the plain loop's, one by one, but for rounding.

GANs are compared in double precision, where eight steps leave them apart by less than a millionth of their way: in
single precision a gradient that is nearly 0 can change its sign by rounding, and Adam takes its sign. Classifiers are
compared in single precision over five short steps, to five thousandths. `test_the_tolerance_tells` shows what a
mistake would look like: a learning rate that is wrong by a twentieth is seen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from small_study import BUDGET, REPLICATES, Study
from torch import nn
from toy_images import bright_corners

from benchmarks.at_once import gan_loops, measured, measured_processes, to_row
from benchmarks.loops import GanTask, our_gan
from pipeline import capture, compute, convolution, feed, transforms
from pipeline.at_once import Many
from pipeline.classifier import replicate as classifier_replicate
from pipeline.classifier import training as classifier_training
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, new_classifier
from pipeline.compute import ComputeConfig, run_replicates
from pipeline.distortion import Distortion
from pipeline.gan import replicate as gan_replicate
from pipeline.gan import training as gan_training
from pipeline.gan.networks import dcgan, dcgan64, dense, dense_conv, folded
from pipeline.gan.recipe import Recipe
from pipeline.gan.step import moves, passes
from pipeline.gan.training import Gan, new_gan
from pipeline.images import LabelledImages
from pipeline.stacked import Stacked, is_stacked
from pipeline.stages.train_oracle import train_oracle

CPU = torch.device("cpu")
RECIPE = Recipe(
    networks=folded.Config(latent=6, generator_width=4, discriminator_width=4),
    loss="relativistic",
    turns="together",
    discriminator_steps=1,
    generator_steps=1,
    batch_size=6,
    generator_rate=0.002,
    discriminator_rate=0.002,
    schedule="rise_and_fall",
    beta1=0.0,
    beta2=0.99,
    penalty=0.5,
    penalty_kind="zero_centred",
    penalty_every=2,
    average=0.9,
    distort_reals=Distortion(),
)
ALTERNATE = dataclasses.replace(
    RECIPE,
    networks=dense_conv.Config(
        latent=6, generator_width=4, activation="relu", discriminator_widths=(8, 8), dropout=0.0, momentum=0.8
    ),
    loss="cross_entropy",
    turns="alternate",
    generator_steps=2,
    beta1=0.5,
    penalty=0.0,
)
RECIPES = {
    "together": RECIPE,
    "alternate, batch norm": ALTERNATE,
    "alternate, relativistic": dataclasses.replace(RECIPE, turns="alternate", generator_steps=1),
    "critic, interpolates": dataclasses.replace(
        RECIPE,
        networks=dcgan.Config(
            latent=6,
            dense_layers=1,
            generator_channels=(4, 4, 4),
            discriminator_channels=(4, 6),
            noise=0.0,
            dropout=0.0,
            momentum=0.9,
        ),
        loss="wasserstein",
        turns="alternate",
        discriminator_steps=2,
        penalty=10.0,
        penalty_kind="interpolates",
        penalty_every=1,
        distort_reals=None,
    ),
    "dense": dataclasses.replace(
        ALTERNATE,
        networks=dense.Config(
            latent=6, generator_widths=(8, 12), discriminator_widths=(12, 8), dropout=0.0, momentum=0.8
        ),
    ),
    "dcgan64": dataclasses.replace(ALTERNATE, networks=dcgan64.Config(latent=6, width=2, momentum=0.9)),
}
DRAWING = dcgan.Config(
    latent=6,
    dense_layers=1,
    generator_channels=(4, 4, 4),
    discriminator_channels=(4, 6),
    noise=0.1,
    dropout=0.3,
    momentum=0.9,
)
RECIPES |= {
    "together, noise and dropout": dataclasses.replace(RECIPE, networks=DRAWING),
    "critic, noise and dropout": dataclasses.replace(RECIPES["critic, interpolates"], networks=DRAWING),
    "alternate, relativistic, dropout": dataclasses.replace(
        RECIPES["alternate, relativistic"],
        networks=dense_conv.Config(
            latent=6, generator_width=4, activation="relu", discriminator_widths=(8, 8, 6), dropout=0.4, momentum=0.8
        ),
        generator_steps=2,
    ),
}
SEEDS = (11, 12, 13)
STEPS = 8
TOLERANCE = 1e-6


def subsets(recipe: Recipe = RECIPE) -> list[LabelledImages]:
    """Three, of unequal size; of the only side that the networks make, where there is one."""
    sets = [bright_corners(per_class, seed) for seed, per_class in enumerate((10, 4, 7))]
    if recipe.networks.name != "dcgan64":
        return sets
    times = dcgan64.SIDE // sets[0].shape[1]
    return [
        dataclasses.replace(images, pixels=images.pixels.repeat(times, axis=2).repeat(times, axis=3)) for images in sets
    ]


def gans(reals: Sequence[LabelledImages], recipe: Recipe) -> list[Gan]:
    return [new_gan(real.shape, 3, recipe, seed) for seed, real in enumerate(reals)]


def plain(reals: Sequence[LabelledImages], recipe: Recipe, **changes: Any) -> tuple[list[Gan], list[list[dict]]]:
    made = gans(reals, recipe)
    options = {"steps": STEPS, "every": 2} | changes
    return made, [
        list(gan_training.train(gan, real, recipe, seed=seed, **options))
        for gan, real, seed in zip(made, reals, SEEDS, strict=True)
    ]


def at_once(reals: Sequence[LabelledImages], recipe: Recipe, **changes: Any) -> tuple[list[Gan], list[list[dict]]]:
    made = gans(reals, recipe)
    histories: list[list[dict]] = [[] for _ in made]
    options = {"steps": STEPS, "every": 2} | changes
    for records in gan_training.train_many(made, reals, recipe, seeds=SEEDS, **options):
        for number, record in records.items():
            histories[number].append(record)
    return made, histories


def values(network: nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in network.state_dict().values() if value.is_floating_point()])


def apart(one: nn.Module, other: nn.Module, first: nn.Module) -> float:
    """How far two networks ended from each other, over how far the one came from where it began."""
    return float((values(one) - values(other)).norm() / (values(one) - values(first)).norm())


def furthest(ones: Sequence[Gan], others: Sequence[Gan], firsts: Sequence[Gan]) -> float:
    """Of three lists of GANs, player by player."""
    trios = [
        [getattr(gan, player) for gan in trio]
        for trio in zip(ones, others, firsts, strict=True)
        for player in ("generator", "discriminator", "average")
    ]
    return max(apart(*trio) for trio in trios)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All in double precision, whose rounding a few steps do not amplify to anything."""

    monkeypatch.setattr(feed, "to_pixels", lambda bytes_: bytes_.double().div_(127.5).sub_(1))
    monkeypatch.setattr(transforms, "_places", transforms._places.__wrapped__)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["grouped", "products"])
def convolutions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of stacked networks, as a CPU computes them and as a GPU does."""
    if request.param == "products":
        monkeypatch.setattr(convolution, "_as_product", is_stacked)


@pytest.mark.usefixtures("float64", "convolutions")
@pytest.mark.parametrize("name", RECIPES)
def test_gans_at_once_are_those_of_the_plain_loop(name: str) -> None:
    reals = subsets(RECIPES[name])
    ones, histories = plain(reals, RECIPES[name])
    others, theirs = at_once(reals, RECIPES[name])
    assert furthest(ones, others, gans(reals, RECIPES[name])) < TOLERANCE
    for mine, other in zip(histories, theirs, strict=True):
        assert [record["step"] for record in mine] == [2, 4, 6, 8]
        for record, same in zip(mine, other, strict=True):
            assert record == pytest.approx(same, rel=TOLERANCE, abs=TOLERANCE)
    assert len({record[-1]["generator_loss"] for record in theirs}) == 3


@pytest.mark.usefixtures("float64")
def test_the_tolerance_tells() -> None:
    reals = subsets()
    firsts, (ones, _) = gans(reals, RECIPE), plain(reals, RECIPE)
    for changes in (
        {"generator_rate": 0.0019},
        {"penalty": 0.45},
        {"distort_reals": Distortion(rotate=11)},
        {"average": 0.1},
    ):
        others, _ = at_once(reals, dataclasses.replace(RECIPE, **changes))
        assert furthest(ones, others, firsts) > 1000 * TOLERANCE, changes
    others, _ = at_once([*reals[:2], reals[0]], RECIPE)
    assert furthest(ones[:2], others[:2], firsts[:2]) < TOLERANCE
    assert furthest(ones[2:], others[2:], firsts[2:]) > 1000 * TOLERANCE


@pytest.fixture
def fixed_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps as they run before they are captured: inputs at fixed places, and learning rates as tensors."""
    monkeypatch.setattr(torch.cuda, "Stream", lambda *_: SimpleNamespace(wait_stream=lambda _: None))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(wait_stream=lambda _: None))
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(capture, "WARM_UPS", 99)
    for module in (gan_training, classifier_training):
        monkeypatch.setattr(module, "captured", capture.Captured)


@pytest.mark.usefixtures("float64", "fixed_places")
@pytest.mark.parametrize("name", RECIPES)
def test_steps_fit_for_capture_are_those_of_the_plain_loop(name: str) -> None:
    reals = subsets(RECIPES[name])
    ones, histories = plain(reals, RECIPES[name])
    others, theirs = at_once(reals, RECIPES[name], capture=True)
    assert furthest(ones, others, gans(reals, RECIPES[name])) < TOLERANCE
    for mine, other in zip(histories, theirs, strict=True):
        assert mine[-1] == pytest.approx(other[-1], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.usefixtures("float64", "fixed_places")
@pytest.mark.parametrize("name", RECIPES)
def test_the_plain_loops_own_steps_are_fit_for_capture(name: str) -> None:
    reals = subsets(RECIPES[name])
    ones, histories = plain(reals, RECIPES[name])
    others, theirs = plain(reals, RECIPES[name], capture=True)
    assert furthest(ones, others, gans(reals, RECIPES[name])) < TOLERANCE
    for mine, other in zip(histories, theirs, strict=True):
        assert mine[-1] == pytest.approx(other[-1], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.usefixtures("fixed_places")
def test_a_classifiers_steps_are_fit_for_capture() -> None:
    for group in materials().values():
        ones, others = ([new_classifier(m, CONFIG, seed, CPU) for seed, m in enumerate(group)] for _ in "ab")
        for captures, networks in ((False, ones), (True, others)):
            list(classifier_training.train_many(networks, group, CONFIG, range(len(group)), capture=captures))
        for one, other in zip(ones, others, strict=True):
            torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("fixed_places")
@pytest.mark.parametrize("name", ["all arms", "weighted", "soft", "soft, weighted"])
def test_the_plain_loops_own_steps_of_a_classifier_are_fit_for_capture(name: str) -> None:
    for seed, material in enumerate(materials()[name]):
        one, other = (new_classifier(material, CONFIG, seed, CPU) for _ in "ab")
        for captures, network in ((False, one), (True, other)):
            list(classifier_training.train(network, material, CONFIG, seed, capture=captures))
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("float64")
def test_moving_averages_of_batch_norm_and_their_counters_follow() -> None:
    reals = subsets()
    ones, _ = plain(reals, ALTERNATE)
    others, _ = at_once(reals, ALTERNATE)
    for one, other in zip(ones, others, strict=True):
        mine, theirs = dict(one.generator.named_buffers()), dict(other.generator.named_buffers())
        assert int(mine["quarter_norm.num_batches_tracked"]) == int(theirs["quarter_norm.num_batches_tracked"]) == 24
        torch.testing.assert_close(mine["quarter_norm.running_mean"], theirs["quarter_norm.running_mean"])
        torch.testing.assert_close(mine["quarter_norm.running_var"], theirs["quarter_norm.running_var"])


@pytest.mark.usefixtures("float64")
def test_a_gan_that_diverges_stops_there_and_the_others_go_on() -> None:
    reals = subsets()
    ones, histories = plain(reals, RECIPE)

    firsts, made = gans(reals, RECIPE), gans(reals, RECIPE)
    with torch.no_grad():
        made[1].generator.paint.weight[0, 0, 0, 0] = math.nan  # type: ignore[union-attr]
    theirs: list[list[dict]] = [[], [], []]
    for records in gan_training.train_many(made, reals, RECIPE, STEPS, SEEDS, every=2):
        for number, record in records.items():
            theirs[number].append(record)
    assert [len(history) for history in theirs] == [4, 1, 4]
    assert not math.isfinite(theirs[1][-1]["generator_loss"])
    assert values(made[1].discriminator).isnan().any(), "as it was at that record"
    for number in (0, 2):
        assert furthest([ones[number]], [made[number]], [firsts[number]]) < TOLERANCE
        assert histories[number][-1] == pytest.approx(theirs[number][-1], rel=TOLERANCE, abs=TOLERANCE)


def test_a_record_unstacks_the_averages_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    unstacked: list[int] = []
    real_one = Stacked.unstack
    monkeypatch.setattr(Stacked, "unstack", lambda self, number: (unstacked.append(number), real_one(self, number)))
    at_once(subsets(), RECIPE)
    assert sorted(unstacked) == sorted((4 + 2) * [0, 1, 2]), "four records, and both players at the end"


@pytest.mark.parametrize("name", [name for name in RECIPES if "dropout" in name])
def test_each_pass_of_networks_that_draw_has_numbers_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as its images, in each of its layers, and no two passes of a training the same."""
    recipe, given = RECIPES[name], list[tuple[int, tuple[torch.Tensor, ...]]]()
    (real, *_), made = subsets(recipe), gans(subsets(recipe), recipe)[0]
    forward = type(made.discriminator).forward

    def noted(self: nn.Module, images: torch.Tensor, labels: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
        given.append((len(images), drawn))
        return forward(self, images, labels, *drawn)

    monkeypatch.setattr(type(made.discriminator), "forward", noted)
    list(gan_training.train(made, real, recipe, STEPS, SEEDS[0]))
    counts = [count for step in range(1, STEPS + 1) for count in passes(recipe, *moves(recipe, step))]
    assert [count for count, _ in given] == counts
    assert {len(drawn) for _, drawn in given} == {3 if recipe.networks == DRAWING else 2}
    assert all(len(numbers) == count for count, drawn in given for numbers in drawn)
    assert len({numbers.double().sum().item() for _, drawn in given for numbers in drawn}) == sum(
        len(drawn) for _, drawn in given
    )


def test_gans_that_draw_and_others_are_never_in_one_group() -> None:
    job = {"real": subsets()[0], "recipe": RECIPE, "steps": 2}
    drawing = {**job, "recipe": RECIPES["together, noise and dropout"]}
    assert gan_replicate.alike(drawing) == gan_replicate.alike(dict(drawing)) != gan_replicate.alike(job)


def test_unstacked_values_are_a_networks_own() -> None:
    networks = [nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(3)]
    stacked = Stacked(networks)
    before = [network[0].weight.clone() for network in networks]
    with torch.no_grad():
        stacked.weights["0.weight"] += torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    stacked.unstack(1)
    moved = [network[0].weight.detach() - old for network, old in zip(networks, before, strict=True)]
    assert [round(change.mean().item(), 5) for change in moved] == [0, 2, 0]


CONFIG = ClassifierConfig(
    width=4, steps=5, batch_size=12, learning_rate=0.002, weight_decay=0.01, dropout=0.3, label_smoothing=0.1
)


def materials() -> dict[str, list[Material]]:
    """Groups whose batches can be stacked."""
    real, other, _ = subsets()
    certain = np.random.default_rng(0).dirichlet(np.ones(3), len(other)).astype(np.float32)
    mixed = Material(real, other, Distortion(elastic=0.02), 0.5)
    return {
        "all arms": [
            Material(real, None, None, 0.5),
            mixed,
            Material(None, other, Distortion(), 0.5),
            Material(other, real, None, 0.25, order="pretrained"),
            Material(other, None, None, 0.5, batches="natural"),
        ],
        "weighted": [dataclasses.replace(mixed, weight=0.5), Material(real, None, None, 0.5, batches="weighted")],
        "soft": [dataclasses.replace(mixed, targets=certain), dataclasses.replace(mixed, targets=certain[::-1].copy())],
        "soft, weighted": [dataclasses.replace(mixed, targets=certain, weight=0.5)] * 2,
    }


@pytest.mark.usefixtures("convolutions")
@pytest.mark.parametrize("name", materials())
def test_classifiers_at_once_are_those_of_the_plain_loop(name: str) -> None:
    group = materials()[name]
    ones, others = ([new_classifier(m, CONFIG, seed, CPU) for seed, m in enumerate(group)] for _ in "ab")
    histories = [
        list(classifier_training.train(network, material, CONFIG, seed, every=2))
        for seed, (network, material) in enumerate(zip(ones, group, strict=True))
    ]
    theirs = list(classifier_training.train_many(others, group, CONFIG, range(len(group)), every=2))
    assert [[record["step"] for record in history] for history in histories] == [[2, 4, 5]] * len(group)
    for number, history in enumerate(histories):
        first = new_classifier(group[number], CONFIG, number, CPU)
        assert apart(ones[number], others[number], first) < 5e-3
        for record, records in zip(history, theirs, strict=True):
            assert record == pytest.approx(records[number], rel=1e-4)


def test_jobs_are_alike_whose_batches_stack() -> None:
    job = {"config": CONFIG, "seed": 1}
    kinds = [{classifier_replicate.alike({**job, "material": m}) for m in group} for group in materials().values()]
    assert [len(kind) for kind in kinds] == [1, 1, 1, 1]
    assert len(set.union(*kinds)) == 4
    colour = LabelledImages(np.zeros((3, 3, 16, 16), np.uint8), np.arange(3), ("a", "b", "c"))
    others = [
        {**job, "material": Material(colour, None, None, 0.5)},
        {**job, "material": materials()["soft"][0], "config": dataclasses.replace(CONFIG, width=5)},
    ]
    assert not {classifier_replicate.alike(other) for other in others} & set.union(*kinds)


# What run_replicates makes of it, with trainings that only say how they were called.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(compute, "CACHE", tmp_path / "cache")
    yield tmp_path


calls: list[list[int]] = []
room = [99]  # trainings that fit into memory at once


def double(number: int, kind: str, device: torch.device, report: Callable[[dict], None]) -> dict[str, Any]:
    report({"step": 1})
    calls.append([number])
    return {"doubled": 2 * number, "by": "one"}


def double_many(
    jobs: Sequence[Mapping[str, Any]], device: torch.device, reports: Sequence[Callable], capture: bool, bf16: bool
) -> list[dict[str, Any]]:
    calls.append([job["number"] for job in jobs])
    if len(jobs) > room[0]:
        raise torch.OutOfMemoryError("CUDA out of memory")
    for report in reports:
        report({"step": 1})
    how = "many" + ", captured" * capture + ", bf16" * bf16
    return [{"doubled": 2 * job["number"], "by": how} for job in jobs]


MANY = Many(double_many, lambda job: job["kind"])


def run(kinds: str, fits: int = 99, **config: Any) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """A job for each letter, whose kind it is."""
    calls.clear()
    room[0] = fits
    jobs = [{"number": number, "kind": kind} for number, kind in enumerate(kinds)]
    where = ComputeConfig(device="cpu", workers=1, **config)
    return calls, run_replicates(double, jobs, where, "toy", [1] * len(jobs), MANY)


def test_alike_jobs_are_grouped_up_to_so_many(cache: Path) -> None:
    called, results = run("aababdaa", at_once=3)
    assert called == [[0, 1, 3], [6, 7], [2, 4], [5]]
    assert [result["doubled"] for result in results] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [result["by"] == "one" for result in results] == [False] * 5 + [True] + [False] * 2
    assert all(result["seconds"] >= 0 and result["saw"] == {} for result in results)


def test_one_at_once_is_the_plain_loop(cache: Path) -> None:
    assert run("aab")[0] == [[0], [1], [2]]
    assert {result["by"] for result in run("aab")[1]} == {"one"}
    assert {result["by"] for result in run("a", at_once=4)[1]} == {"one"}, "a group of one"


def test_on_a_cpu_capture_changes_nothing(cache: Path) -> None:
    for options in ({}, {"at_once": 2}):
        captured, results = run("aab", capture=True, **options)
        assert {result["by"] for result in results} <= {"one", "many"} and len(captured) == (2 if options else 3)
        assert run("aab", **options)[0] == [], "not another result: not computed again"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that toys never touch."""
    monkeypatch.setattr(compute, "resolve_device", lambda config: torch.device("cuda"))


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_one_training_is_captured_too(cache: Path) -> None:
    called, results = run("aab", capture=True, at_once=1)
    assert called == [[0], [1], [2]] and {result["by"] for result in results} == {"many, captured"}
    assert run("aab", capture=True, at_once=1)[0] == []
    called, results = run("aab", capture=True, at_once=2)
    assert called == [[0, 1], [2]] and {result["by"] for result in results} == {"many, captured"}
    assert {result["by"] for result in run("aab", at_once=1, capture=False)[1]} == {"one"}, "kept apart"


@pytest.mark.usefixtures("gpu")
def test_left_open_a_gpu_trains_many_at_once_and_a_cluster_one_by_one(cache: Path) -> None:
    assert ComputeConfig().at_once is None
    assert run("aab")[0] == [[0, 1], [2]]
    jobs = [{"number": number, "kind": "a"} for number in range(compute.AT_ONCE + 1)]
    assert [len(group) for group in compute._groups(jobs, MANY, ComputeConfig())] == [40, 1]
    assert [len(group) for group in compute._groups(jobs, MANY, ComputeConfig(backend="dask"))] == [1] * 41


def test_bf16_is_for_one_training_and_for_several(cache: Path) -> None:
    for options in ({}, {"at_once": 2}):
        assert {result["by"] for result in run("aab", precision="bf16", **options)[1]} == {"many, bf16"}
        assert run("aab", precision="bf16", **options)[0] == []
        assert "many, bf16" not in {result["by"] for result in run("aab", **options)[1]}


def test_results_are_kept_apart(cache: Path) -> None:
    assert run("aaa", at_once=2)[0] == [[0, 1], [2]]
    assert run("aaa", at_once=2)[0] == []
    assert run("aaa", at_once=3)[0] == [[0, 1, 2]]
    assert run("aaa")[0] == [[0], [1], [2]]


def test_groups_stay_the_same_where_some_are_finished(cache: Path) -> None:
    run("aa", at_once=2)
    assert run("aaaa", at_once=2)[0] == [[2, 3]]


def test_a_group_that_does_not_fit_is_halved(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called, results = run("aaaaaa", fits=2, at_once=6)
    assert called == [[0, 1, 2, 3, 4, 5], [0, 1, 2], [0], [1], [2], [3], [4], [5]]
    assert [result["doubled"] for result in results] == [0, 2, 4, 6, 8, 10]
    assert "out of memory with 6 replicates at once; going on with 3\n" in capsys.readouterr().out


def test_a_group_leaves_work_for_every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [{"number": number, "kind": "a"} for number in range(10)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for cards, at_once, sizes in (
        (1, 40, [10]),
        (4, 40, [3, 3, 3, 1]),
        (4, 2, [2, 2, 2, 2, 2]),
        (16, 40, [1] * 10),
    ):
        monkeypatch.setattr(torch.cuda, "device_count", lambda cards=cards: cards)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
        where = ComputeConfig(at_once=at_once, precision="float32")
        assert [len(group) for group in compute._groups(jobs, MANY, where)] == sizes
        assert compute.describe(where, jobs, MANY) == {"device": "a card", "workers": min(cards, len(sizes))}
        on_a_cluster = dataclasses.replace(where, backend="ray", device="cuda")  # whose cards nobody here has counted
        assert [len(group) for group in compute._groups(jobs, MANY, on_a_cluster)] == (
            [10] if at_once == 40 else [2] * 5
        )


def test_smaller_groups_are_kept_apart(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("aaaa", at_once=4)
    monkeypatch.setattr(compute, "_at_once", lambda config, jobs: min(config.at_once, 2))
    assert run("aaaa", at_once=4)[0] == [[0, 1], [2, 3]]
    assert run("aaaa", at_once=4)[0] == []


def test_the_record_counts_the_processes_that_groups_need() -> None:
    jobs = [{"number": number, "kind": "a"} for number in range(6)]
    where = ComputeConfig(device="cpu", workers=4)
    assert compute.describe(where, jobs, MANY)["workers"] == 4
    assert compute.describe(dataclasses.replace(where, at_once=3), jobs, MANY)["workers"] == 2
    assert compute.describe(dataclasses.replace(where, at_once=3), jobs)["workers"] == 4


def test_groups_run_side_by_side_as_replicates_do(cache: Path) -> None:
    jobs = [{"number": number, "kind": "a"} for number in range(4)]
    where = ComputeConfig(device="cpu", workers=2, at_once=2)
    results = run_replicates(double, jobs, where, "toy", [1] * len(jobs), MANY)
    assert [(result["doubled"], result["by"]) for result in results] == [(2 * n, "many") for n in range(4)]


def test_at_once_is_checked() -> None:
    with pytest.raises(ValueError, match="at_once: must be positive"):
        ComputeConfig(at_once=0)


def test_a_study_at_once_is_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of each training: within rounding, every network that they leave."""
    images = bright_corners(30, seed=0)
    folders = {"one": {}, "many": {"at_once": 3}}
    for name, options in folders.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        study = Study(tmp_path / name, compute={"device": "cpu", "workers": 1, **options})
        study.data(images, bright_corners(10, seed=1))
        study.all()
    one, many = (tmp_path / name / "artifacts" for name in folders)
    weights = sorted(path.relative_to(one) for path in one.glob("gan/*/*.safetensors"))
    assert len(weights) == 2 * REPLICATES
    teachers = sorted(path.relative_to(one) for path in one.glob("teacher/*/*.safetensors"))
    assert len(teachers) == REPLICATES
    for path in teachers:
        mine, theirs = load_file(one / path), load_file(many / path)
        for key, value in mine.items():
            np.testing.assert_allclose(value, theirs[key], rtol=0, atol=2e-3)
    assert any((one / path).read_bytes() != (many / path).read_bytes() for path in teachers), "they were stacked"
    for path in weights:
        mine, theirs = load_file(one / path), load_file(many / path)
        for key, value in mine.items():
            np.testing.assert_allclose(value, theirs[key], rtol=0, atol=2e-5)
    assert any((one / path).read_bytes() != (many / path).read_bytes() for path in weights), "they were stacked"
    for kind in ("baseline", "augmented"):
        losses = [pd.read_csv(folder / kind / str(BUDGET) / "history.csv") for folder in (one, many)]
        pd.testing.assert_frame_equal(*losses, rtol=1e-3)
        seen = [(folder / kind / str(BUDGET) / "inputs.json").read_text() for folder in (one, many)]
        if kind == "baseline":  # the other saw digits that a generator drew
            assert seen[0] == seen[1]


def test_on_a_cpu_capture_changes_no_byte_of_an_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {"plain": {}, "capture": {"capture": True}}
    for name, options in folders.items():
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        study = Study(tmp_path / name, compute={"device": "cpu", "workers": 1, **options})
        study.data(bright_corners(30, seed=0), bright_corners(10, seed=1))
        study.run(train_oracle)
    plain, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("artifacts/oracle/*")} for name in folders
    )
    assert plain == other and len(plain) == 5


@pytest.mark.usefixtures("fixed_places")
def test_one_training_of_a_group_is_made_plainly() -> None:
    """As a GPU makes the oracle, or the only job of a group: nothing is stacked."""
    said: list[dict] = []
    job = {"material": materials()["all arms"][1], "test_pixels": subsets()[0].pixels, "config": CONFIG, "seed": 3}
    (captured,) = classifier_replicate.train_replicates([job], CPU, [said.append], capture=True)
    one = classifier_replicate.train_replicate(**job, device=CPU, report=lambda _: None)
    assert said == captured["history"] == [pytest.approx(record) for record in one["history"]]
    for name, value in one["weights"].items():
        np.testing.assert_allclose(captured["weights"][name], value, rtol=1e-3, atol=1e-5)
    given = {"real": subsets()[0], "recipe": RECIPE, "steps": 4, "seed": 3}
    (captured,) = gan_replicate.train_replicates([given], CPU, [said.append], capture=True)
    one = gan_replicate.train_replicate(**given, device=CPU, report=lambda _: None)
    for name, value in one["weights"].items():
        np.testing.assert_allclose(captured["weights"][name], value, rtol=0, atol=1e-4)


def test_the_benchmark_sets_the_loops_side_by_side(fresh_toy: LabelledImages) -> None:
    row = measured(gan_loops(fresh_toy, RECIPE, 2, 1, CPU, False), 3, turns=2, every=1, device=CPU)
    assert (row["how"], row["replicates"]) == ("stacked", 3)
    assert 0 < row["over one"] == pytest.approx(row["at once, ms a step"] / row["one, ms a step"], abs=0.02, rel=0.02)


def test_the_benchmark_sets_processes_side_by_side(fresh_toy: LabelledImages) -> None:
    row = measured_processes(our_gan, GanTask(fresh_toy, RECIPE, 4, 0, 2), 2, turns=2)
    assert (row["how"], row["replicates"], row["over plain"]) == ("processes", 2, "")
    assert 0 < row["over one"] == pytest.approx(row["at once, ms a step"] / row["one, ms a step"], abs=0.02, rel=0.02)
    assert "peak memory, MB" not in row


def test_the_ratios_of_the_benchmark_by_hand() -> None:
    """2 and 6 s against 1 and 2 s of one alike: twice and three times, so 2.5; and a half and one of the plain loop."""
    row = to_row("stacked", 5, 10, np.array([4.0, 6.0]), np.array([1.0, 2.0]), np.array([2.0, 6.0]))
    assert (row["over one"], row["over plain"], row["each"]) == (2.5, 0.75, 0.5)
    assert (row["one, ms a step"], row["at once, ms a step"]) == (150, 400)
