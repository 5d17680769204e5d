"""A GAN recipe: everything that makes one GAN, as data. conf/gan/NAME.yaml holds it; params.yaml names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import from_mapping, require
from pipeline.distortion import Distortion
from pipeline.errors import InputError
from pipeline.gan.losses import LOSSES
from pipeline.gan.networks.layers import NetworksConfig
from pipeline.gan.networks.registry import mapping_to_networks

RECIPES = Path("conf/gan")


@dataclass(frozen=True)
class Recipe:
    """How one GAN is trained.

    networks: a pair of `pipeline.gan.networks`, by its name, and its numbers. loss: one of `pipeline.gan.losses`.

    turns: `alternate`: each batch of reals is the discriminator's turn, the generator frozen; then the generator's, on
    fresh noise, the discriminator frozen. discriminator_steps: its turns to each of the generator's (a Wasserstein
    critic's 5). generator_steps: steps that the generator makes when it has its turn. `together`: both step at once,
    from one pass, which is cheaper; only for a loss and networks that allow it, and then both numbers are 1.

    generator_rate, discriminator_rate: Adam's learning rates. schedule: `constant`, or `rise_and_fall`: a short rise at
    first, and linearly to a tenth over the last 70 % of the steps. beta1, beta2: Adam's.

    penalty: weight of the discriminator's gradient penalty, 0 for none. penalty_kind: `zero_centred`: R1 on reals and
    R2 on fakes, each half of `penalty` (their gamma); `interpolates`: Gulrajani et al.'s, of slopes other than 1
    between reals and fakes. penalty_every: steps between two penalties, each then weighted that many times (lazy
    regularisation, Karras et al. 2020).

    average: decay a step of the generator's weight average (EMA), which is what generates; 0 for the last weights.
    distort_reals: distortion of the reals only, so that the generator learns the augmented digits; null for none.
    """

    networks: NetworksConfig
    loss: str
    turns: Literal["together", "alternate"]
    discriminator_steps: int
    generator_steps: int
    batch_size: int
    generator_rate: float
    discriminator_rate: float
    schedule: Literal["constant", "rise_and_fall"]
    beta1: float
    beta2: float
    penalty: float
    penalty_kind: Literal["zero_centred", "interpolates"]
    penalty_every: int
    average: float
    distort_reals: Distortion | None

    def __post_init__(self) -> None:
        require(self.loss in LOSSES, f"loss: unknown loss {self.loss!r}; known losses: {', '.join(LOSSES)}")
        require(self.discriminator_steps > 0, "discriminator_steps: must be positive")
        require(self.generator_steps > 0, "generator_steps: must be positive")
        require(self.batch_size > 1, "batch_size: must be at least 2")
        require(self.generator_rate > 0, "generator_rate: must be positive")
        require(self.discriminator_rate > 0, "discriminator_rate: must be positive")
        require(0 <= self.beta1 < 1, "beta1: must lie in [0, 1)")
        require(0 <= self.beta2 < 1, "beta2: must lie in [0, 1)")
        require(self.penalty >= 0, "penalty: must not be negative")
        require(self.penalty_every > 0, "penalty_every: must be positive")
        require(0 <= self.average < 1, "average: must lie in [0, 1)")
        require(
            self.penalty > 0 or self.loss != "wasserstein",
            "penalty: must be positive for the Wasserstein loss, which is unbounded without",
        )
        require(
            self.penalty == 0 or not self.networks.mixes_batch,
            f"penalty: must be 0 for networks {self.networks.name}, whose batch norm mixes the images of a batch",
        )
        if self.turns == "together":
            able = [name for name, loss in LOSSES.items() if loss.turn is not None]
            require(self.loss in able, f"turns: together goes with loss {', '.join(able)}; set it to alternate")
            require(
                not self.networks.mixes_batch,
                f"turns: networks {self.networks.name} mix the images of a batch; set it to alternate",
            )
            require(
                self.discriminator_steps == self.generator_steps == 1,
                "turns: together makes one step of each player; set it to alternate",
            )


@dataclass(frozen=True)
class GanConfig:
    """Section `gan` of params.yaml. recipe: a file of conf/gan. steps or epochs: the length, the other null.

    A step is one batch of reals; an epoch is as many steps as show the discriminator each real image about once.
    """

    recipe: str
    steps: int | None
    epochs: int | None

    def __post_init__(self) -> None:
        require(self.steps is None or self.steps > 0, "steps: must be positive, or null where epochs is set")
        require(self.epochs is None or self.epochs > 0, "epochs: must be positive, or null where steps is set")
        require(
            self.steps is not None or self.epochs is not None, "steps: must be set where epochs is null, not both null"
        )
        require(self.steps is None or self.epochs is None, "epochs: must be null where steps is set; set one to null")

    def length(self, images: int, batch_size: int) -> int:
        """Steps of a training on so many images."""
        return self.steps or (self.epochs or 0) * epoch_steps(images, batch_size)

    def every(self, images: int, batch_size: int, records: int) -> int | None:
        """Steps between two of about `records` records: whole epochs, or None where the length is given in steps."""
        return self.epochs and -(-self.epochs // records) * epoch_steps(images, batch_size)


def epoch_steps(images: int, batch_size: int) -> int:
    """Batches that hold so many images, the last one filled up."""
    return -(-images // batch_size)


def load_recipe(name: str, directory: Path = RECIPES) -> Recipe:
    """Read `directory`/NAME.yaml. Raises InputError that lists the known recipes, or names the key that is wrong."""
    known = sorted(path.stem for path in directory.glob("*.yaml"))
    if name not in known:
        raise InputError(f"gan.recipe: unknown recipe {name!r}; known recipes: {', '.join(known) or 'none'}")
    path = directory / f"{name}.yaml"
    try:
        values = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if isinstance(values, Mapping) and "networks" in values:
        values = {**values, "networks": mapping_to_networks(values["networks"], f"{path}.networks")}
    return from_mapping(Recipe, values, str(path))
