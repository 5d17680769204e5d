"""Check every param before anything runs: names, types, values, and what they say of each other.

`python -m pipeline.stages.check` is also the first stage of dvc.yaml. Its output never changes, so that a changed param
reruns this check and the stages that declare the param, and no others.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.bfloat16 import is_native
from pipeline.classifier.arms import ARMS, GAN_ARMS, ArmsConfig, VariantsConfig, with_variants
from pipeline.classifier.settings import ClassifierConfig
from pipeline.compute import ComputeConfig, resolve_device
from pipeline.config import from_mapping, require
from pipeline.contrasts import arms_to_reals
from pipeline.controls import ControlsConfig
from pipeline.errors import InputError
from pipeline.gan.networks.registry import count_parameters
from pipeline.gan.recipe import GanConfig, load_recipe
from pipeline.quality.settings import AssessConfig
from pipeline.sources import DataConfig
from pipeline.stages.generate import GenerateConfig
from pipeline.stages.stage import Stage, read_params, run, whole_folder
from pipeline.subsets import SplitConfig
from pipeline.verdict import CompareConfig


@dataclass(frozen=True)
class StudyConfig:
    """seed: of every random draw. budgets: real images a class. replicates: disjoint real subsets per budget."""

    seed: int
    budgets: tuple[int, ...]
    replicates: int

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed: must not be negative")
        require(len(self.budgets) > 0, "budgets: must name at least one budget")
        require(all(budget > 0 for budget in self.budgets), "budgets: each must be positive")
        require(len(set(self.budgets)) == len(self.budgets), "budgets: each must be named once")
        require(self.replicates > 0, "replicates: must be positive")


@dataclass(frozen=True)
class Params:
    """params.yaml, a section a field."""

    study: StudyConfig
    data: DataConfig
    split: SplitConfig
    oracle: ClassifierConfig
    gan: GanConfig
    generate: GenerateConfig
    assess: AssessConfig
    classifier: ClassifierConfig
    arms: ArmsConfig
    variants: VariantsConfig
    controls: ControlsConfig
    compare: CompareConfig
    compute: ComputeConfig


def to_params(values: Mapping[str, Any]) -> Params:
    """Check a whole params file. Raises InputError naming the key that is wrong."""
    hints = typing.get_type_hints(Params)
    known = [field.name for field in dataclasses.fields(Params)]
    for section in values:
        if section not in known:
            raise InputError(f"{section}: unknown section; known sections: {', '.join(known)}")
    for section in known:
        if section not in values:
            raise InputError(f"{section}: missing section; restore it with `git checkout params.yaml`")
    params = Params(**{section: from_mapping(hints[section], values[section], section) for section in known})
    variants = (*params.variants.baseline, *params.variants.generated)
    primary, names = params.compare.primary, [arm.name for arm in with_variants(ARMS, variants)]
    if primary.budget not in params.study.budgets:
        listed = ", ".join(map(str, params.study.budgets))
        raise InputError(f"compare.primary.budget: {primary.budget} is not among study.budgets ({listed})")
    for role in ("arm", "reference"):
        if getattr(primary, role) not in names:
            raise InputError(
                f"compare.primary.{role}: unknown arm {getattr(primary, role)!r}; known arms: {', '.join(names)}"
            )
    for own in params.arms.own_settings:
        if own.arm not in names:
            raise InputError(f"arms.own_settings: unknown arm {own.arm!r}; known arms: {', '.join(names)}")
        try:
            own.over(params.classifier)
        except ValueError as error:
            raise InputError(f"arms.own_settings, {own.arm}: {error}") from None
    for arm in with_variants(ARMS, variants):
        if arm.real and arm.synthetic:
            share = arm.share or params.arms.synthetic_share.of(arm.synthetic)
            key = f"arms.synthetic_share.{arm.synthetic}" if arm.share is None else f"variants: share of {arm.name}"
            for budget in params.study.budgets:
                batch = params.arms.settings(arm.name, params.classifier, budget).batch_size
                if not 0 < round(batch * share) < batch:
                    shared = batch == params.classifier.batch_size
                    whose = "" if shared else f", which {arm.name} has at {budget} a class,"
                    raise InputError(
                        f"{key}: {share} of a batch of {batch}{whose} leaves no synthetic or no real image"
                    )
    for variant in variants:
        try:
            params.arms.distortion(variant.arm())
        except ValueError as error:
            raise InputError(f"variants: distortion of {variant.name}: {error}") from None
        if variant.pseudo and not params.split.unlabelled_per_class:
            raise InputError(f"variants: {variant.name} takes unlabelled images; set split.unlabelled_per_class")
        if variant.fill and not params.split.rare_classes:
            raise InputError(f"variants: {variant.name} fills up rare classes; name some in split.rare_classes")
        if variant.of in {arm.name for arm in GAN_ARMS} and (variant.per_class or 0) > params.generate.per_class:
            raise InputError(
                f"variants: {variant.name} takes {variant.per_class} digits a class, but generate.per_class is "
                f"{params.generate.per_class}; raise it"
            )
    recipe, side = load_recipe(params.gan.recipe), params.data.image_size
    count_parameters((1, side, side), 1, recipe.networks)  # refuses a size that the generator cannot make
    return params


def notes(params: Params) -> list[str]:
    """A line for each own setting or distance of distortion that may not do what is hoped for."""
    variants = with_variants([], (*params.variants.baseline, *params.variants.generated))
    arms = {arm.name: arm for arm in (*ARMS, *variants)}
    budget = params.study.budgets[0]  # any: the distances are the same at all
    reals = arms_to_reals({name: params.arms.record(arm, params.classifier, budget) for name, arm in arms.items()})
    unused = {own.budget for own in params.arms.own_settings if own.budget not in (None, *params.study.budgets)}
    listed = ", ".join(map(str, sorted(filter(None, unused))))
    found = (
        [f"arms.own_settings: what is set at {listed} a class is not used; study.budgets lacks it"] if unused else []
    )
    for arm in variants:
        if arm.distortion is not None and params.arms.distortion(arm) == params.arms.classical:
            found.append(f"variants: {arm.name} is distorted as all arms are; leave its distortion out")
        elif arm.name not in reals:
            found.append(
                f"variants: {arm.name} is held against {arm.of} alone, as no arm of real images is distorted as far; "
                "add a variant of real+classical with its distortion"
            )
    return found


def check(stage: Stage) -> None:
    params = to_params(read_params(stage.params_file))
    for note in notes(params):
        print(note)
    compute = params.compute
    if compute.precision == "tf32" and resolve_device(compute).type == "cpu":
        print("compute.precision: tf32 is a GPU's; this CPU computes in float32. Set it to auto")
    if compute.precision == "bf16" and compute.backend == "local" and not is_native(resolve_device(compute)):
        print("compute.precision: this machine has no instructions for bf16, and is slower with it. Set it to auto")
    with whole_folder(Path("artifacts/check")) as folder:
        (folder / "params").write_text("every param was checked\n")


if __name__ == "__main__":
    run("check", check, recorded=False)
