"""Did a GAN's training end well? A collapsed or diverged one is said plainly and never used as if it were fine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.images import LabelledImages
from pipeline.quality.spread import collapsed, images_to_spread


@dataclass(frozen=True)
class Health:
    """Of one replicate.

    finite: no loss, score or gradient left the finite numbers. spread, spread_real: within each class, on pixels in
    [-1, 1], of generated digits and of the real subset (None for a single image a class). collapsed: classes in which
    generated digits are nearly alike.
    """

    replicate: int
    finite: bool
    spread: float
    spread_real: float | None
    collapsed: tuple[str, ...]
    healthy: bool

    def warning(self) -> str:
        """One line on what went wrong, or an empty text."""
        if not self.finite:
            return f"replicate {self.replicate}: the GAN diverged (a value was not finite); its digits are not digits"
        if self.collapsed:
            return f"replicate {self.replicate}: the GAN collapsed in class {', '.join(self.collapsed)}"
        return ""


def history_to_health(
    replicate: int,
    history: Sequence[Mapping[str, float]],
    monitored: NDArray[np.uint8],
    real: LabelledImages,
) -> Health:
    """From a replicate's records, its last monitored images (classes, n, C, H, W) and the subset it was trained on."""
    finite = all(math.isfinite(value) for record in history for value in record.values())
    count, each = monitored.shape[:2]
    labels = np.repeat(np.arange(count), each)
    spread = images_to_spread(monitored.reshape(-1, *monitored.shape[2:]), labels, count)
    spread_real = images_to_spread(real.pixels, real.labels, count)
    flat = tuple(real.classes[label] for label in collapsed(spread, spread_real))
    known = spread_real.mean if math.isfinite(spread_real.mean) else None
    return Health(replicate, finite, spread.mean, known, flat, finite and not flat)
