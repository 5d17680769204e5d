"""Effort of each arm: the steps it took, the images it saw, how fast it learnt and how long that took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.study import Budget, Study


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
    far as these steps go. distorted: every batch afresh. rate: the highest learning rate. seconds: of a replicate, the
    mean; None where the run's record does not say. shared: they are a mean over all arms of the stage.
    """

    arm: str
    steps: int
    same: bool
    phases: Sequence[Phase]
    distorted: bool
    rate: float
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
    config = study.params["classifier"]
    runs, history, efforts = dict(study.runs), budget.classifier_history, []
    for arm in study.budget_accuracies(budget.size).columns:
        rows = history[history["arm"] == arm]
        ends = rows.groupby("replicate")["step"].max()
        steps, made = round(ends.mean()), budget.arms[str(arm)]
        record = runs[f"{rows['stage'].iloc[0]}@{budget.size}"]
        own = record.get("milliseconds_per_step_by_arm", {})  # not every record tells the arms apart
        milliseconds = own.get(arm, record.get("milliseconds_per_step"))
        efforts.append(
            Effort(
                arm=arm,
                steps=steps,
                same=ends.nunique() == 1,
                phases=_phases(made["phases"], steps),
                distorted=made["classical"],
                rate=config["learning_rate"],
                seconds=None if milliseconds is None else milliseconds * steps / 1000,
                shared=arm not in own,
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


def is_equal(efforts: Sequence[Effort]) -> bool:
    """Did all replicates of all arms take the same number of steps, and thus see as many images?"""
    return all(effort.same for effort in efforts) and len({effort.seen for effort in efforts}) == 1


def gan_effort(study: Study, budget: Budget) -> tuple[int, float | None]:
    """Steps of a replicate's GAN, and its seconds (None where the run's record does not say), means."""
    steps = round(budget.gan_history.groupby("replicate")["step"].max().mean())
    milliseconds = dict(study.runs)[f"train_gan@{budget.size}"].get("milliseconds_per_step")
    return steps, None if milliseconds is None else milliseconds * steps / 1000
