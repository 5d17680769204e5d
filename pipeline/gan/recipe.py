"""A GAN recipe: everything that makes one GAN, as data. conf/gan/NAME.yaml holds it; params.yaml names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import from_mapping, require
from pipeline.errors import InputError
from pipeline.gan.networks import NetworksConfig
from pipeline.transforms import Distortion

RECIPES = Path("conf/gan")


@dataclass(frozen=True)
class Recipe:
    """How one GAN is trained.

    learning_rate: Adam's for both players; it falls linearly to a tenth over the last 70 % of the steps. beta1, beta2:
    Adam's. penalty: gamma of the gradient penalties R1 and R2. penalty_every: steps between two penalties, each then
    weighted that many times (lazy regularisation, Karras et al. 2020). average: decay a step of the generator's weight
    average (EMA). distort_reals: distortion of the reals only, so that the generator learns the augmented digits; null
    for none.
    """

    networks: NetworksConfig
    batch_size: int
    learning_rate: float
    beta1: float
    beta2: float
    penalty: float
    penalty_every: int
    average: float
    distort_reals: Distortion | None

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "batch_size: must be positive")
        require(self.learning_rate > 0, "learning_rate: must be positive")
        require(0 <= self.beta1 < 1, "beta1: must lie in [0, 1)")
        require(0 <= self.beta2 < 1, "beta2: must lie in [0, 1)")
        require(self.penalty >= 0, "penalty: must not be negative")
        require(self.penalty_every > 0, "penalty_every: must be positive")
        require(0 <= self.average < 1, "average: must lie in [0, 1)")


@dataclass(frozen=True)
class GanConfig:
    """Section `gan` of params.yaml. recipe: a file of conf/gan. steps: of each player."""

    recipe: str
    steps: int

    def __post_init__(self) -> None:
        require(self.steps > 0, "steps: must be positive")


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
    return from_mapping(Recipe, values, str(path))
