"""Capturing steps as CUDA graphs, with stand-ins for CUDA: what is warmed up, captured, replayed, and said if it fails.

The stand-in of a graph records what a step does to its places, and does it again when it is replayed. That a real graph
does the same is held by tests/test_cuda.py, where there is a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.capture import WARM_UPS, Captured, captured

CPU = torch.device("cpu")


class Stream:
    def __init__(self, *_: Any) -> None: ...

    def wait_stream(self, _: Any) -> None: ...


class Graph:
    """What was done while it was captured, to be done again."""

    capturing: Graph | None = None

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def replay(self) -> None:
        for do in self.work:
            do()


POOLS: list[object] = []  # of each capture


@contextmanager
def graph(captured: Graph, pool: object, stream: Stream) -> Iterator[None]:
    """As torch's, the end of a capture that was broken off raises an error of its own."""
    Graph.capturing = captured
    POOLS.append(pool)
    try:
        yield
    except BaseException:
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")  # noqa: B904
    finally:
        Graph.capturing = None


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    POOLS.clear()


class Sum:
    """A step: adds its tensor times its number to `total`, which it returns; twice that where its flag says so.

    seen: of its calls, whether they were captured. refuse: raised by a capture, from inside the step.
    """

    def __init__(self, refuse: BaseException | None = None) -> None:
        self.total, self.seen, self.refuse = torch.zeros(2), list[bool](), refuse

    def __call__(self, tensors: tuple[Tensor, None], numbers: tuple[Any], twice: bool) -> tuple[Tensor]:
        tensor, nothing = tensors
        assert nothing is None
        outcome = torch.zeros(2)

        def work() -> None:
            self.total.add_(tensor * numbers[0] * (2 if twice else 1))
            outcome.copy_(self.total)

        self.seen.append(Graph.capturing is not None)
        if Graph.capturing is None:
            work()
        elif self.refuse is not None:
            raise self.refuse
        else:
            Graph.capturing.work.append(work)
        return (outcome,)


CALLS = [(float(n), 0.5 * n, n % 3 == 0) for n in range(1, 25)]


def totals(step: Any) -> list[list[float]]:
    return [step((torch.full((2,), value), None), (number,), flag)[0] for value, number, flag in CALLS]


def test_each_call_gives_what_the_step_gives() -> None:
    plain, step = Sum(), Sum()
    expected, found = totals(plain), totals(Captured(step, CPU))
    assert torch.equal(torch.stack(found), torch.stack(expected)), "also those returned long ago"
    # A graph for each value of the flag, captured once, after the warm-up; from there on the step itself is not called.
    assert sorted(step.seen) == [False] * 2 * WARM_UPS + [True] * 2


@pytest.mark.parametrize("kind", [RuntimeError, NotImplementedError])
def test_a_capture_that_fails_is_one_line_and_the_training_goes_on(
    kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    step = Sum(
        kind("CUDA error: operation not permitted when stream is capturing\nCUDA kernel errors might be reported late")
    )
    assert torch.equal(torch.stack(totals(Captured(step, CPU))), torch.stack(totals(Sum())))
    assert sum(step.seen) == 2, "each graph is tried once"
    out = capsys.readouterr().out
    line = "a training step could not be captured (CUDA error: operation not permitted when stream is capturing); "
    assert out == 2 * f"{line}going on without\n"


def test_want_of_memory_is_not_a_capture_that_failed() -> None:
    step = Captured(Sum(torch.OutOfMemoryError("CUDA out of memory")), CPU)
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory$"):
        totals(step)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a mistake of ours")])
def test_what_is_no_failure_of_the_capture_is_not_taken_for_one(error: BaseException) -> None:
    with pytest.raises(type(error)):
        totals(Captured(Sum(error), CPU))


def test_all_graphs_of_a_training_share_their_memory() -> None:
    totals(Captured(Sum(), CPU))
    totals(Captured(Sum(), CPU))
    assert len(POOLS) == 4
    assert POOLS[0] is POOLS[1] and POOLS[2] is POOLS[3] and POOLS[0] is not POOLS[2]


def test_on_a_cpu_the_step_is_itself() -> None:
    step = Sum()
    assert captured(step, CPU) is step
    assert isinstance(captured(step, torch.device("cuda")), Captured)
