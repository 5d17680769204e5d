"""Work on many images, or trainings, a chunk at a time; one that does not fit into memory is halved; a line says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from pipeline.memory import is_out_of_memory

T = TypeVar("T")


def in_chunks(function: Callable[[slice], T], count: int, chunk: int, what: str = "images") -> Iterator[T]:
    """`function` of slices of `chunk` that cover 0 to `count`, in order, as they are asked for; of one empty slice if
    that is nothing.

    Where memory runs out, `chunk` is halved from there on, down to 1. What comes out is the same as far as `function`
    treats each image by itself; another chunk may round differently. what: is counted, for the line.
    """
    start, begun = 0, False
    while start < count or not begun:
        part = slice(start, min(start + chunk, count))
        try:
            result = function(part)
        except Exception as error:
            if chunk == 1 or not is_out_of_memory(error):
                raise
        else:
            yield result
            start, begun = part.stop, True
            continue
        # Only here is the error gone, and with it the tensors that its traceback held.
        chunk = max(1, min(chunk, count - start) // 2)
        print(f"out of memory with {part.stop - start} {what} at once; going on with {chunk}", flush=True)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
