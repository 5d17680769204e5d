"""One seed for each purpose, from the study's seed: no two parts of a study share random numbers by accident."""

from __future__ import annotations

import zlib

import numpy as np


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that depends on the study's `seed` and on `purpose`, for example ("gan", budget, replicate).

    Texts enter by their CRC-32, whole numbers as they are, and how many there are last; mixed by NumPy's SeedSequence,
    to which a trailing 0 alone would make no difference.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in purpose]
    return int(np.random.SeedSequence([seed, *words, len(words)]).generate_state(1, np.uint64)[0] >> 1)
