"""What the params file asks of each network, held against what each was trained with, for `pipeline.verify`.

DVC retrains what a changed param makes stale; who changes one and does not run `dvc repro` has numbers of another study
than the file describes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.classifier.arms import ARMS, ArmsConfig, to_variants, with_variants
from pipeline.classifier.settings import ClassifierConfig
from pipeline.files import read_json, reading
from pipeline.gan.recipe import GanConfig, load_recipe
from pipeline.split import load_split
from pipeline.stages.evidence import ARTIFACTS
from pipeline.stages.stage import Stage


def otherwise_trained(stage: Stage, budget: int) -> Iterator[str]:
    """A line for each budget's GANs, and for each arm, that were trained otherwise than the params of `stage` say."""
    file, config = stage.params_file, read_json(ARTIFACTS / f"gan/{budget}/config.json")
    for key, here in gan_to_plan(stage.config("gan", GanConfig), budget).items():
        if config.get(key) != here:
            yield f"budget {budget}: its GANs had {key} {config.get(key)}, where {file} has {here}; run `dvc repro`"
    trained, asked = _arms_made(budget), arms_to_plan(stage, budget)
    for name in {**trained, **asked}:
        place = f"budget {budget}, arm {name}"
        if name not in trained:
            yield f"{place}: {file} asks for it, and it was not trained; run `dvc repro`"
        elif name not in asked:
            yield f"{place}: it was trained, and {file} does not ask for it; run `dvc repro`"
        else:
            there, here = _leaves(trained[name]), _leaves(asked[name])
            for key in [key for key in here if there.get(key) != here[key]][:1]:
                yield f"{place}: trained with {key} {there.get(key)}, where {file} has {here[key]}; run `dvc repro`"


def gan_to_plan(config: GanConfig, budget: int) -> dict[str, Any]:
    """Recipe and steps of a budget's GANs, as their config.json has them."""
    labelled = load_split(ARTIFACTS / f"splits/{budget}.npz").subsets.shape[1]
    return {"recipe": config.recipe, "steps": config.length(labelled, load_recipe(config.recipe).batch_size)}


def arms_to_plan(stage: Stage, budget: int) -> dict[str, dict[str, Any]]:
    """Of every arm that the params ask for, what arms.json should hold of it."""
    config, shared = stage.config("arms", ArmsConfig), stage.config("classifier", ClassifierConfig)
    variants = to_variants(stage.value("variants"))
    arms = with_variants(ARMS, (*variants.baseline, *variants.generated))
    return {arm.name: config.record(arm, shared, budget) for arm in arms}


def _arms_made(budget: int) -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for kind in ("baseline", "augmented"):
        path = ARTIFACTS / f"{kind}/{budget}/arms.json"
        with reading(path):
            made |= {str(name): dict(values) for name, values in read_json(path).items()}
    return made


def _leaves(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """`{"settings": {"steps": 3000}}` as `{"settings.steps": 3000}`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _leaves(value, f"{place}{key}.") if isinstance(value, Mapping) else {f"{place}{key}": value}
    return found
