"""The GAN: losses and penalties worked by hand, one step against separate passes, same bytes, failures noticed."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recording_adam import RecordingAdam
from torch import Tensor

from pipeline.batches import labels_to_batches
from pipeline.distortion import Distortion
from pipeline.errors import InputError
from pipeline.gan import step as stepping
from pipeline.gan import training
from pipeline.gan.health import history_to_health
from pipeline.gan.losses import (
    LOSSES,
    gradient_penalty,
    interpolates_penalty,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    relativistic_turn,
    share_of_pairs,
    share_of_sides,
)
from pipeline.gan.networks.folded import Config, Discriminator, Generator
from pipeline.gan.recipe import GanConfig, Recipe, load_recipe
from pipeline.gan.replicate import FRAMES, GRID_COLUMNS, frame_steps, grid_steps, record_every, train_replicate
from pipeline.gan.sampling import CHUNK, class_balanced, generate, seeds_to_noise
from pipeline.gan.training import MEASURED, MONITORED, Gan, learning_rate_factor, new_gan, train
from pipeline.images import LabelledImages
from pipeline.pixels import to_tensors
from pipeline.seeds import derive
from pipeline.weights import arrays_to_network, network_to_arrays

CPU = torch.device("cpu")
NETWORKS = Config(latent=6, generator_width=4, discriminator_width=4)
RECIPE = Recipe(
    networks=NETWORKS,
    loss="relativistic",
    turns="together",
    discriminator_steps=1,
    generator_steps=1,
    batch_size=6,
    generator_rate=0.01,
    discriminator_rate=0.01,
    schedule="rise_and_fall",
    beta1=0.0,
    beta2=0.99,
    penalty=0.5,
    penalty_kind="zero_centred",
    penalty_every=4,
    average=0.9,
    distort_reals=Distortion(),
)


def changed(**changes: Any) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)


def trained(images: LabelledImages, recipe: Recipe, steps: int, seed: int = 1, every: int = 10) -> tuple[Gan, list]:
    gan = new_gan(images.shape, len(images.classes), recipe, seed)
    return gan, list(train(gan, images, recipe, steps, seed, every))


def weights_of(gan: Gan) -> list[bytes]:
    networks = (gan.generator, gan.discriminator, gan.average)
    return [array.tobytes() for network in networks for array in network_to_arrays(network).values()]


class TestLosses:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 5.0])

    def test_discriminator_by_hand(self) -> None:
        expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
        assert relativistic_discriminator_loss(self.real, self.fake).item() == pytest.approx(expected)

    def test_generator_by_hand(self) -> None:
        expected = (math.log(1 + math.exp(1)) + math.log(1 + math.exp(-2))) / 2
        assert relativistic_generator_loss(self.real, self.fake).item() == pytest.approx(expected)

    def test_only_the_paired_difference_counts(self) -> None:
        for loss in (relativistic_discriminator_loss, relativistic_generator_loss):
            assert loss(self.real + 100, self.fake + 100).item() == pytest.approx(loss(self.real, self.fake).item())
            assert loss(self.real, self.fake.flip(0)).item() != pytest.approx(loss(self.real, self.fake).item())

    def test_huge_scores_stay_finite(self) -> None:
        huge = torch.tensor([1e4])
        assert relativistic_discriminator_loss(-huge, huge).item() == pytest.approx(2e4)

    @pytest.mark.parametrize("ahead", [-50.0, -1.0, 0.0, 2.0, 50.0])
    def test_the_turn_makes_one_players_slopes_the_others(self, ahead: float) -> None:
        real, fake = torch.tensor([0.5, 0.5 + ahead]), torch.tensor([0.5, 0.5], requires_grad=True)
        (slopes,) = torch.autograd.grad(relativistic_discriminator_loss(real, fake), fake)
        (wanted,) = torch.autograd.grad(relativistic_generator_loss(real, fake), fake)
        torch.testing.assert_close(slopes * relativistic_turn(real, fake.detach()), wanted, rtol=1e-4, atol=0)

    def test_the_turn_of_a_hopeless_generator_is_finite(self) -> None:
        assert relativistic_turn(torch.tensor([1e4]), torch.tensor([0.0])).isfinite().all()


class TestLossesByHand:
    """Scores of two reals and two fakes: 2 and -1, 1 and -3."""

    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([1.0, -3.0])

    @staticmethod
    def softplus(value: float) -> float:
        return math.log(1 + math.exp(value))

    def values(self, name: str) -> tuple[float, float, float]:
        loss = LOSSES[name]
        functions = (loss.discriminator, loss.generator, loss.accuracy)
        discriminator, generator, accuracy = (function(self.real, self.fake).item() for function in functions)
        return discriminator, generator, accuracy

    def test_cross_entropy(self) -> None:
        discriminator = (self.softplus(-2) + self.softplus(1)) / 2 + (self.softplus(1) + self.softplus(-3)) / 2
        generator = (self.softplus(-1) + self.softplus(3)) / 2
        assert self.values("cross_entropy") == pytest.approx((discriminator, generator, 0.5))

    def test_hinge(self) -> None:
        assert self.values("hinge") == pytest.approx(((0 + 2) / 2 + (2 + 0) / 2, 1, 0.5))

    def test_least_squares(self) -> None:
        discriminator = (1 + 4) / 2 / 2 + (4 + 4) / 2 / 2
        assert self.values("least_squares") == pytest.approx((discriminator, (1 + 9) / 2 / 2, 0.5))

    def test_wasserstein(self) -> None:
        assert self.values("wasserstein") == pytest.approx((-1 - 0.5, 1, 1))

    def test_the_optimum_of_each_is_where_it_should_be(self) -> None:
        """At their own optimum (reals and fakes alike) the discriminator's loss has no slope at score 0."""
        for name in ("relativistic", "cross_entropy", "hinge", "least_squares"):
            scores = torch.zeros(4, requires_grad=True)
            (slope,) = torch.autograd.grad(LOSSES[name].discriminator(scores, scores), scores)
            torch.testing.assert_close(slope, torch.zeros(4))

    @pytest.mark.parametrize("name", LOSSES)
    def test_each_player_pulls_its_own_way(self, name: str) -> None:
        real, fake = torch.tensor([0.5], requires_grad=True), torch.tensor([-0.5], requires_grad=True)
        loss = LOSSES[name]
        up, down = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
        assert up < 0 < down, "the discriminator raises reals and lowers fakes"
        (slope,) = torch.autograd.grad(loss.generator(real.detach(), fake), fake)
        assert slope < 0, "the generator raises fakes"

    def test_accuracy_counts_sides_or_pairs(self) -> None:
        real, fake = torch.tensor([3.0, -1.0, 2.0, 0.5]), torch.tensor([1.0, -2.0, 4.0, -1.0])
        assert share_of_sides(real, fake).item() == pytest.approx((3 / 4 + 2 / 4) / 2)
        assert share_of_pairs(real, fake).item() == pytest.approx(3 / 4)


class TestInterpolatesPenalty:
    """Of a linear critic with weights w the slope is w everywhere: the penalty is (|w| - 1)^2."""

    draws = torch.Generator().manual_seed(0)
    reals, fakes = torch.randn(2, 5, 1, 3, 4, generator=draws)
    labels = torch.tensor([0, 1, 2, 0, 1])

    def penalty(self, critic: Any) -> Tensor:
        shares = torch.rand(5, generator=torch.Generator().manual_seed(3))
        return interpolates_penalty(critic, self.reals, self.fakes, self.labels, shares)

    def test_of_a_linear_critic(self) -> None:
        weights = torch.zeros(1, 3, 4)
        weights[0, 0, 0], weights[0, 2, 3] = 3.0, 4.0  # |w| = 5
        assert self.penalty(lambda x, _: (x * weights).sum((1, 2, 3))).item() == pytest.approx(16)
        assert self.penalty(lambda x, _: (x * weights / 5).sum((1, 2, 3))).item() == pytest.approx(0, abs=1e-9)

    def test_is_a_mean_over_pairs_each_with_its_own_label(self) -> None:
        gain = torch.tensor([1.0, 2.0, 4.0]) / math.sqrt(12)  # slopes of 1, 2 and 4
        penalty = self.penalty(lambda x, y: gain[y] * x.sum((1, 2, 3)))
        assert penalty.item() == pytest.approx((0 + 1 + 9 + 0 + 1) / 5, rel=1e-5)

    def test_lies_between_the_real_and_the_fake_at_a_place_of_each_pairs_own(self) -> None:
        seen = []
        self.penalty(lambda x, _: seen.append(x.detach()) or x.sum((1, 2, 3)))
        shares = ((seen[0] - self.fakes) / (self.reals - self.fakes)).flatten(1)
        assert (shares.std(1) < 1e-3).all(), "one share a pair"
        assert ((shares >= 0) & (shares <= 1)).all()
        assert shares[:, 0].std() > 0.1

    def test_can_be_differentiated_by_the_weights_also_at_a_slope_of_0(self) -> None:
        weights = torch.tensor(2.0, requires_grad=True)
        penalty = self.penalty(lambda x, _: weights * x[:, 0, 0, 0])
        assert torch.autograd.grad(penalty, weights)[0].item() == pytest.approx(2)  # of (w - 1)^2
        flat = torch.tensor(0.0, requires_grad=True)
        penalty = self.penalty(lambda x, _: flat * x[:, 0, 0, 0])
        assert torch.autograd.grad(penalty, flat)[0].isfinite()


class TestGradientPenalty:
    images = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1])

    def test_of_a_linear_score_is_the_squared_norm_of_its_weights(self) -> None:
        weights = torch.linspace(-1, 1, 40).view(2, 4, 5)
        penalty = gradient_penalty(lambda x, _: (x * weights).sum((1, 2, 3)), self.images, self.labels)
        assert penalty.item() == pytest.approx(weights.square().sum().item())

    def test_is_a_mean_over_images_each_with_its_own_label(self) -> None:
        gain = torch.tensor([1.0, 10.0, 100.0])
        penalty = gradient_penalty(lambda x, y: gain[y] * x.sum((1, 2, 3)), self.images, self.labels)
        assert penalty.item() == pytest.approx(40 * (1 + 100 + 10000) / 3)

    def test_of_half_the_squared_pixels_is_the_mean_squared_norm_of_the_images(self) -> None:
        penalty = gradient_penalty(lambda x, _: x.square().sum((1, 2, 3)) / 2, self.images, self.labels)
        assert penalty.item() == pytest.approx(self.images.square().sum((1, 2, 3)).mean().item())

    def test_can_be_differentiated_by_the_weights(self) -> None:
        weights = torch.linspace(-1, 1, 40).view(2, 4, 5).requires_grad_()
        penalty = gradient_penalty(lambda x, _: (x * weights).sum((1, 2, 3)), self.images, self.labels)
        (gradient,) = torch.autograd.grad(penalty, weights)
        torch.testing.assert_close(gradient, 2 * weights)


class TestNetworks:
    @pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 12, 20)])
    def test_noise_becomes_images_and_images_become_scores(self, shape: tuple[int, int, int]) -> None:
        gan, labels = new_gan(shape, 5, RECIPE, seed=1), torch.tensor([0, 4, 2])
        images = gan.generator(torch.randn(3, 6), labels)
        assert images.shape == (3, *shape)
        assert images.abs().max() <= 1
        assert gan.discriminator(images, labels).shape == (3,)

    @pytest.mark.parametrize(("side", "remedy"), [(30, 32), (26, 24), (4, 8), (7, 8)])
    def test_a_side_that_it_cannot_make_names_one_that_it_can(self, side: int, remedy: int) -> None:
        with pytest.raises(InputError, match=rf"^data\.image_size: .* not {side}x{side}; set it to {remedy}$"):
            Generator((1, side, side), 10, NETWORKS)
        Generator((1, remedy, remedy), 10, NETWORKS)

    def test_the_label_decides_the_image_and_the_score(self) -> None:
        gan, labels, noise = new_gan((1, 8, 8), 3, RECIPE, seed=1), torch.arange(3), torch.randn(1, 6).expand(3, 6)
        images = gan.generator(noise, labels)
        assert len({image.detach().numpy().tobytes() for image in images}) == 3
        assert len(set(gan.discriminator(images[:1].expand(3, 1, 8, 8), labels).tolist())) == 3

    def test_no_image_of_a_batch_changes_anothers_score(self) -> None:
        discriminator = Discriminator((1, 28, 28), 3, NETWORKS)
        images, labels = torch.randn(6, 1, 28, 28), torch.tensor([0, 1, 2, 0, 1, 2])
        scores = discriminator(images, labels)
        alone = torch.cat([discriminator(images[i : i + 1], labels[i : i + 1]) for i in range(6)])
        torch.testing.assert_close(alone, scores, rtol=1e-4, atol=1e-5)

    def test_initial_weights_depend_on_the_seed_alone(self) -> None:
        state = torch.random.get_rng_state()
        first, again, other = (new_gan((1, 8, 8), 3, RECIPE, seed) for seed in (2**63 - 1, 2**63 - 1, 4))
        assert torch.equal(torch.random.get_rng_state(), state), "the global random numbers were disturbed"
        assert weights_of(first) == weights_of(again) != weights_of(other)
        for weight, average in zip(first.generator.parameters(), first.average.parameters(), strict=True):
            assert torch.equal(weight, average)
            assert weight.requires_grad
            assert not average.requires_grad
            assert weight is not average


class TestRecipe:
    def test_every_recipe_of_conf_can_be_read(self, root: Path) -> None:
        names = [path.stem for path in (root / "conf" / "gan").glob("*.yaml")]
        assert {"relativistic", "relativistic_plain_reals"} <= set(names)
        for name in names:
            assert isinstance(load_recipe(name, root / "conf" / "gan"), Recipe)

    def test_the_ablation_differs_in_the_reals_alone(self, root: Path) -> None:
        default, ablation = (
            load_recipe(name, root / "conf" / "gan") for name in ("relativistic", "relativistic_plain_reals")
        )
        assert default.distort_reals is not None
        assert dataclasses.replace(default, distort_reals=None) == ablation

    def test_an_unknown_one_lists_the_known(self, tmp_path: Path) -> None:
        (tmp_path / "b.yaml").touch()
        (tmp_path / "a.yaml").touch()
        with pytest.raises(InputError, match=r"^gan\.recipe: unknown recipe 'c'; known recipes: a, b$"):
            load_recipe("c", tmp_path)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("batch_size: 1", "batch_size: must be at least 2"),
            ("generator_rate: -0.1", "generator_rate: must be positive"),
            ("discriminator_rate: 0", "discriminator_rate: must be positive"),
            ("loss: likelihood", "loss: unknown loss 'likelihood'; known losses: relativistic, cross_entropy, hinge, "),
            ("loss: hinge", "turns: together goes with loss relativistic; set it to alternate"),
            ("turns: never", "turns: must be one of together, alternate, got 'never'"),
            ("discriminator_steps: 2", "turns: together makes one step of each player; set it to alternate"),
            ("discriminator_steps: 0", "discriminator_steps: must be positive"),
            ("generator_steps: 0", "generator_steps: must be positive"),
            ("schedule: cosine", "schedule: must be one of constant, rise_and_fall, got 'cosine'"),
            ("penalty_kind: l1", "penalty_kind: must be one of zero_centred, interpolates, got 'l1'"),
            ("beta1: 1", "beta1: must lie in [0, 1)"),
            ("beta2: -0.1", "beta2: must lie in [0, 1)"),
            ("penalty: -1", "penalty: must not be negative"),
            ("penalty_every: 0", "penalty_every: must be positive"),
            ("average: 1", "average: must lie in [0, 1)"),
            ("distort_reals: {rotate: -1}", "distort_reals.rotate: must not be negative"),
            ("networks: 4", "networks: expected a section of keys, got 4"),
            (
                "networks: {name: folding}",
                "networks.name: unknown networks 'folding'; known networks: folded, dense, dense_conv, dcgan, dcgan64",
            ),
            ("networks: {name: folded, latent: 4}", "networks.generator_width: missing"),
            ("networks: {name: [folded]}", "networks.name: unknown networks ['folded']; known networks: "),
            ("networks: {latent: 4}", "networks.name: unknown networks None; known networks: "),
            (
                "networks: {name: folded, latent: 0, generator_width: 4, discriminator_width: 4}",
                "networks.latent: must be positive",
            ),
            (
                "networks: {name: folded, latent: 4, generator_width: 0, discriminator_width: 4}",
                "networks.generator_width: must be positive",
            ),
            (
                "networks: {name: folded, latent: 4, generator_width: 4, discriminator_width: 0}",
                "networks.discriminator_width: must be positive",
            ),
            (
                "networks: {name: dcgan64, latent: 4, width: 4, momentum: 0.9}",
                "penalty: must be 0 for networks dcgan64, whose batch norm mixes the images of a batch",
            ),
            (
                "networks: {name: dense, latent: 4, generator_widths: [], discriminator_widths: [3], dropout: 0.1, "
                "momentum: 0.9}",
                "networks.generator_widths: must name at least one",
            ),
            (
                "networks: {name: dense, latent: 4, generator_widths: [3], discriminator_widths: [3], dropout: 1, "
                "momentum: 0.9}",
                "networks.dropout: must lie in [0, 1)",
            ),
            ("penalties: 1", "penalties: unknown key; did you mean penalty?"),
            ("average: high", "average: must be a number, got 'high'"),
            ("average: [1", "not valid YAML"),
        ],
    )
    def test_a_wrong_key_is_named_with_the_file(self, line: str, message: str, root: Path, tmp_path: Path) -> None:
        kept = (root / "conf" / "gan" / "relativistic_plain_reals.yaml").read_text()
        lines, skipping = [], False
        for old in kept.splitlines():  # without the key, and what is indented under it
            skipping = old.startswith(line.split(":")[0] + ":") or (skipping and old.startswith(" "))
            lines += [] if skipping else [old]
        (tmp_path / "mine.yaml").write_text("\n".join([*lines, line, ""]))
        with pytest.raises(InputError) as error:
            load_recipe("mine", tmp_path)
        assert str(tmp_path / "mine.yaml") in str(error.value)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


class TestLength:
    @pytest.mark.parametrize(("images", "batch", "steps"), [(500, 32, 16), (500, 500, 1), (64, 32, 2), (3, 32, 1)])
    def test_an_epoch_is_as_many_batches_as_hold_the_images(self, images: int, batch: int, steps: int) -> None:
        assert GanConfig("any", steps=None, epochs=3).length(images, batch) == 3 * steps
        assert GanConfig("any", steps=7, epochs=None).length(images, batch) == 7

    def test_records_of_epochs_fall_on_whole_epochs(self) -> None:
        assert GanConfig("any", None, 40).every(500, 32, records=40) == 16
        assert GanConfig("any", None, 60).every(500, 32, records=40) == 32
        assert GanConfig("any", 60, None).every(500, 32, records=40) is None


class TestTraining:
    def test_the_learning_rate_rises_stays_and_falls_to_a_tenth(self) -> None:
        factors = [learning_rate_factor(step, 2000) for step in range(2001)]
        assert factors[0] == pytest.approx(0.01)
        assert factors[49] == pytest.approx(0.5)
        assert factors[99] == factors[600] == 1
        assert factors[1300] == pytest.approx(0.55)
        assert factors[2000] == pytest.approx(0.1)
        assert (np.diff(factors[:100]) > 0).all()
        assert (np.diff(factors[600:]) < 0).all()

    @pytest.mark.parametrize("every", [1, 4])
    def test_one_step_has_the_gradients_of_separate_passes(
        self, every: int, toy: LabelledImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each player's loss from a pass of its own, R1 on the reals and R2 on the fakes, each gamma / 2."""
        monkeypatch.setattr(stepping, "Adam", RecordingAdam)
        recipe, seed, classes = changed(distort_reals=None, penalty_every=every), 9, 3
        gan = new_gan(toy.shape, classes, recipe, seed)
        copy = new_gan(toy.shape, classes, recipe, seed)
        generator, discriminator = copy.generator, copy.discriminator
        next(train(gan, toy, recipe, 50, seed, every=1))

        pixels, labels = to_tensors(toy, CPU)
        batch = labels_to_batches(toy.labels, 50, recipe.batch_size, derive(seed, "batches"))[0]
        reals, labels = pixels[batch], labels[batch]
        assert labels.tolist() != labels.flip(0).tolist(), "no test of which fake has which label"
        draws = torch.Generator().manual_seed(derive(seed, "noise"))
        fakes = generator(torch.randn(recipe.batch_size, 6, generator=draws), labels)

        loss = relativistic_generator_loss(discriminator(reals, labels).detach(), discriminator(fakes, labels))
        compare(gan.generator, torch.autograd.grad(loss, list(generator.parameters()), retain_graph=True))

        fakes = fakes.detach()
        loss = relativistic_discriminator_loss(discriminator(reals, labels), discriminator(fakes, labels))
        for images in (reals, fakes):
            images = images.clone().requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
            loss = loss + every * recipe.penalty / 2 * slope.pow(2).flatten(1).sum(1).mean()
        expected = torch.autograd.grad(loss, list(discriminator.parameters()), allow_unused=True)
        compare(gan.discriminator, expected)

    def test_the_first_step_is_adams_at_the_first_learning_rate(self, toy: LabelledImages) -> None:
        before, gan = (new_gan(toy.shape, 3, RECIPE, 1) for _ in range(2))
        next(train(gan, toy, RECIPE, 500, 1, every=1))
        for player in ("generator", "discriminator"):
            pairs = zip(getattr(before, player).parameters(), getattr(gan, player).parameters(), strict=True)
            moved = max((new - old).abs().max().item() for old, new in pairs)
            assert moved == pytest.approx(0.01 * 0.01, rel=1e-2), player

    def test_the_average_follows_the_generator(self, toy: LabelledImages) -> None:
        start = list(new_gan(toy.shape, 3, RECIPE, 1).average.parameters())
        gan, _ = trained(toy, RECIPE, 1)  # at the first step the average keeps 1 / (1 + 9)
        for old, new, average in zip(start, gan.generator.parameters(), gan.average.parameters(), strict=True):
            torch.testing.assert_close(average, 0.1 * old + 0.9 * new.detach(), rtol=1e-5, atol=1e-8)
        gan, _ = trained(toy, changed(average=0.0), 5)
        for new, average in zip(gan.generator.parameters(), gan.average.parameters(), strict=True):
            torch.testing.assert_close(average, new.detach())

    @pytest.mark.parametrize(("every", "expected"), [(1, 9), (4, 3), (20, 1)])
    def test_penalties_come_every_so_many_steps(
        self, every: int, expected: int, toy: LabelledImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = []

        def counted(*arguments: Any) -> Tensor:
            calls.append(len(arguments[1]))
            return gradient_penalty(*arguments)

        monkeypatch.setattr(stepping, "gradient_penalty", counted)
        trained(toy, changed(penalty_every=every), 9)
        assert calls == [12] * expected  # six reals and six fakes

    def test_records_say_everything_every_so_many_steps_and_at_the_end(self, toy: LabelledImages) -> None:
        _, history = trained(toy, RECIPE, 25, every=10)
        assert [record["step"] for record in history] == [10, 20, 25]
        names = {"step", *MEASURED, "spread", "discriminator_accuracy", "epoch"}
        assert all(record.keys() == names for record in history)
        assert all(math.isfinite(value) for record in history for value in record.values())
        assert all(record["penalty"] > 0 and record["spread"] > 0 for record in history)
        _, each = trained(toy, RECIPE, 25, every=1)
        assert [record["epoch"] for record in history] == [2, 4, 5]  # of 30 images, in batches of 6
        for name in (*MEASURED, "discriminator_accuracy"):
            expected = np.mean([record[name] for record in each[:10]])
            assert history[0][name] == pytest.approx(expected, rel=1e-4, abs=1e-6), name
        assert len({record["discriminator_accuracy"] for record in each}) > 1
        assert all(0 <= record["discriminator_accuracy"] <= 1 for record in each)
        assert trained(toy, changed(penalty=0.0), 2)[1][-1]["penalty"] == 0

    def test_thirty_steps_give_the_same_bytes_twice(self, toy: LabelledImages) -> None:
        (first, history), (again, same_history) = trained(toy, RECIPE, 30), trained(toy, RECIPE, 30)
        assert weights_of(first) == weights_of(again)
        assert history == same_history
        assert weights_of(trained(toy, RECIPE, 30, every=7)[0]) == weights_of(first), "looking changed the training"
        assert weights_of(trained(toy, RECIPE, 30, seed=2)[0]) != weights_of(first)

    def test_distorting_the_reals_changes_the_training(self, toy: LabelledImages) -> None:
        assert weights_of(trained(toy, RECIPE, 3)[0]) != weights_of(trained(toy, changed(distort_reals=None), 3)[0])

    def test_a_diverged_training_stops_and_is_noticed(self, toy: LabelledImages) -> None:
        _, history = trained(toy, changed(generator_rate=math.inf, discriminator_rate=math.inf), 200)
        assert history[-1]["step"] < 200
        assert not all(math.isfinite(value) for value in history[-1].values())
        health = history_to_health(3, history, monitored(toy), toy)
        assert (health.finite, health.healthy) == (False, False)
        assert health.warning().startswith("replicate 3: the GAN diverged")


def compare(network: torch.nn.Module, expected: tuple[Tensor | None, ...]) -> None:
    """The gradients of the step just taken are `expected`, and there are some."""
    gradients = [weight.grad for weight in network.parameters()]
    assert sum(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients) > 5
    for gradient, wanted in zip(gradients, expected, strict=True):
        assert gradient is not None
        torch.testing.assert_close(
            gradient, torch.zeros_like(gradient) if wanted is None else wanted, rtol=1e-3, atol=1e-5
        )


def monitored(images: LabelledImages) -> np.ndarray:
    """Real images as if a monitor had drawn them: (classes, n, C, H, W)."""
    return np.stack([images.pixels[images.labels == label] for label in range(len(images.classes))])


class TestHealth:
    fine = ({"step": 10, "generator_loss": 0.7, "spread": 0.4},)

    def test_varied_images_are_healthy(self, toy: LabelledImages) -> None:
        health = history_to_health(0, self.fine, monitored(toy), toy)
        assert (health.finite, health.collapsed, health.healthy, health.warning()) == (True, (), True, "")
        assert health.spread == pytest.approx(health.spread_real)

    def test_a_class_whose_images_are_alike_is_named(self, toy: LabelledImages) -> None:
        images = monitored(toy)
        images[1] = images[1, :1]
        health = history_to_health(2, self.fine, images, toy)
        assert (health.finite, health.collapsed, health.healthy) == (True, ("b",), False)
        assert health.warning() == "replicate 2: the GAN collapsed in class b"

    def test_faint_noise_on_one_image_is_collapsed_too(self, toy: LabelledImages) -> None:
        images = np.clip(monitored(toy)[:, :1] + np.random.default_rng(0).integers(0, 4, (3, 10, 1, 8, 8)), 0, 255)
        assert history_to_health(2, self.fine, images.astype(np.uint8), toy).collapsed == ("a", "b", "c")

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_one_value_that_is_not_finite_is_enough(self, value: float, toy: LabelledImages) -> None:
        history = [*self.fine, {"step": 20, "generator_loss": value, "spread": 0.4}, *self.fine]
        health = history_to_health(0, history, monitored(toy), toy)
        assert (health.finite, health.healthy) == (False, False)


class TestSampling:
    def test_noise_depends_on_its_own_seed_alone(self) -> None:
        noise = seeds_to_noise([5, 6, 2**63 - 1], 64)
        assert torch.equal(noise[1:2], seeds_to_noise([6], 64))
        assert torch.equal(noise.flip(0), seeds_to_noise([2**63 - 1, 6, 5], 64))
        assert len({row.numpy().tobytes() for row in noise}) == 3

    def test_noise_is_standard_normal(self) -> None:
        noise = seeds_to_noise(list(range(500)), 40)
        assert abs(noise.mean().item()) < 4 / math.sqrt(20000)
        assert noise.std().item() == pytest.approx(1, abs=0.03)

    def test_digits_are_balanced_and_each_different(self) -> None:
        images = class_balanced(new_gan((1, 8, 8), 3, RECIPE, seed=1).average, ("a", "b", "c"), 20, seed=1)
        assert images.labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20
        assert images.classes == ("a", "b", "c")
        assert len({image.tobytes() for image in images.pixels}) == 60

    def test_a_digit_is_the_same_however_many_are_asked_for(self) -> None:
        generator = new_gan((1, 8, 8), 3, RECIPE, seed=1).average
        few, many = (class_balanced(generator, ("a", "b", "c"), count, seed=9).pixels for count in (2, CHUNK + 1))
        few, many = few.reshape(3, 2, 1, 8, 8).astype(int), many.reshape(3, CHUNK + 1, 1, 8, 8).astype(int)
        # A processor may sum in another order for another number of images: one grey level at the most.
        assert np.abs(few - many[:, :2]).max() <= 1
        assert np.abs(few[:, 0] - few[:, 1]).max() > 10
        other = class_balanced(generator, ("a", "b", "c"), 2, seed=10).pixels.reshape(3, 2, 1, 8, 8).astype(int)
        assert np.abs(few - other).max() > 10

    def test_an_image_has_its_label_and_seed(self) -> None:
        generator = new_gan((3, 8, 8), 3, RECIPE, seed=1).average
        images = generate(generator, np.array([2, 0]), [11, 12])
        assert images.shape == (2, 3, 8, 8)
        swapped = generate(generator, np.array([0, 2]), [12, 11])
        assert np.abs(images.astype(int) - swapped[::-1].astype(int)).max() <= 1


class TestReplicate:
    @pytest.mark.parametrize("steps", [1, 2, 7, 39, 41, 100, 160, 4399, 4400])
    def test_grids_fall_on_records_and_end_with_the_last(self, steps: int) -> None:
        every, kept = record_every(steps), grid_steps(steps)
        recorded = {step for step in range(1, steps + 1) if step % every == 0 or step == steps}
        assert set(kept) <= recorded
        assert kept[-1] == steps
        assert kept == sorted(set(kept))
        assert len(kept) == 5 or steps < 40

    @pytest.mark.parametrize(("steps", "every"), [(1, None), (7, None), (41, None), (4400, None), (90, 9), (91, 9)])
    def test_frames_fall_on_records_from_the_first_to_the_last(self, steps: int, every: int | None) -> None:
        kept, stride = frame_steps(steps, every), every or record_every(steps)
        recorded = [step for step in range(1, steps + 1) if step % stride == 0 or step == steps]
        assert set(kept) <= set(recorded)
        assert (kept[0], kept[-1]) == (recorded[0], steps)
        assert kept == sorted(set(kept))
        assert len(kept) == min(FRAMES, len(recorded))

    def test_records_fall_where_they_are_asked_for(self, toy: LabelledImages) -> None:
        result = train_replicate(toy, RECIPE, 20, 3, CPU, lambda _: None, every=5)
        assert [record["step"] for record in result["history"]] == [5, 10, 15, 20]
        assert list(result["grids"]) == grid_steps(20, 5) == [5, 10, 20]
        assert len(result["frames"]) == 4

    def test_one_replicate_gives_weights_history_and_grids(self, toy: LabelledImages) -> None:
        records: list[dict[str, float]] = []
        result, again = (
            train_replicate(toy, RECIPE, 90, 3, CPU, report) for report in (records.append, lambda _: None)
        )
        assert result["history"] == records == again["history"]
        assert [record["step"] for record in records] == list(range(2, 91, 2))
        assert list(result["grids"]) == grid_steps(90)
        assert result["monitored"].shape == (3, MONITORED, 1, 8, 8)
        assert np.array_equal(result["grids"][90], result["monitored"][:, :GRID_COLUMNS])
        assert result["frames"].shape == (FRAMES, 3, GRID_COLUMNS, 1, 8, 8)
        assert np.array_equal(result["frames"][-1], result["grids"][90])
        assert not np.array_equal(result["frames"][0], result["frames"][-1])
        assert not np.array_equal(result["grids"][90], result["grids"][grid_steps(90)[0]])
        for name, weights in result["weights"].items():
            assert weights.tobytes() == again["weights"][name].tobytes()

    def test_its_weights_are_those_of_the_averaged_generator(self, toy: LabelledImages) -> None:
        result = train_replicate(toy, RECIPE, 12, 3, CPU, lambda _: None)
        generator = Generator(toy.shape, 3, NETWORKS)
        arrays_to_network(generator, result["weights"])
        monitor = training.Monitor(generator, 3, derive(3, "monitor"))
        drawn = monitor.images().reshape(result["monitored"].shape).astype(int)
        assert np.abs(drawn - result["monitored"].astype(int)).max() <= 1


def test_training_the_default_gan_brings_no_algebra_along(root: Path) -> None:
    """Nor torch's compiler: every process would wait for their import before its first step."""
    code = """
import sys
import numpy as np, torch
from pipeline.gan.recipe import load_recipe
from pipeline.gan.replicate import train_replicate
from pipeline.images import LabelledImages
pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28), np.uint8)
real = LabelledImages(pixels, np.arange(8) % 2, ("a", "b"))
train_replicate(real, load_recipe("relativistic"), 2, 5, torch.device("cpu"), lambda record: None)
print([name for name in ("sympy", "torch._dynamo") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
