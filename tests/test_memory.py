"""Memory that runs out: real allocations that no machine can serve, and one line for them."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.files import reading
from pipeline.images import load_arrays, save_arrays
from pipeline.memory import is_out_of_memory, within_memory

HUGE = 10**15  # bytes; more than the address space of today's machines


def of_a_gpu() -> None:
    """Not provoked: the tests run without one."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


WANTING: list[Callable[[], object]] = [
    lambda: torch.empty(HUGE, dtype=torch.uint8),
    lambda: np.empty(HUGE, np.uint8),
    lambda: bytearray(HUGE),
    lambda: mmap.mmap(-1, HUGE),
    of_a_gpu,
    of_cublas,
]


@pytest.mark.parametrize("allocate", WANTING)
def test_memory_that_runs_out_is_one_line_with_the_remedy(allocate: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"^out of memory; lower it$"), within_memory("lower it"):
        allocate()


def test_a_killed_worker_is_one_too() -> None:
    with pytest.raises(InputError, match=r"for want of memory; lower it$"), within_memory("lower it"):
        raise BrokenProcessPool("terminated")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not fit"), ValueError("out of memory"), OSError(errno.ENOENT, "none"), InputError("x")],
)
def test_another_error_stays_what_it_is(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, within_memory("lower it"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("allocate", WANTING[:4])
def test_a_file_that_there_is_no_memory_for_is_not_called_damaged(
    allocate: Callable[[], object], tmp_path: Path
) -> None:
    with pytest.raises((MemoryError, RuntimeError, OSError)) as caught, reading(tmp_path / "sound"):
        allocate()
    assert is_out_of_memory(caught.value)


def test_a_file_read_in_too_little_memory_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_arrays(tmp_path / "sound.npz", one=np.zeros(3))
    monkeypatch.setattr(np, "load", lambda *_, **__: np.empty(HUGE, np.uint8))
    with pytest.raises(MemoryError):
        load_arrays(tmp_path / "sound.npz")
