"""Which trainings are made at once, with stacked weights, and by which function."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple


class Many(NamedTuple):
    """How jobs of `compute.run_replicates` are trained otherwise than plainly: several at once, or as a GPU does it.

    function: of jobs, device, reports (one a job), capture and bf16; returns what the function of one job does, for
    each. alike: of a job: jobs with the same may be trained at once.
    """

    function: Callable[..., list[dict[str, Any]]]
    alike: Callable[[Mapping[str, Any]], Hashable]


def jobs_to_groups(jobs: Sequence[Mapping[str, Any]], many: Many, at_once: int) -> list[list[int]]:
    """Numbers of the jobs of each group, at most `at_once`.

    Groups are made of all jobs, wherever they run. Of a group some of whose jobs are finished already, those that are
    missing are stacked, and so are rounded otherwise than the whole group would have been.
    """
    by_kind: dict[Hashable, list[int]] = {}
    for number, job in enumerate(jobs):
        by_kind.setdefault(many.alike(job), []).append(number)
    return [
        numbers[first : first + at_once] for numbers in by_kind.values() for first in range(0, len(numbers), at_once)
    ]
