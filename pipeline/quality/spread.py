"""How much the images of one class differ from each other, and whether a generator has stopped varying them.

Cheap enough to record while a generator trains. It sees a class in which all images are alike; it does not see one that
repeats a few different images, which `coverage` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

# Real MNIST has a spread of 0.46. A class that repeats one image under faint noise is near 0, while varied images at
# half the contrast still have half the spread: a quarter tells the two apart.
COLLAPSED_BELOW = 0.25


@dataclass(frozen=True)
class Spread:
    """per_class: (K,) float64, on pixels scaled to [-1, 1]; NaN for a class with fewer than two images."""

    per_class: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over the classes that have a spread; NaN if none has."""
        known = self.per_class[np.isfinite(self.per_class)]
        return float(known.mean()) if len(known) else float("nan")


def images_to_spread(pixels: NDArray[np.uint8], labels: NDArray[np.int64], classes: int) -> Spread:
    """Root mean square deviation of a class's images from their mean image.

    pixels: uint8 (N, C, H, W). labels: (N,), below `classes`. Raises InputError if they differ in number.
    """
    if len(pixels) != len(labels):
        raise InputError(f"{len(pixels)} images but {len(labels)} labels")
    per_class = np.full(classes, np.nan)
    for label in range(classes):
        mine = pixels[labels == label]
        if len(mine) > 1:
            # Variances are averaged before the root, with one less in the divisor (ddof), so that ten real images and
            # five hundred synthetic ones compare: the mean of pixels' standard deviations grows with their number.
            # Scaling 0..255 to -1..1 scales a deviation by 2 / 255.
            per_class[label] = np.sqrt(mine.var(axis=0, ddof=1).mean()) * 2 / 255
    return Spread(per_class)


def collapsed(synthetic: Spread, real: Spread, below: float = COLLAPSED_BELOW) -> list[int]:
    """Classes whose synthetic spread is under `below` times the real one, or unknown because images are missing.

    A class whose real spread is unknown (a single real image) is judged by the mean over the real classes.
    """
    expected = np.where(np.isfinite(real.per_class), real.per_class, real.mean)
    # Written as "not large enough", so that NaN counts as collapsed.
    return [int(label) for label in np.flatnonzero(~(synthetic.per_class >= below * expected))]
