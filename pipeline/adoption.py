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


def adopt(params: Mapping[str, Any], budgets: Sequence[int] | None, machine: str) -> list[str]:
    """Write to params.yaml what arms.own_settings is where each arm has its best measured setting at each of `budgets`;
    returns what to say. Elsewhere arms keep what they have.

    budgets: None for those of the study that were measured. machine: whose trials to prefer. Width and distortions are
    for all arms but variants: paired ones start from the same weights, and copies, batches and teacher have one
    augmentation. Raises InputError where the study's settings, or one of its arms, were not measured.
    """
    study = params["study"]["budgets"]
    if unknown := [budget for budget in budgets or () if budget not in study]:
        raise InputError(f"--budget {unknown[0]}: the study has {', '.join(map(str, study))}")
    if "own_settings" not in params["arms"]:
        raise InputError(f"{PARAMS}: arms.own_settings is missing; add `own_settings: []` to section arms")
    chosen, said, unmeasured = {}, [], []
    for budget in dict.fromkeys(budgets or study):
        try:
            chosen[budget], lines = best_settings(params, budget, machine)
        except InputError as error:
            if budgets or len(study) == 1:
                raise
            unmeasured.append(error)
        else:
            said += [f"at {budget} a class, {line}" for line in lines]
    if not chosen:
        raise unmeasured[0]
    own = {budget: own_settings(params, budget) for budget in study} | chosen
    entries = [
        {"arm": arm, "budget": budget} | changes
        for budget, of_budget in own.items()
        for arm, changes in of_budget.items()
    ]
    old = params["arms"]["own_settings"]
    entries += [entry for entry in old if entry.get("budget") not in (None, *study)]
    merge({"arms": {"own_settings": entries}}, str(TRIALS))
    if any(entry.get("budget") is None for entry in old):
        said.append("what arms had of their own at every budget is written down for each of the study's now")
    said += [f"{error}; arms keep what they have there" for error in unmeasured]
    return [*said, "whatever has no own settings shares section classifier; `git diff params.yaml` shows what changed"]


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
