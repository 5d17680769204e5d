"""Which arm is held against which: the primary contrast, all others that are reported, and what is a fair reference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import require
from pipeline.errors import InputError


@dataclass(frozen=True)
class Contrast:
    """`arm` minus `reference` at one budget (real images a class)."""

    budget: int
    arm: str
    reference: str

    def __post_init__(self) -> None:
        require(self.budget > 0, f"budget: must be above 0, got {self.budget}")
        require(self.arm != self.reference, f"reference: must differ from the arm, got {self.reference} twice")


def arms_that_know(made: Mapping[str, Mapping[str, Any]], unlabelled: int) -> list[str]:
    """Those of `made` (what arms.json holds, by name) that know a replicate's unlabelled images: by themselves, with
    pseudo-labels, or through the GAN, which saw them. unlabelled: how many there are.
    """
    return [name for name, arm in made.items() if unlabelled and (arm["pseudo"] or arm["synthetic"] == "gan")]


def arms_to_fair(made: Mapping[str, Mapping[str, Any]], unlabelled: int) -> dict[str, str]:
    """Arm -> the real images with pseudo-labels, distorted as far as its own: a reference that knows as much, for each
    arm that knows the unlabelled images and has synthetic ones, where there is one. Arguments as of `arms_that_know`.
    """
    known = arms_that_know(made, unlabelled)
    plain = [name for name in known if made[name]["synthetic"] is None]
    alike = {
        name: [real for real in plain if _distorted_alike(made[name], made[real])]
        for name in known
        if made[name]["synthetic"] is not None
    }
    return {name: reals[0] for name, reals in alike.items() if reals}


def arms_to_reals(made: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Arm -> the real images as it has them: `real`, or where its batches are distorted the first arm of real images
    alone, balanced by class, whose batches are as far, if there is one. made: what arms.json holds, by name.
    """
    plain = [
        name
        for name, arm in made.items()
        if arm["synthetic"] is None and not arm["pseudo"] and arm["batches"] == "balanced"
    ]
    alike = {name: [real for real in plain if _distorted_alike(arm, made[real])] for name, arm in made.items()}
    return {name: reals[0] for name, reals in alike.items() if reals}


def _distorted_alike(arm: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both have their batches distorted equally far, or neither has."""
    if not (arm["classical"] and other["classical"]):
        return arm["classical"] == other["classical"]
    return bool(arm.get("augmentation") == other.get("augmentation"))


def contrasts(
    arms: Sequence[str],
    of: Mapping[str, str] | None = None,
    fair: Mapping[str, str] | None = None,
    reals: Mapping[str, str] | None = None,
) -> list[tuple[str, str]]:
    """The (arm, reference) pairs to report among `arms`; of two that mirror each other, the first only.

    of: the arm that a variant varies. A variant is held against that one, and against the real images as it has them,
    so that many variants do not cost every other contrast its power. fair: the arm that knows the same unlabelled
    images as another, against which this one is held as well. reals: as `arms_to_reals` gives it; a variant that it
    lacks is held against no real images, which would differ from it in two things.
    """
    of, reals = of or {}, reals or {}
    pairs = [(arm, reference) for reference in ("real", "real+classical") for arm in arms if arm not in of]
    # Synthetic images without a GAN: what the GAN must beat to have earned its place.
    pairs += [("real+gan", "real+copies"), ("real+gan", "real+interpolated")]
    rivals = [arm for arm, base in of.items() if base in ("real+copies", "real+interpolated") and arm in reals]
    distorted = ["real+gan+classical", *(arm for arm, base in of.items() if base == "real+gan+classical")]
    for rival in rivals:  # the first that is distorted as far
        pairs += [(arm, rival) for arm in distorted if reals.get(arm) == reals[rival]][:1]
    pairs += list(of.items())
    pairs += [(arm, reals[arm]) for arm in of if arm in reals]
    pairs += list((fair or {}).items())
    present = [pair for pair in dict.fromkeys(pairs) if len(set(pair)) == 2 and set(pair) <= set(arms)]
    return [pair for i, pair in enumerate(present) if pair[::-1] not in present[:i]]


def budgets_to_contrasts(
    by_budget: Mapping[int, Collection[str]],
    primary: Contrast,
    of: Mapping[str, str] | None = None,
    fair: Mapping[str, str] | None = None,
    reals: Mapping[str, str] | None = None,
) -> list[Contrast]:
    """Of each row of a study's tables, smallest budget first, the primary contrast always among them.

    by_budget: budget -> its arms. of, fair, reals: as of `contrasts`. Raises InputError if the study lacks the
    primary's arms.
    """
    declared = (primary.arm, primary.reference)
    for arm in declared:
        if arm not in by_budget.get(primary.budget, ()):
            raise InputError(f"compare.primary: the study has no arm {arm} at budget {primary.budget}")
    rows = []
    for budget in sorted(by_budget):
        pairs = contrasts(list(by_budget[budget]), of, fair, reals)
        if budget == primary.budget and declared not in pairs:
            pairs = [declared] + [pair for pair in pairs if pair != declared[::-1]]
        rows += [Contrast(budget, arm, reference) for arm, reference in pairs]
    return rows
