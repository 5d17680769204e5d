"""Running out of memory: told from other errors, and said in one line with what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from pipeline.errors import InputError

SIGNS = (
    "out of memory",
    "allocate memory",
    "DefaultCPUAllocator",
    "bad_alloc",
    "ALLOC_FAILED",
    "could not create a primitive",  # oneDNN's whole message where it cannot map memory for its code
)  # in the text of torch's errors


def is_out_of_memory(error: BaseException) -> bool:
    """Python's and NumPy's MemoryError, the system's ENOMEM, and torch's RuntimeErrors.

    Only a GPU's has a type of its own (a RuntimeError still); those of a CPU, of cuBLAS and of a file that cannot be
    mapped are known by their text alone.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(s in str(error) for s in SIGNS))


@contextmanager
def within_memory(remedy: str) -> Iterator[None]:
    """Where what is inside runs out of memory, or has a worker process killed, InputError that ends in `remedy`."""
    try:
        yield
    except BrokenProcessPool:
        raise InputError(f"a worker process was killed, most likely for want of memory; {remedy}") from None
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(f"out of memory; {remedy}") from None
