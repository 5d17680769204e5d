"""Effort of each arm: the steps it took, the images it saw, how fast it learnt and how long that took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.report.study import Budget, Study
from pipeline.trials import own_settings

SHOWN = ("arm", "steps", "batch_size", "learning_rate")  # own settings that stand in columns of their own


@dataclass(frozen=True)
class Phase:
    """steps: of the optimiser. real, synthetic: images of a batch; means, where these differ from batch to batch."""

    steps: int
    real: float
    synthetic: float


@dataclass(frozen=True)
class Effort:
    """Of one arm at one budget.

    steps: of the optimiser, the mean over replicates. same: all replicates took as many. phases: one after another, as
    far as these steps go. distorted: every batch afresh. rate: the highest learning rate. own: its other settings and
    distances of distortion that are not those of all arms, as text. seconds: of a replicate, the mean; None where the
    run's record does not say. shared: they are a mean over all arms of the stage.
    """

    arm: str
    steps: int
    same: bool
    phases: Sequence[Phase]
    distorted: bool
    rate: float
    own: str
    seconds: float | None
    shared: bool

    @property
    def real(self) -> int:
        """Real images seen in all, those that come again counted again."""
        return round(sum(phase.steps * phase.real for phase in self.phases))

    @property
    def synthetic(self) -> int:
        return round(sum(phase.steps * phase.synthetic for phase in self.phases))

    @property
    def seen(self) -> int:
        return self.real + self.synthetic


def budget_to_efforts(study: Study, budget: Budget) -> list[Effort]:
    """What was trained at a budget, an entry an arm, in the study's order of arms."""
    own = own_settings(study.params, budget.size)
    runs, history, efforts = dict(study.runs), budget.classifier_history, []
    for arm in study.budget_accuracies(budget.size).columns:
        rows = history[history["arm"] == arm]
        ends = rows.groupby("replicate")["step"].max()
        steps, made = round(ends.mean()), budget.arms[str(arm)]
        record = runs[f"{rows['stage'].iloc[0]}@{budget.size}"]
        by_arm = record.get("milliseconds_per_step_by_arm", {})  # not every record tells the arms apart
        milliseconds = by_arm.get(arm, record.get("milliseconds_per_step"))
        settings = own.get(str(arm), {})
        apart = {key: value for key, value in settings.items() if key not in SHOWN}
        shared = study.params["arms"]["classical"]
        moved = {key: value for key, value in (made.get("distortion") or {}).items() if value is not None}
        apart |= {key: value for key, value in moved.items() if value != shared.get(key)}
        efforts.append(
            Effort(
                arm=arm,
                steps=steps,
                same=ends.nunique() == 1,
                phases=_phases(made["phases"], steps),
                distorted=made["classical"],
                rate=(study.params["classifier"] | settings)["learning_rate"],
                own=", ".join(f"{key} {value:g}" for key, value in apart.items()),
                seconds=None if milliseconds is None else milliseconds * steps / 1000,
                shared=arm not in by_arm,
            )
        )
    return efforts


def _phases(made: Sequence[Mapping[str, Any]], steps: int) -> list[Phase]:
    """Those of arms.json, no more than `steps` in all."""
    phases, left = [], steps
    for phase in made:
        taken, batch = min(left, phase["steps"]), phase["batch"]
        real = batch.get("real", 0)
        phases.append(Phase(taken, real, round(sum(batch.values()) - real, 3)))
        left -= taken
    return phases


def fairness(study: Study, budget: Budget, efforts: Sequence[Effort]) -> Literal["equal", "tuned", "unequal"]:
    """equal: all replicates of all arms saw as many images, under the same settings. tuned: of each arm they took the
    steps that they were to take, under the best of those tried that an arm can have alone. unequal: neither.
    """
    own = own_settings(study.params, budget.size).keys() & {effort.arm for effort in efforts}
    if all(effort.same for effort in efforts) and len({effort.seen for effort in efforts}) == 1 and not own:
        return "equal"
    planned = {arm: sum(phase["steps"] for phase in made["phases"]) for arm, made in budget.arms.items()}
    check = study.tuning_check(budget.size)
    best = {arm.arm for arm in check.arms if check.covers and arm.own == arm.best_alone}
    if all(effort.same and effort.steps == planned[effort.arm] and effort.arm in best for effort in efforts):
        return "tuned"
    return "unequal"


def differences(efforts: Sequence[Effort]) -> list[str]:
    """`real 500 steps, real+classical 3,000 steps`: of each arm that in which not all are alike."""
    said = [
        (
            f"{effort.steps:,} steps",
            f"batches of {effort.seen / max(1, effort.steps):g}",
            f"a rate of {effort.rate:g}",
            effort.own or "else as all",
        )
        for effort in efforts
    ]
    differing = [len(set(values)) > 1 for values in zip(*said, strict=True)]
    return [
        " ".join([effort.arm, ", ".join(text for text, differs in zip(texts, differing, strict=True) if differs)])
        for effort, texts in zip(efforts, said, strict=True)
    ]


def gan_effort(study: Study, budget: Budget) -> tuple[int, float | None]:
    """Steps of a replicate's GAN, and its seconds (None where the run's record does not say), means."""
    steps = round(budget.gan_history.groupby("replicate")["step"].max().mean())
    milliseconds = dict(study.runs)[f"train_gan@{budget.size}"].get("milliseconds_per_step")
    return steps, None if milliseconds is None else milliseconds * steps / 1000
