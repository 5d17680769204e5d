"""Arms: what the classifier is trained on. An arm is data; one loop trains them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.classifier.settings import ClassifierConfig, OwnSettings
from pipeline.config import from_mapping, require
from pipeline.distortion import Distortion, OwnDistortion
from pipeline.images import LabelledImages

Keep = Literal["all", "agreeing", "convincing", "novel"]


@dataclass(frozen=True)
class Options:
    """How an arm is made of its images; the defaults are what every arm of `ARMS` does.

    Of the synthetic images: share, part of a mixed batch that is synthetic (None: arms.synthetic_share). weight of one
    in the loss, a real one having 1. per_class: the first so many of each class (None: all). order: mixed batches, or
    pretrained, the first half of the steps on synthetic images alone and the rest on real ones alone.

    Of generated ones alone: keep (see classifier/selection.py). scale: of the latent noise, 1 as trained. labels: hard,
    or soft, the probabilities that the replicate's teacher gives. fill: they stand in for classes that have fewer real
    images than another alone; the other classes' places are filled with real ones.

    Of the real ones: batches, balanced by class (the rare oversampled), natural, or weighted, natural with the loss
    weighted by class. pseudo: the unlabelled images too, with the labels that the teacher reads.

    Of all: classical, whether each batch is distorted afresh (classical augmentation).

    Of what is distorted, batches or fixed copies: distortion, what the arm has in place of arms.classical's distances.
    """

    share: float | None = None
    weight: float = 1.0
    per_class: int | None = None
    order: Literal["mixed", "pretrained"] = "mixed"
    keep: Keep = "all"
    scale: float = 1.0
    labels: Literal["hard", "soft"] = "hard"
    fill: bool = False
    batches: Literal["balanced", "natural", "weighted"] = "balanced"
    pseudo: bool = False
    classical: bool = False
    distortion: OwnDistortion | None = None

    @property
    def judged(self) -> bool:
        """Whether an arm needs to know what is thought of each generated image."""
        return self.keep != "all" or self.labels == "soft"


@dataclass(frozen=True)
class Arm(Options):
    """Where an arm's images come from.

    synthetic: which synthetic set stands beside the real images, or instead of them if `real` is false. of: the arm
    that this one varies, or none.
    """

    name: str = ""
    real: bool = True
    synthetic: Literal["gan", "copies", "interpolated"] | None = None
    of: str | None = None


ARMS = (
    Arm(name="real"),
    Arm(name="real+classical", classical=True),
    Arm(name="real+copies", synthetic="copies"),
    Arm(name="real+interpolated", synthetic="interpolated"),
    Arm(name="real+gan", synthetic="gan"),
    Arm(name="real+gan+classical", synthetic="gan", classical=True),
    Arm(name="gan", real=False, synthetic="gan"),
)
BASELINE_ARMS = tuple(arm for arm in ARMS if arm.synthetic != "gan")
GAN_ARMS = tuple(arm for arm in ARMS if arm.synthetic == "gan")


@dataclass(frozen=True)
class Variant(Options):
    """An arm of the params file: arm `of` with other options, under a name of its own."""

    name: str = ""
    of: str = ""

    def __post_init__(self) -> None:
        require(self.name != "", "name: missing; a variant needs a name")
        known = {arm.name: arm for arm in ARMS}
        require(self.name not in known, f"name: {self.name} is an arm already; choose another")
        require(self.of in known, f"of: unknown arm {self.of!r} of {self.name}; known arms: {', '.join(known)}")
        arm = known[self.of]
        require(self.share is None or 0 < self.share < 1, f"share: must lie between 0 and 1, got {self.share}")
        require(self.weight > 0, f"weight: must be positive, got {self.weight}")
        require(self.per_class is None or self.per_class > 0, f"per_class: must be positive, got {self.per_class}")
        require(self.scale > 0, f"scale: must be positive, got {self.scale}")
        mixed = arm.real and arm.synthetic is not None
        changed = set(self.changes())
        for names, where, holds in (
            ({"share", "weight", "order"}, "real and synthetic images", mixed),
            ({"per_class"}, "synthetic images", arm.synthetic is not None),
            ({"keep", "scale", "labels"}, "generated images", arm.synthetic == "gan"),
            ({"fill"}, "real and generated images", mixed and arm.synthetic == "gan"),
            ({"batches"}, "real images alone", arm.real and arm.synthetic is None),
            ({"pseudo"}, "real images", arm.real),
            ({"classical"}, "undistorted batches", not arm.classical),
            ({"distortion"}, "distorted images", arm.classical or self.classical or arm.synthetic == "copies"),
        ):
            wrong = sorted(changed & names)
            require(not wrong or holds, f"{', '.join(wrong)}: goes with an arm of {where}, which {self.of} is not")
        require(not (self.judged and self.scale != 1), "keep, labels: go with scale 1, whose images alone are judged")
        require(
            not (self.order == "pretrained" and changed & {"share", "weight", "fill"}),
            "order: pretrained has no mixed batches; leave share, weight and fill out",
        )

    def changes(self) -> dict[str, object]:
        """The options that differ from an arm's."""
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(Options) if getattr(self, f.name) != f.default
        }

    def arm(self) -> Arm:
        """What it stands for."""
        (base,) = (arm for arm in ARMS if arm.name == self.of)
        return dataclasses.replace(base, name=self.name, of=self.of, **self.changes())  # type: ignore[arg-type]


def with_variants(arms: Sequence[Arm], variants: Sequence[Variant]) -> list[Arm]:
    """`arms`, then what `variants` stand for."""
    return [*arms, *(variant.arm() for variant in variants)]


@dataclass(frozen=True)
class VariantsConfig:
    """Section `variants`: arms besides the seven, of those that use no generated image, and of those that do.

    Two lists, so that another way of using generated images trains no other arm again.
    """

    baseline: tuple[Variant, ...]
    generated: tuple[Variant, ...]

    def __post_init__(self) -> None:
        names = [variant.name for variant in (*self.baseline, *self.generated)]
        for name in names:
            require(names.count(name) == 1, f"generated: two variants are called {name}; name each once")
        for part, arms in (("baseline", BASELINE_ARMS), ("generated", GAN_ARMS)):
            for variant in getattr(self, part):
                fits = variant.of in {arm.name for arm in arms}
                other = "generated" if part == "baseline" else "baseline"
                require(fits, f"{part}: {variant.name} varies {variant.of}; it belongs into variants.{other}")

    @property
    def needs_teacher(self) -> bool:
        """Whether a generated image's label is doubted, or replaced, by a classifier of the same real subset."""
        return any(variant.keep == "agreeing" or variant.labels == "soft" for variant in self.generated)

    @property
    def needs_judgement(self) -> bool:
        return any(variant.judged for variant in self.generated)

    @property
    def scales(self) -> list[float]:
        """Latent scales besides 1."""
        return sorted({variant.scale for variant in self.generated} - {1.0})


def to_variants(values: Mapping[str, Any]) -> VariantsConfig:
    """Section `variants`; a list that is left out is empty. Raises InputError naming the key that is wrong."""
    return from_mapping(VariantsConfig, {"baseline": [], "generated": [], **values}, "variants")


@dataclass(frozen=True)
class Shares:
    """A share of a batch for each kind of synthetic image."""

    gan: float
    copies: float
    interpolated: float

    def __post_init__(self) -> None:
        for kind, share in dataclasses.asdict(self).items():
            require(0 < share < 1, f"{kind}: must lie between 0 and 1, got {share}")

    def of(self, kind: Literal["gan", "copies", "interpolated"] | None) -> float:
        """Of an arm with that kind of synthetic images; with none, a number that nobody reads."""
        return 0.5 if kind is None else float(getattr(self, kind))


@dataclass(frozen=True)
class ArmsConfig:
    """synthetic_share: part of a mixed batch that is synthetic, for each kind of synthetic image. copies_per_class,
    interpolated_per_class: size of the two synthetic sets made without a GAN. pseudo_confidence: probability from which
    a teacher is sure of an unlabelled image. classical: the distortion of the classical arms and of the copies, where
    they have none of their own. own_settings: arms that have not all settings of section `classifier`, at a budget or
    at every one.
    """

    synthetic_share: Shares
    copies_per_class: int
    interpolated_per_class: int
    pseudo_confidence: float
    classical: Distortion = field(default_factory=Distortion)
    own_settings: tuple[OwnSettings, ...] = ()

    def __post_init__(self) -> None:
        require(self.copies_per_class > 0, "copies_per_class: must be positive")
        require(self.interpolated_per_class > 0, "interpolated_per_class: must be positive")
        require(0 <= self.pseudo_confidence < 1, "pseudo_confidence: must lie in [0, 1)")
        for own in self.own_settings:
            budgets = [other.budget for other in self.own_settings if other.arm == own.arm]
            twice = budgets.count(own.budget) > 1 or (None in budgets and len(budgets) > 1)
            require(not twice, f"own_settings: {own.arm} is there twice; name it once, or once for each `budget`")

    def settings(self, arm: str, shared: ClassifierConfig, budget: int) -> ClassifierConfig:
        """Those with which `arm` is trained at `budget` images a class: `shared`, or its own over them."""
        own = (own for own in self.own_settings if own.arm == arm and own.budget in (None, budget))
        return next((each.over(shared) for each in own), shared)

    def mixed_share(self, arm: Arm) -> float:
        """Part of a mixed batch of `arm` that is synthetic: its own, or that of its kind of images."""
        return arm.share or self.synthetic_share.of(arm.synthetic)

    def distortion(self, arm: Arm) -> Distortion:
        """How far the batches of `arm`, or its fixed copies, are distorted, where they are."""
        return self.classical if arm.distortion is None else arm.distortion.over(self.classical)

    def record(self, arm: Arm, shared: ClassifierConfig, budget: int) -> dict[str, Any]:
        """All that makes a training of `arm` at `budget` but its images, as arms.json has it: `asdict(arm)`;
        synthetic_share, None where batches are not mixed; settings, of its classifier; augmentation, the distances of
        its batches or its fixed copies.
        """
        distorted, mixed = arm.classical or arm.synthetic == "copies", arm.real and arm.synthetic is not None
        return dataclasses.asdict(arm) | {
            "synthetic_share": self.mixed_share(arm) if mixed else None,
            "settings": dataclasses.asdict(self.settings(arm.name, shared, budget)),
            "augmentation": dataclasses.asdict(self.distortion(arm)) if distorted else None,
        }


def rare_classes(real: LabelledImages) -> NDArray[np.intp]:
    """The classes that have fewer images than another, which `fill` fills up."""
    counts = np.bincount(real.labels, minlength=len(real.classes))
    return np.flatnonzero(counts < counts.max())
