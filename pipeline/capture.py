"""A training step as a CUDA graph, launched as one where the processor would launch hundreds of small kernels.

As torch's documentation has it ("CUDA semantics", CUDA Graphs): warm up on a side stream; capture there, with inputs at
fixed places; replay. What the function must keep to: it draws no random number, which are among its inputs, so that no
generator need be known to the graph; it copies nothing between the host and the device; what it carries from call to
call it changes in place; and what it returns needs no gradient. tests/test_cuda.py holds it to the plain loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pipeline.memory import is_out_of_memory

# (tensors or None, numbers, flags): tensors of the same shapes at each call with the same flags, numbers that change
Step = Callable[..., tuple[Tensor, ...]]
WARM_UPS = 3  # calls before the capture, as many as torch's documentation makes


def captured(step: Step, device: torch.device) -> Step:
    """`step(tensors, numbers, *flags)` as CUDA graphs, one for each combination of flags; on a CPU `step` itself."""
    return Captured(step, device) if device.type == "cuda" else step


class Captured:
    """The calls with some flags: the first WARM_UPS plain ones, the next is captured, and from there on replayed.

    Where a capture fails, a line says so, and the calls go on plainly.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self.step, self.device = step, device
        self.graphs: dict[tuple[bool, ...], _Graph] = {}
        self.stream = torch.cuda.Stream(device)
        # One for all graphs: they run one after another, what they return is copied, and what lasts lies elsewhere.
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, tensors: Sequence[Tensor | None], numbers: Sequence[float], *flags: bool) -> tuple[Tensor, ...]:
        if flags not in self.graphs:
            self.graphs[flags] = _Graph(tensors, numbers, self.device)
        graph = self.graphs[flags]
        if graph.failed:
            return self.step(tensors, numbers, *flags)
        graph.fill(tensors, numbers)
        if graph.warmed < WARM_UPS:
            graph.warmed += 1
            # Ordinary steps of the training: nothing has to be undone before the capture.
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                outputs = self.step(graph.tensors, graph.numbers, *flags)
            torch.cuda.current_stream().wait_stream(self.stream)
            return outputs
        if graph.graph is None:
            try:
                graph.capture(self.step, self.stream, self.pool, flags)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                # A capture runs nothing on the device: this step is still to be made.
                graph.failed = True
                why = str(error).partition("\n")[0]
                print(f"a training step could not be captured ({why}); going on without", flush=True)
                return self.step(tensors, numbers, *flags)
        return graph.replay()


class _Graph:
    """One CUDA graph, the places that it reads its inputs from, and its outputs."""

    def __init__(self, tensors: Sequence[Tensor | None], numbers: Sequence[float], device: torch.device) -> None:
        self.tensors = tuple(None if tensor is None else torch.empty_like(tensor) for tensor in tensors)
        self.numbers = tuple(torch.zeros((), device=device) for _ in numbers)  # a number would be captured as it is
        self.warmed, self.failed = 0, False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.outputs: tuple[Tensor, ...] = ()

    def fill(self, tensors: Sequence[Tensor | None], numbers: Sequence[float]) -> None:
        for place, tensor in zip(self.tensors, tensors, strict=True):
            if place is not None and tensor is not None:
                place.copy_(tensor)
        for place, number in zip(self.numbers, numbers, strict=True):
            place.fill_(number)

    def capture(self, step: Step, stream: torch.cuda.Stream, pool: Any, flags: tuple[bool, ...]) -> None:
        graph, own = torch.cuda.CUDAGraph(), None
        try:
            with torch.cuda.graph(graph, pool=pool, stream=stream):
                try:
                    self.outputs = step(self.tensors, self.numbers, *flags)
                except BaseException as error:
                    own = error
                    raise
        except RuntimeError:
            if own is None:
                raise
            raise own from None  # the end of a capture that the step broke off raises an error of its own over it
        self.graph = graph

    def replay(self) -> tuple[Tensor, ...]:
        assert self.graph is not None
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)  # the next replay writes to the same places
