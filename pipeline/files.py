"""Reading what an earlier stage left: whatever is wrong with a file is one line that names it and the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, one_line
from pipeline.memory import is_out_of_memory


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Reads `path` inside. Raises InputError if it is missing, or holds what no stage writes."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run `dvc repro` (or `dvc pull`) to make it") from None
    except Exception as error:  # of many kinds, as many as there are ways to damage a file
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{path}: damaged ({reason}); delete it and run `dvc repro`") from None


def read_json(path: Path) -> Any:
    """JSON from an earlier stage. Raises InputError as `reading`."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))
