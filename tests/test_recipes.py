"""Every recipe: its networks' sizes, a few steps, the same bytes twice, and the way through the stages and back."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from PIL import Image, ImageDraw
from recording_adam import RecordingAdam
from torch import nn

from pipeline.batches import labels_to_batches
from pipeline.errors import InputError
from pipeline.feed import gather, one_by_one
from pipeline.folders import folder_to_images
from pipeline.gan import step as stepping
from pipeline.gan.losses import LOSSES
from pipeline.gan.networks import dcgan, dense, dense_conv
from pipeline.gan.networks.layers import dropout, gaussian_noise, normal, uniform
from pipeline.gan.networks.registry import (
    PAIRS,
    count_parameters,
    mapping_to_networks,
    networks_to_mapping,
    new_discriminator,
    new_generator,
)
from pipeline.gan.recipe import Recipe, load_recipe
from pipeline.gan.sampling import class_balanced, generate, load_generator
from pipeline.gan.training import Gan, new_gan, train
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.seeds import derive
from pipeline.split import PseudoLabels, Split
from pipeline.stages import train_gan as stage_module
from pipeline.stages.generate import generate as generate_stage
from pipeline.stages.stage import Stage
from pipeline.stages.train_gan import FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS, grids_to_animation, train_gan
from pipeline.weights import network_to_arrays

ROOT = Path(__file__).parent.parent
RECIPES = sorted(path.stem for path in (ROOT / "conf" / "gan").glob("*.yaml"))
LIGHT = [name for name in RECIPES if name != "deep_dense_dcgan"]  # 317 million parameters
CPU = torch.device("cpu")


def recipe(name: str, **changes: Any) -> Recipe:
    """A recipe of conf/gan, with batches of 4 and other changes: keys of the recipe, or of its networks."""
    found = load_recipe(name, ROOT / "conf" / "gan")
    own = {field.name for field in dataclasses.fields(found)}
    networks = {key: changes.pop(key) for key in list(changes) if key not in own}
    return dataclasses.replace(
        found, networks=dataclasses.replace(found.networks, **networks), **{"batch_size": 4, **changes}
    )


def images_for(name: str, digits: LabelledImages, coloured: LabelledImages) -> LabelledImages:
    return coloured if name == "dcgan64" else digits.subset(np.arange(30))


@pytest.fixture(scope="session")
def coloured_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn colour images of 70x60 pixels in two classes, as a person's own folder."""
    root, draws = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for label in ("disc", "square"):
        (root / label).mkdir()
        for number in range(20):
            picture = Image.new("RGB", (70, 60), tuple(map(int, draws.integers(0, 80, 3))))
            left, top, side = (int(draws.integers(low, high)) for low, high in ((2, 20), (2, 15), (25, 40)))
            pen, colour = ImageDraw.Draw(picture), tuple(map(int, draws.integers(120, 256, 3)))
            (pen.ellipse if label == "disc" else pen.rectangle)((left, top, left + side, top + side), fill=colour)
            picture.save(root / label / f"{number:02d}.png")
    return root


@pytest.fixture(scope="session")
def coloured(coloured_folder: Path) -> LabelledImages:
    """The same, read at 64x64."""
    (images,) = folder_to_images(coloured_folder, 64, "auto")
    assert images.shape == (3, 64, 64)
    return images


class TestParameters:
    """As their authors' reports print them: without labels, batch norm's moving averages counted, as Keras does."""

    def test_of_the_deep_dense_dcgan_without_its_memory(self) -> None:
        counted = count_parameters((1, 28, 28), None, recipe("deep_dense_dcgan").networks)
        assert counted == (317_135_168, 412_033)

    def test_of_the_dcgan(self) -> None:
        assert count_parameters((1, 28, 28), None, recipe("dcgan").networks) == (2_330_944, 212_865)

    def test_a_count_is_that_of_the_networks_that_train(self) -> None:
        networks = recipe("dcgan").networks
        players = new_generator((1, 28, 28), 10, networks), new_discriminator((1, 28, 28), 10, networks)
        for player, counted in zip(players, count_parameters((1, 28, 28), 10, networks), strict=True):
            arrays = network_to_arrays(player)
            assert counted == sum(array.size for name, array in arrays.items() if "num_batches" not in name)

    def test_labels_add_to_both_players(self) -> None:
        plain, labelled = (count_parameters((1, 28, 28), classes, recipe("dcgan").networks) for classes in (None, 10))
        assert labelled.generator - plain.generator == 10 * 50 + 50 * 12544  # an embedding of 50 beside the noise
        assert labelled.discriminator - plain.discriminator == 10 * 784 + 5 * 5 * 64  # a channel beside the image


@pytest.mark.parametrize("name", LIGHT)
class TestNetworks:
    def test_without_classes_noise_becomes_images_and_images_become_scores(
        self, name: str, digits: LabelledImages, coloured: LabelledImages
    ) -> None:
        shape, networks = images_for(name, digits, coloured).shape, recipe(name).networks
        generator, discriminator = new_generator(shape, None, networks), new_discriminator(shape, None, networks)
        images = generator(torch.randn(3, networks.latent), torch.zeros(3, dtype=torch.int64))
        assert images.shape == (3, *shape)
        assert images.abs().max() <= 1
        assert discriminator(images, torch.zeros(3, dtype=torch.int64)).shape == (3,)

    def test_the_label_decides_the_image_and_the_score(
        self, name: str, digits: LabelledImages, coloured: LabelledImages
    ) -> None:
        real = images_for(name, digits, coloured)
        gan = new_gan(real.shape, 3, recipe(name), seed=1)
        labels, noise = torch.arange(3), torch.randn(1, gan.generator.latent).expand(3, -1)
        images = gan.average(noise, labels)
        assert len({image.numpy().tobytes() for image in images}) == 3
        assert len(set(gan.discriminator(images[:1].expand(3, *real.shape), labels).tolist())) == 3

    def test_scores_are_mixed_only_where_the_networks_say_so(
        self, name: str, digits: LabelledImages, coloured: LabelledImages
    ) -> None:
        real, networks = images_for(name, digits, coloured), recipe(name).networks
        discriminator = new_discriminator(real.shape, 10, networks)
        pixels, labels = (values[:6] for values in to_tensors(real, CPU))
        scores = discriminator(pixels, labels)
        few = discriminator(pixels[:3], labels[:3])
        assert torch.allclose(few, scores[:3], rtol=1e-4, atol=1e-5) != networks.mixes_batch

    def test_its_numbers_survive_json(self, name: str, digits: LabelledImages, coloured: LabelledImages) -> None:
        networks = recipe(name).networks
        assert mapping_to_networks(json.loads(json.dumps(networks_to_mapping(networks))), "networks") == networks


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("dcgan", 30, r"the pair `dcgan` makes sides of 8, 12, 16, .* not 30x30; set it to 32"),
        ("deep_dense_dcgan", 27, r"the pair `dcgan` makes sides of 8, 12, 16, .* not 27x27; set it to 28"),
        ("cgan_conv", 6, r"the pair `dense_conv` makes sides of 8, 12, 16, .* not 6x6; set it to 8"),
        ("dcgan64", 28, r"the pair `dcgan64` makes 64x64 images and no others, not 28x28; set it to 64"),
    ],
)
def test_a_side_that_cannot_be_made_says_which_can(name: str, side: int, message: str) -> None:
    with pytest.raises(InputError, match=rf"^data\.image_size: {message}$"):
        count_parameters((1, side, side), 10, recipe(name).networks)


def test_dense_layers_make_any_side() -> None:
    assert new_generator((1, 7, 9), None, recipe("cgan_mlp").networks).eval()(
        torch.zeros(1, 100), torch.zeros(1, dtype=torch.int64)
    ).shape == (1, 1, 7, 9)


def test_the_reference_systems_are_what_their_reports_say() -> None:
    mlp, conv, first = (recipe(name).networks for name in ("cgan_mlp", "cgan_conv", "cgan_conv_relu"))
    assert isinstance(mlp, dense.Config) and isinstance(conv, dense_conv.Config)
    assert (mlp.latent, mlp.generator_widths, mlp.discriminator_widths) == (100, (256, 512, 1024), (512, 512))
    assert new_generator((1, 28, 28), 10, conv).base == (128, 7, 7)  # type: ignore[comparison-overlap]
    assert dataclasses.replace(conv, activation="relu") == first
    for name in ("cgan_conv", "cgan_conv_relu", "cgan_mlp"):
        found = load_recipe(name, ROOT / "conf" / "gan")
        assert (found.batch_size, found.generator_rate, found.discriminator_rate, found.beta1) == (32, 2e-4, 2e-4, 0.5)
        assert found.distort_reals is not None
    for name, batch, rate in (("dcgan", 256, 1e-4), ("dcgan64", 128, 2.5e-4), ("gan_mlp", 128, 1e-4)):
        found = load_recipe(name, ROOT / "conf" / "gan")
        assert (found.batch_size, found.generator_rate, found.discriminator_rate) == (batch, rate, rate)
        assert (found.loss, found.turns, found.average) == ("cross_entropy", "alternate", 0)
    gp = load_recipe("dcgan_wgan_gp", ROOT / "conf" / "gan")
    assert isinstance(gp.networks, dcgan.Config)
    assert (gp.loss, gp.penalty, gp.penalty_kind, gp.discriminator_steps) == ("wasserstein", 10, "interpolates", 5)


class TestDraws:
    def test_dropout_keeps_the_mean_and_drops_its_share(self) -> None:
        values = dropout(torch.ones(200, 200), 0.3, uniform((200, 200), torch.Generator().manual_seed(0)))
        assert (values == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
        assert values.unique().tolist() == pytest.approx([0, 1 / 0.7])

    def test_noise_has_its_deviation(self) -> None:
        drawn = normal((200, 200), torch.Generator().manual_seed(0))
        values = gaussian_noise(torch.full((200, 200), 5.0), 0.2, drawn)
        assert (values - 5).std().item() == pytest.approx(0.2, rel=0.02)
        assert values.mean().item() == pytest.approx(5, abs=0.01)

    def test_without_draws_nothing_happens(self) -> None:
        values = torch.ones(3)
        assert dropout(values, 0.5, None) is values
        assert gaussian_noise(values, 0.5, None) is values


NARROW = {"generator_channels": (8, 6, 4), "discriminator_channels": (6, 8)}  # of the networks `dcgan`


def few_steps(
    name: str, real: LabelledImages, steps: int = 3, seed: int = 1, every: int = 1, **changes: Any
) -> tuple[Gan, list]:
    chosen = recipe(name, **changes)
    gan = new_gan(real.shape, len(real.classes), chosen, seed)
    return gan, list(train(gan, real, chosen, steps, seed, every))


def state_of(gan: Gan) -> list[bytes]:
    return [
        array.tobytes()
        for network in (gan.generator, gan.discriminator, gan.average)
        for array in network_to_arrays(network).values()
    ]


class TestTraining:
    @pytest.mark.parametrize("name", LIGHT)
    def test_each_recipe_trains_and_generates(
        self, name: str, digits: LabelledImages, coloured: LabelledImages
    ) -> None:
        real = images_for(name, digits, coloured)
        start = new_gan(real.shape, len(real.classes), recipe(name), 1)
        gan, history = few_steps(name, real, every=2)
        assert [record["step"] for record in history] == [2, 3]
        assert all(math.isfinite(value) for record in history for value in record.values())
        assert history[-1]["epoch"] == pytest.approx(12 / len(real))
        for player in ("generator", "discriminator"):
            before, after = getattr(start, player).named_parameters(), getattr(gan, player).parameters()
            for (weight, old), new in zip(before, after, strict=True):
                # Wasserstein scores count by their differences alone, which the last bias does not change.
                still = name == "dcgan_wgan_gp" and weight == "score.bias"
                assert torch.equal(old, new) == still, f"{player}: {weight}"
        images = class_balanced(gan.average, real.classes, 2, seed=3)
        assert images.shape == real.shape
        assert len({image.tobytes() for image in images.pixels}) == 2 * len(real.classes)

    def test_dropout_and_noise_give_the_same_bytes_and_leave_other_random_numbers_alone(
        self, digits: LabelledImages
    ) -> None:
        real = digits.subset(np.arange(30))
        torch.manual_seed(1)
        state = torch.random.get_rng_state()
        first, history = few_steps("dcgan", real, **NARROW)
        assert torch.equal(torch.random.get_rng_state(), state), "the global random numbers were disturbed"
        torch.manual_seed(2)
        again, same_history = few_steps("dcgan", real, **NARROW)
        assert state_of(first) == state_of(again)
        assert history == same_history
        assert state_of(few_steps("dcgan", real, seed=2, **NARROW)[0]) != state_of(first)
        for number in ("noise", "dropout"):
            assert state_of(few_steps("dcgan", real, **NARROW, **{number: 0.0})[0]) != state_of(first), (
                f"{number} does nothing"
            )

    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_turn_has_the_gradients_of_its_loss(
        self, loss: str, toy: LabelledImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One step of alternating turns against autograd on copies of the players, the generator's on fresh noise."""
        monkeypatch.setattr(stepping, "Adam", RecordingAdam)
        chosen = recipe(
            "gan_mlp",
            loss=loss,
            penalty=2.0 if loss == "wasserstein" else 0.0,
            penalty_kind="interpolates",
            generator_widths=(5,),
            discriminator_widths=(6,),
        )
        seed, gan, copy = 5, new_gan(toy.shape, 3, chosen, 5), new_gan(toy.shape, 3, chosen, 5)
        next(train(gan, toy, chosen, 10, seed, every=1))

        batches = labels_to_batches(toy.labels, 10, 4, derive(seed, "batches"))
        sets = [(torch.tensor(toy.pixels), torch.tensor(toy.labels), batches)]
        reals, labels = next(one_by_one(gather(sets, None, torch.Generator(), CPU)))
        draws = torch.Generator().manual_seed(derive(seed, "noise"))
        functions, weights = LOSSES[loss], list(copy.discriminator.parameters())
        with torch.no_grad():
            fakes = copy.generator(torch.randn(4, 100, generator=draws), labels)
        real_scores = copy.discriminator(reals, labels)
        wanted = functions.discriminator(real_scores, copy.discriminator(fakes, labels))
        if loss == "wasserstein":
            shares = torch.rand(4, 1, 1, 1, generator=torch.Generator().manual_seed(derive(seed, "interpolates")))
            between = (shares * reals + (1 - shares) * fakes).requires_grad_()
            score = copy.discriminator(between, labels).sum()
            (slopes,) = torch.autograd.grad(score, between, create_graph=True)
            wanted = wanted + 2.0 * (slopes.flatten(1).norm(dim=1) - 1).square().mean()
        expected = torch.autograd.grad(wanted, weights, allow_unused=True)
        for weight, gradient in zip(gan.discriminator.parameters(), expected, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)

        fakes = copy.generator(torch.randn(4, 100, generator=draws), labels)
        with torch.no_grad():
            against = gan.discriminator(reals, labels)  # it has made its step and is frozen
        wanted = functions.generator(against, gan.discriminator(fakes, labels))
        expected = torch.autograd.grad(wanted, list(copy.generator.parameters()))
        for weight, gradient in zip(gan.generator.parameters(), expected, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(("discriminator_steps", "generator_steps", "moves"), [(1, 1, 6), (5, 1, 2), (2, 3, 9)])
    def test_turns_come_as_often_as_the_recipe_says(
        self, discriminator_steps: int, generator_steps: int, moves: int, toy: LabelledImages
    ) -> None:
        """How many steps each player's Adam made in six batches."""
        optimisers: list[RecordingAdam] = []

        def recording(*arguments: Any) -> RecordingAdam:
            optimisers.append(RecordingAdam(*arguments))
            return optimisers[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stepping, "Adam", recording)
            few_steps(
                "gan_mlp",
                toy,
                steps=6,
                discriminator_steps=discriminator_steps,
                generator_steps=generator_steps,
            )
        assert [optimiser.made for optimiser in optimisers] == [moves, 6]

    def test_a_constant_schedule_keeps_the_rate(self, toy: LabelledImages) -> None:
        start = new_gan(toy.shape, 3, recipe("gan_mlp"), 1)
        gan, _ = few_steps("gan_mlp", toy, steps=1, generator_rate=0.01, discriminator_rate=0.002)
        for player, rate in (("generator", 0.01), ("discriminator", 0.002)):  # Adam's first step is the rate itself
            pairs = zip(getattr(start, player).parameters(), getattr(gan, player).parameters(), strict=True)
            assert max((new - old).abs().max().item() for old, new in pairs) == pytest.approx(rate, rel=1e-2)

    def test_cross_entropy_records_probabilities(self, toy: LabelledImages) -> None:
        _, history = few_steps("gan_mlp", toy, steps=2)
        assert all(0 < record[name] < 1 for record in history for name in ("real_score", "fake_score"))
        # before the first step all scores are near 0: a probability of a half, and a loss of 2 log 2
        assert history[0]["real_score"] == pytest.approx(0.5, abs=0.25)

    def test_a_batch_norm_of_a_running_average_follows_the_generator(self, toy: LabelledImages) -> None:
        for average in (0.0, 0.999):
            start = new_gan(toy.shape, 3, recipe("gan_mlp"), 1).average
            gan, _ = few_steps("gan_mlp", toy, steps=1, average=average)
            for before, own, averaged in zip(norms(start), norms(gan.generator), norms(gan.average), strict=True):
                assert not torch.equal(own.running_mean, before.running_mean)
                share = min(average, 0.1)  # of the start, which the average keeps after its first step
                wanted = share * before.running_mean + (1 - share) * own.running_mean
                torch.testing.assert_close(averaged.running_mean, wanted)
                torch.testing.assert_close(
                    averaged.running_var, share * before.running_var + (1 - share) * own.running_var
                )
                assert not averaged.training

    def test_an_image_depends_on_its_own_seed_alone(self, digits: LabelledImages) -> None:
        gan, _ = few_steps("dcgan", digits.subset(np.arange(30)), every=3, **NARROW)
        labels, seeds = np.arange(6), list(range(6))
        many, alone = (generate(gan.average, labels[part], seeds[part]) for part in (slice(0, 6), slice(4, 5)))
        assert np.abs(many[4:5].astype(int) - alone.astype(int)).max() <= 1


# In a process of its own, which gives the memory back. Prints what the training left, and the gigabytes it took.
DEEP = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import torch
from pipeline.gan.recipe import load_recipe
from pipeline.gan.sampling import class_balanced
from pipeline.gan.training import new_gan, train
from pipeline.images import load

torch.set_num_threads(1)
real = load(Path(sys.argv[1]))
recipe = replace(load_recipe("deep_dense_dcgan"), batch_size=4)
gan = new_gan(real.shape, len(real.classes), recipe, 1)
weights = [w for player in (gan.generator, gan.discriminator) for w in player.parameters()]
before = [w.detach().flatten()[:1000].clone() for w in weights]
(record,) = train(gan, real, recipe, 2, 1, every=2)
print(json.dumps({
    "record": record,
    "parameters": sum(w.numel() for w in weights),
    "unchanged": sum(torch.equal(old, w.detach().flatten()[:1000]) for old, w in zip(before, weights)),
    "images": len({image.tobytes() for image in class_balanced(gan.average, real.classes, 2, 3).pixels}),
    "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
}))
"""
DEEP_GIGABYTES = 9.0  # 7.7, and something to spare


def test_the_317_million_train_for_a_few_steps(digits: LabelledImages, tmp_path: Path) -> None:
    free = psutil.virtual_memory().available / 2**30
    if free < DEEP_GIGABYTES:
        pytest.skip(f"deep_dense_dcgan wants {DEEP_GIGABYTES:g} GB of free memory, there are {free:.1f}")
    digits.subset(np.flatnonzero(digits.labels < 2)).save(tmp_path / "real.npz")
    command = [sys.executable, "-c", DEEP, str(tmp_path / "real.npz")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["record"]["step"] == 2
    assert all(math.isfinite(value) for value in found["record"].values())
    assert found["parameters"] > 317_000_000 and found["unchanged"] == 0
    assert found["images"] > 1, "every image alike"
    assert found["gigabytes"] < DEEP_GIGABYTES


def norms(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def run_stages(
    folder: Path,
    real: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
    gan: dict[str, Any],
    split: int = 2,
    workers: int = 1,
) -> Path:
    """Stages train_gan and generate on `split` halves of `real`, as after stage split; gives the GAN's folder."""
    monkeypatch.chdir(folder)
    if not Path("conf").exists():
        Path("conf").symlink_to(ROOT / "conf")
    real.save(Path("artifacts/data/train.npz"))
    order = np.argsort(np.arange(len(real)) % split, kind="stable")
    subsets, nothing = order.reshape(split, -1), np.empty((split, 0), np.int64)
    Split(subsets, real.labels[subsets], nothing, np.empty(0, np.int64)).save(Path("artifacts/splits/9.npz"))
    PseudoLabels(nothing, nothing.astype(bool)).save(Path("artifacts/pseudo/9.npz"))
    params = {
        "gan": {"steps": None, "epochs": None, **gan},
        "study": {"seed": 3},
        "compute": {"device": "cpu", "precision": "auto", "workers": workers},
        "generate": {"per_class": 2, "export": "none"},
        "variants": {"baseline": [], "generated": []},
    }
    Path("params.yaml").write_text(json.dumps(params))
    for stage, body in (("train_gan", train_gan), ("generate", generate_stage)):
        body(Stage(f"{stage}@9", 9, params, Path("params.yaml")))
    return folder / "artifacts/gan/9"


class TestStages:
    def test_a_recipe_with_batch_norm_goes_all_the_way_and_back(
        self, digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = digits.subset(np.arange(60))
        folder = run_stages(tmp_path, real, monkeypatch, {"recipe": "cgan_mlp", "epochs": 3})
        history, epochs = pd.read_csv(folder / "history.csv"), pd.read_csv(folder / "epochs.csv")
        assert history["step"].tolist() == [1, 2, 3] * 2  # 30 images in batches of 32
        assert history["epoch"].tolist() == pytest.approx([32 / 30, 64 / 30, 96 / 30] * 2, rel=1e-5)
        assert list(epochs) == ["replicate", "epoch", "Loss_g", "Loss_d", "real_score", "fake_score", "mean_score"]
        assert epochs["replicate"].tolist() == [0, 0, 0, 1, 1, 1]
        assert epochs["Loss_g"].tolist() == history["generator_loss"].tolist()
        means = (epochs["real_score"] + epochs["fake_score"]) / 2
        assert epochs["mean_score"].tolist() == pytest.approx(means.tolist(), rel=1e-4)
        with Image.open(folder / "grids/replicate-1.png") as animation:
            assert (animation.n_frames, animation.size) == (3, (280, 280))
        config = json.loads((folder / "config.json").read_text())
        assert (config["steps"], config["grid_steps"], config["recipe"]) == (3, [1, 3], "cgan_mlp")
        counted = count_parameters(real.shape, 10, recipe("cgan_mlp").networks)
        assert config["parameters"] == {"generator": counted.generator, "discriminator": counted.discriminator}

        trained = load_generator(folder, 1)
        assert (trained.shape, trained.classes) == (real.shape, real.classes)
        assert any(norm.running_mean.abs().max() > 0 for norm in norms(trained.generator))
        last = np.asarray(Image.open(folder / "grids/replicate-1-step-000003.png"))
        with Image.open(folder / "grids/replicate-1.png") as animation:
            animation.seek(animation.n_frames - 1)
            assert np.array_equal(np.asarray(animation.convert("L")), last)
        synthetic = np.load("artifacts/synthetic/9/replicate-1.npz")
        again = class_balanced(trained.generator, trained.classes, 2, derive(3, "generate", 9, 1))
        assert np.array_equal(synthetic["pixels"], again.pixels)

    def test_dcgan64_learns_colour_images_of_a_folder(
        self, coloured: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed = (ROOT / "conf/gan/dcgan64.yaml").read_text()
        narrow = committed.replace("width: 64", "width: 8").replace("batch_size: 128", "batch_size: 10")
        (tmp_path / "conf/gan").mkdir(parents=True)
        (tmp_path / "conf/gan/dcgan64.yaml").write_text(narrow)
        folder = run_stages(tmp_path, coloured, monkeypatch, {"recipe": "dcgan64", "steps": 6}, split=1)
        history = pd.read_csv(folder / "history.csv")
        assert history["epoch"].iloc[-1] == pytest.approx(60 / 40)
        trained = load_generator(folder, 0)
        assert (trained.shape, trained.classes) == ((3, 64, 64), ("disc", "square"))
        with Image.open(folder / "grids/replicate-0.png") as animation:
            assert animation.mode == "RGB"
            assert (animation.n_frames, animation.size) == (6, (320, 128))

    @pytest.mark.parametrize("workers", [1, 2])
    def test_too_much_for_the_memory_ends_in_one_line_that_says_what_to_lower(
        self, workers: int, digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed = (ROOT / "conf/gan/relativistic.yaml").read_text()
        (tmp_path / "conf/gan").mkdir(parents=True)
        huge = committed.replace("generator_width: 32", f"generator_width: {10**10}")  # 250 terabytes
        (tmp_path / "conf/gan/relativistic.yaml").write_text(huge)
        line = r"^out of memory; lower batch_size \(32\) or the networks' widths in conf/gan/relativistic\.yaml, or "
        with pytest.raises(InputError, match=line):
            run_stages(tmp_path, digits, monkeypatch, {"recipe": "relativistic", "steps": 1}, workers=workers)
        assert not (tmp_path / "artifacts/gan/9").exists()

    def test_a_killed_worker_ends_in_one_line(
        self, digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: Any) -> None:
            raise TerminatedWorkerError("A worker process managed by the executor was unexpectedly terminated.")

        monkeypatch.setattr(stage_module, "run_replicates", killed)
        with pytest.raises(InputError, match=r"^a worker process was killed, most likely for want of memory; lower "):
            run_stages(tmp_path, digits, monkeypatch, {"recipe": "gan_mlp", "steps": 1})
        assert not (tmp_path / "artifacts/gan/9").exists()


def test_the_animation_shows_every_frame_and_rests_on_the_last(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 1, 5, 6), dtype=np.uint8)
    path = tmp_path / "grid.png"
    grids_to_animation(frames, path)
    with Image.open(path) as animation:
        assert (animation.n_frames, animation.size) == (3, (24, 10))
        for number, expected in enumerate([FRAME_MILLISECONDS, FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS]):
            animation.seek(number)
            assert animation.info["duration"] == expected
            assert np.array_equal(np.asarray(animation)[:5, 6:12], frames[number, 0, 1, 0])
    first = path.read_bytes()
    grids_to_animation(frames, path)
    assert path.read_bytes() == first
    grids_to_animation(frames[:1], path)
    with Image.open(path) as still:
        assert np.array_equal(np.asarray(still)[5:, :6], frames[0, 1, 0, 0])


def test_every_pair_of_networks_is_used_by_a_recipe() -> None:
    assert {recipe(name).networks.name for name in RECIPES} == set(PAIRS)
