"""Adoption: each arm gets the best of the settings that `python -m pipeline.tune` measured, at every budget its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.classifier.arms import ARMS, with_variants
from pipeline.errors import InputError
from pipeline.report import words
from pipeline.stages.check import to_params
from pipeline.stages.stage import PARAMS
from pipeline.studies import merge
from pipeline.trials import CLASSIFIER, TRIALS, own_settings, read_trials
from pipeline.tuning import can_be_alone, setting_to_text, tuning_check


def adopt(params: Mapping[str, Any], budgets: Sequence[int], machine: str) -> list[str]:
    """Write to params.yaml what arms.own_settings is where each arm has its best measured setting at each of `budgets`;
    returns what to say. At its other budgets the study keeps what it has. machine: whose trials to prefer.

    Width and distortions are for all arms but variants: paired ones start from the same weights, and copies, batches
    and teacher have one augmentation. Raises InputError where the study's settings, or one of its arms, were not
    measured.
    """
    study = params["study"]["budgets"]
    for budget in budgets:
        if budget not in study:
            raise InputError(f"--budget {budget}: the study has {', '.join(map(str, study))}")
    if "own_settings" not in params["arms"]:
        raise InputError(f"{PARAMS}: arms.own_settings is missing; add `own_settings: []` to section arms")
    own, said = {budget: own_settings(params, budget) for budget in study}, []
    for budget in budgets:
        own[budget], lines = best_settings(params, budget, machine)
        said += [f"at {budget} a class, {line}" if len(study) > 1 else line for line in lines]
    entries = [
        {"arm": arm} | ({"budget": budget} if len(study) > 1 else {}) | changes
        for budget, of_budget in own.items()
        for arm, changes in of_budget.items()
    ]
    merge({"arms": {"own_settings": entries}}, str(TRIALS))
    return [*said, "all other arms share section classifier; `git diff params.yaml` shows what changed"]


def best_settings(params: Mapping[str, Any], budget: int, machine: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Arm -> what it has of its own with the best setting measured at `budget`, of every arm that then has something;
    and what to say of the choice. Raises InputError as `adopt` does.
    """
    check = tuning_check(read_trials(), params, budget, own={}, machine=machine)
    measure = f"python -m pipeline.tune --budget {budget}"
    if not check.covers:
        why = f" ({words.tuned(check)[0]})" if check.differing else ""
        why = why or (" (it holds the shared settings alone)" if check.arms else "")
        raise InputError(f"{TRIALS} does not cover this study at {budget} a class{why}; measure it first: {measure}")
    sections = to_params(params).variants
    arms = [arm.name for arm in with_variants(ARMS, (*sections.baseline, *sections.generated))]
    measured = {arm.arm: check.settings[arm.best_alone] for arm in check.arms}
    if unmeasured := [arm for arm in arms if arm not in measured]:
        raise InputError(f"{TRIALS} lacks arm {unmeasured[0]} at {budget} a class; measure it as well: {measure}")
    lines = [
        f"chosen among {'; '.join(map(setting_to_text, filter(can_be_alone, check.settings)))}",
        *(
            f"{arm.arm} does better still with {setting_to_text(check.settings[arm.best])}, which no arm can have "
            "alone; set it for all (or give a variant that distortion) and measure again"
            for arm in check.arms
            if arm.best != arm.best_alone
        ),
        *(f"{arm}: {setting_to_text(measured[arm])}" for arm in arms if measured[arm]),
    ]
    changes = {arm: {key.removeprefix(CLASSIFIER): _number(value) for key, value in measured[arm]} for arm in arms}
    return {arm: own for arm, own in changes.items() if own}, lines


def _number(value: float) -> int | float:
    """As a person would write it: a column that lacks a value anywhere has floats alone."""
    return int(value) if float(value).is_integer() else float(value)
