"""What a study asks of the measurements: section `assess` of params.yaml."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.classifier.network import FEATURES
from pipeline.config import require


@dataclass(frozen=True)
class AssessConfig:
    """Section `assess`. images: of each kind in the Fréchet and kernel distances and in precision, recall, density and
    coverage, overall and by class. neighbours: k of the latter four. suspects: most suspicious digits kept, of each
    replicate.
    """

    images: int
    neighbours: int
    suspects: int

    def __post_init__(self) -> None:
        require(self.images >= 2 * FEATURES, f"images: must be at least {2 * FEATURES}, twice the features")
        require(0 < self.neighbours < self.images, f"neighbours: must lie between 0 and images, {self.images}")
        require(self.suspects > 0, "suspects: must be positive")
