"""Training loops that do the same work: ours, and the one that everybody writes.

The common loop is that of the libraries' own tutorials: a dataset as torchvision.datasets.MNIST is one, with a PIL
image and its transforms an item; a DataLoader with workers; an eager step with torch.optim; `.item()` each step; for a
GAN the discriminator's pass, then the generator's on fresh noise. Networks, initial weights, batch size, steps,
learning rates, losses and penalties are ours. Two things are not: the common loop draws its images with replacement,
and its RandomAffine has no elastic part, which spares it work that our classifier's loop does.

On a GPU, where it is not measured yet: all of them in a study's precision; ours as CUDA graphs, the common loop
with pinned batches that are copied beside the step.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from pipeline.classifier import training as classifier_training
from pipeline.classifier.network import FEATURES, Classifier
from pipeline.classifier.settings import ClassifierConfig
from pipeline.classifier.training import Material, new_classifier
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.distortion import Distortion
from pipeline.gan import training as gan_training
from pipeline.gan.recipe import Recipe
from pipeline.gan.training import Gan, new_gan
from pipeline.images import LabelledImages
from pipeline.seeds import derive

Device = Literal["cpu", "cuda"]
Pause = Callable[[nn.Module], None]  # called every so many steps, with the network that is made


@dataclass(frozen=True)
class ClassifierTask:
    """A classifier of `real` under `distortion`. every: steps between two pauses. workers: of the DataLoader."""

    real: LabelledImages
    distortion: Distortion
    config: ClassifierConfig
    seed: int
    every: int
    workers: int = 2
    device: Device = "cpu"

    @property
    def steps(self) -> int:
        return self.config.steps

    @property
    def batch_size(self) -> int:
        return self.config.batch_size

    @property
    def material(self) -> Material:
        return Material(self.real, None, self.distortion, 0.5)

    def network(self) -> Classifier:
        """With the weights that each loop starts from."""
        return new_classifier(self.material, self.config, derive(self.seed, "weights"), place(self))


@dataclass(frozen=True)
class GanTask:
    """A GAN of `real`; the rest as in ClassifierTask."""

    real: LabelledImages
    recipe: Recipe
    steps: int
    seed: int
    every: int
    workers: int = 2
    device: Device = "cpu"

    def __post_init__(self) -> None:
        known = self.recipe.loss == "relativistic" and self.recipe.penalty_kind == "zero_centred"
        if not known:
            raise ValueError("the common loop knows the relativistic loss with zero-centred penalties alone")

    @property
    def batch_size(self) -> int:
        return self.recipe.batch_size

    @property
    def distortion(self) -> Distortion | None:
        return self.recipe.distort_reals

    def networks(self) -> Gan:
        """With the weights that each loop starts from."""
        return new_gan(self.real.shape, len(self.real.classes), self.recipe, derive(self.seed, "weights"), place(self))


def place(task: ClassifierTask | GanTask) -> torch.device:
    """Where a task trains, this process set to the precision that a study has there."""
    return resolve_device(ComputeConfig(device=task.device))


# The loops. Each trains from the task's own weights, calls `pause` every so many steps and at the end, and returns what
# it made: a classifier, or the averaged generator.
def our_classifier(task: ClassifierTask, pause: Pause) -> nn.Module:
    network = task.network()
    for _ in classifier_training.train(network, task.material, task.config, task.seed, task.every, capture=True):
        pause(network)
    return network


def our_gan(task: GanTask, pause: Pause) -> nn.Module:
    gan = task.networks()
    for _ in gan_training.train(gan, task.real, task.recipe, task.steps, task.seed, task.every, capture=True):
        pause(gan.average)
    return gan.average


class Digits(Dataset):  # type: ignore[type-arg]
    """As torchvision.datasets.MNIST: each item a PIL image, transformed, and its label."""

    def __init__(self, images: LabelledImages, transform: Callable[[Any], Tensor]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images.pixels[index, 0], mode="L")
        return self.transform(image), int(self.images.labels[index])


def loader(task: ClassifierTask | GanTask) -> DataLoader:  # type: ignore[type-arg]
    """One epoch that holds all the steps, so that the workers start once."""
    from torchvision import transforms

    steps = [transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    if task.distortion is not None:
        steps.insert(0, transforms.RandomAffine(**distortion_to_affine(task.distortion)))
    dataset = Digits(task.real, transforms.Compose(steps))
    draws = torch.Generator().manual_seed(task.seed)
    sampler = RandomSampler(dataset, replacement=True, num_samples=task.steps * task.batch_size, generator=draws)
    start = "fork" if task.workers else None  # Linux's default up to Python 3.13; the others import torch once a worker
    return DataLoader(
        dataset,
        task.batch_size,
        sampler=sampler,
        num_workers=task.workers,
        multiprocessing_context=start,
        pin_memory=task.device == "cuda",
    )


def batches(task: ClassifierTask | GanTask) -> Iterator[tuple[Tensor, Tensor]]:
    """Those of the loader on the task's device, as everybody brings them there."""
    for images, labels in loader(task):
        yield images.to(task.device, non_blocking=True), labels.to(task.device, non_blocking=True)


def distortion_to_affine(distortion: Distortion) -> dict[str, Any]:
    """The same ranges as torchvision's RandomAffine takes them: angles in degrees, one scale for both axes."""
    return {
        "degrees": distortion.rotate,
        "translate": (distortion.translate, distortion.translate),
        "scale": (1 - distortion.scale, 1 + distortion.scale),
        "shear": math.degrees(math.atan(distortion.shear)),
    }


def classifier_loss(network: Classifier, images: Tensor, labels: Tensor, config: ClassifierConfig) -> Tensor:
    mask = F.dropout(torch.ones(len(images), FEATURES, device=images.device), config.dropout)
    return F.cross_entropy(network(images, mask), labels, label_smoothing=config.label_smoothing)


def classifier_optimiser(network: nn.Module, config: ClassifierConfig) -> tuple[Any, Any]:
    """AdamW, and what changes its learning rate after each step, as in our loop."""
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    factor = classifier_training.learning_rate_factor
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: factor(step, config.steps))


def common_classifier(task: ClassifierTask, pause: Pause) -> nn.Module:
    torch.manual_seed(task.seed)
    network = task.network()
    optimiser, schedule = classifier_optimiser(network, task.config)
    network.train()
    total = 0.0
    for step, (images, labels) in enumerate(batches(task), 1):
        loss = classifier_loss(network, images, labels, task.config)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % task.every == 0 or step == task.steps:
            pause(network)
    return network


def penalty(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """R1 on reals, R2 on fakes: mean |dD(x)/dx|^2, in a pass of its own."""
    images = images.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(discriminator(images, labels).sum(), images, create_graph=True)
    return slopes.square().sum((1, 2, 3)).mean()


def discriminator_loss(gan: Gan, reals: Tensor, labels: Tensor, recipe: Recipe, penalised: bool) -> Tensor:
    with torch.no_grad():
        fakes = gan.generator(torch.randn(len(labels), gan.generator.latent, device=labels.device), labels)
    loss = F.softplus(gan.discriminator(fakes, labels) - gan.discriminator(reals, labels)).mean()
    if penalised:
        both = penalty(gan.discriminator, reals, labels) + penalty(gan.discriminator, fakes, labels)
        loss = loss + recipe.penalty / 2 * recipe.penalty_every * both
    return loss


def generator_loss(gan: Gan, reals: Tensor, labels: Tensor) -> Tensor:
    fakes = gan.generator(torch.randn(len(labels), gan.generator.latent, device=labels.device), labels)
    with torch.no_grad():
        against = gan.discriminator(reals, labels)
    return F.softplus(against - gan.discriminator(fakes, labels)).mean()


def gan_optimisers(gan: Gan, recipe: Recipe, steps: int) -> tuple[list[Any], list[Any]]:
    """Adam for the discriminator and for the generator, and what changes their learning rates, as in our loop."""
    players = [(gan.discriminator, recipe.discriminator_rate), (gan.generator, recipe.generator_rate)]
    betas = (recipe.beta1, recipe.beta2)
    optimisers = [torch.optim.Adam(player.parameters(), rate, betas=betas) for player, rate in players]
    factor = gan_training.learning_rate_factor
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, lambda step: factor(step, steps)) for each in optimisers]
    return optimisers, schedules


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """The running average of the weights, parameter by parameter."""
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def averaged(gan: Gan) -> Gan:
    """`gan` with an average made as everybody makes it."""
    return dataclasses.replace(gan, average=copy.deepcopy(gan.generator).requires_grad_(False).eval())


def average_decay(recipe: Recipe, step: int) -> float:
    return min(recipe.average, step / (step + 9))


def common_gan(task: GanTask, pause: Pause) -> nn.Module:
    torch.manual_seed(task.seed)
    gan, recipe = averaged(task.networks()), task.recipe
    (of_discriminator, of_generator), schedules = gan_optimisers(gan, recipe, task.steps)
    totals = [0.0, 0.0]
    for step, (reals, labels) in enumerate(batches(task), 1):
        gan.discriminator.requires_grad_(True)
        loss = discriminator_loss(gan, reals, labels, recipe, (step - 1) % recipe.penalty_every == 0)
        of_discriminator.zero_grad()
        loss.backward()
        of_discriminator.step()
        totals[0] += loss.item()

        gan.discriminator.requires_grad_(False)
        loss = generator_loss(gan, reals, labels)
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
        totals[1] += loss.item()

        for schedule in schedules:
            schedule.step()
        follow(gan.average, gan.generator, average_decay(recipe, step))
        if step % task.every == 0 or step == task.steps:
            pause(gan.average)
    return gan.average


def lightning_classifier(task: ClassifierTask, pause: Pause) -> nn.Module:
    from benchmarks import lightning_loop  # in the process that trains, whose memory and start it belongs to

    return lightning_loop.fit(task, lightning_loop.ClassifierModule(task), pause)


def lightning_gan(task: GanTask, pause: Pause) -> nn.Module:
    from benchmarks import lightning_loop

    return lightning_loop.fit(task, lightning_loop.GanModule(task), pause)
