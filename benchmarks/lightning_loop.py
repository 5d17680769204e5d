"""The same trainings in Lightning, with what a Trainer shows and keeps switched off, so that it does no further work.

Needs `pip install 'synthgain[peers]'`.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from benchmarks.loops import (
    ClassifierTask,
    GanTask,
    Pause,
    average_decay,
    averaged,
    classifier_loss,
    classifier_optimiser,
    discriminator_loss,
    follow,
    gan_optimisers,
    generator_loss,
    loader,
)


class ClassifierModule(L.LightningModule):
    def __init__(self, task: ClassifierTask) -> None:
        super().__init__()
        self.task, self.network = task, task.network()

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        loss = classifier_loss(self.network, *batch, self.task.config)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimiser, schedule = classifier_optimiser(self.network, self.task.config)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class GanModule(L.LightningModule):
    def __init__(self, task: GanTask) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.task, self.gan = task, averaged(task.networks())
        self.generator, self.discriminator = self.gan.generator, self.gan.discriminator
        self.network = self.gan.average

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        reals, labels = batch
        recipe = self.task.recipe
        of_discriminator, of_generator = self.optimizers()  # type: ignore[attr-defined]
        self.toggle_optimizer(of_discriminator)
        loss = discriminator_loss(self.gan, reals, labels, recipe, number % recipe.penalty_every == 0)
        of_discriminator.zero_grad()
        self.manual_backward(loss)
        of_discriminator.step()
        self.log("discriminator_loss", loss)
        self.untoggle_optimizer(of_discriminator)

        self.toggle_optimizer(of_generator)
        loss = generator_loss(self.gan, reals, labels)
        of_generator.zero_grad()
        self.manual_backward(loss)
        of_generator.step()
        self.log("generator_loss", loss)
        self.untoggle_optimizer(of_generator)

        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()
        follow(self.gan.average, self.gan.generator, average_decay(recipe, number + 1))

    def configure_optimizers(self) -> Any:
        return gan_optimisers(self.gan, self.task.recipe, self.task.steps)


class Pauses(L.Callback):
    def __init__(self, task: ClassifierTask | GanTask, pause: Pause) -> None:
        self.task, self.pause = task, pause

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = batch_idx + 1
        if step % self.task.every == 0 or step == self.task.steps:
            self.pause(module.network)


def fit(task: ClassifierTask | GanTask, module: Any, pause: Pause) -> nn.Module:
    torch.manual_seed(task.seed)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = L.Trainer(
            accelerator="gpu" if task.device == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Pauses(task, pause)],
        )
        trainer.fit(module, loader(task))
    network: nn.Module = module.network
    return network
