"""Trainings that take turns: each in a process of its own, and only one at a time on the clock.

A machine that is busy with something else slows neighbouring turns alike, so that the ratio of two of them means
something where their seconds do not. What is prefetched while others have their turn is a gift of a few batches.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from torch import nn

SAMPLED_EVERY = 0.02  # seconds between two looks at a process's memory


class Turn(NamedTuple):
    """seconds: of the clock. measured: what `measure` said of the network afterwards, off the clock. reserved: the most
    bytes that torch has held on a GPU up to then.
    """

    seconds: float
    measured: float
    reserved: int = 0


class Training:
    """`function(task, pause)` in a process of its own with one thread; it waits at its start and at each pause."""

    def __init__(
        self,
        function: Callable[..., Any],
        task: Any,
        measure: Callable[[nn.Module], float] | None = None,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, function.__module__])  # torch is imported once for all of them
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_train, args=(function, task, measure, other))
        self.process.start()
        other.close()
        self._receive()
        self.before = psutil.Process(self.process.pid).memory_info().rss

    def go(self) -> None:
        """Let it train up to its next pause."""
        self.connection.send("go")

    def wait(self) -> Turn:
        """For that pause. Raises RuntimeError with what went wrong there."""
        return Turn(*self._receive())

    def peak(self) -> int:
        """`wait`, looking at its memory meanwhile: the most bytes above those at its start.

        Counted are its own resident pages, and of its workers those that they share with nobody.
        """
        itself, most = psutil.Process(self.process.pid), 0
        while not self.connection.poll(SAMPLED_EVERY):
            most = max(most, _resident(itself) - self.before)
        return most

    def end(self) -> None:
        """Stop it wherever it is, and its workers."""
        if self.process.pid is not None and self.process.is_alive():
            workers = psutil.Process(self.process.pid).children(recursive=True)
            for process in [self.process, *workers]:
                process.kill()
        self.process.join()

    def _receive(self) -> Any:
        try:
            answer = self.connection.recv()
        except EOFError:
            raise RuntimeError("a training was killed") from None
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


def take_turns(sets: Sequence[Sequence[Training]], turns: int) -> list[list[Turn]]:
    """`turns` turns of each set, one set after the other; the trainings of a set run side by side.

    Each second round goes backwards. A set's turn lasts until the last of its trainings has ended its own.
    """
    taken: list[list[Turn]] = [[] for _ in sets]
    for number in range(turns):
        order = range(len(sets)) if number % 2 == 0 else reversed(range(len(sets)))
        for place in order:
            for training in sets[place]:
                training.go()
            ended = [training.wait() for training in sets[place]]
            taken[place].append(side_by_side(ended))
    return taken


def side_by_side(turns: Sequence[Turn]) -> Turn:
    """The turns of trainings that ran at the same time as one: until the last has ended, and all that they held."""
    return Turn(max(turn.seconds for turn in turns), turns[0].measured, sum(turn.reserved for turn in turns))


def _resident(process: psutil.Process) -> int:
    total: int = process.memory_info().rss
    for worker in process.children(recursive=True):
        try:
            total += worker.memory_full_info().uss
        except psutil.Error:  # it has just ended
            continue
    return total


def _train(
    function: Callable[..., Any], task: Any, measure: Callable[[nn.Module], float] | None, connection: Connection
) -> None:
    torch.set_num_threads(1)
    connection.send(True)
    connection.recv()
    began = time.perf_counter()

    def pause(network: nn.Module | None) -> None:
        nonlocal began
        on_gpu = torch.cuda.is_initialized()
        if on_gpu:
            torch.cuda.synchronize()  # the turn has ended when its last kernel has
        seconds, measured = time.perf_counter() - began, np.nan
        reserved = torch.cuda.max_memory_reserved() if on_gpu else 0
        if measure is not None and network is not None:
            trains = network.training
            measured = measure(network)
            network.train(trains)
        if on_gpu:
            torch.cuda.synchronize()  # nothing of it runs into another's turn
        connection.send((seconds, measured, reserved))
        connection.recv()
        began = time.perf_counter()

    try:
        function(task, pause)
    except EOFError:  # nobody waits any more
        return
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
