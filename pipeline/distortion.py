"""How far an image may be moved: the distances of classical augmentation and of the GAN's reals (transforms.py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pipeline.config import require


@dataclass(frozen=True)
class Distortion:
    """How far an image may be moved; every range is symmetric and uniform.

    rotate: degrees. scale: the factor lies in [1 - scale, 1 + scale], drawn per axis. shear: tangent of the angle.
    translate: share of the image's side. elastic: standard deviation of the coarse displacement, share of the side;
    elastic_cells: cells of the coarse grid along a side. blur: the standard deviation of a Gaussian lies in [0, blur],
    share of the side.
    """

    rotate: float = 12.0
    scale: float = 0.12
    shear: float = 0.15
    translate: float = 0.07
    elastic: float = 0.0
    elastic_cells: int = 5
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotate", "scale", "shear", "translate", "elastic", "blur"):
            require(getattr(self, name) >= 0, f"{name}: must not be negative")
        require(self.rotate <= 180, "rotate: must be at most 180 degrees")
        require(self.scale < 1, "scale: must be below 1")
        require(self.elastic_cells >= 2, "elastic_cells: must be at least 2")


@dataclass(frozen=True)
class OwnDistortion:
    """What one arm has in place of the distances that all arms share; None: as all have it."""

    rotate: float | None = None
    scale: float | None = None
    shear: float | None = None
    translate: float | None = None
    elastic: float | None = None
    elastic_cells: int | None = None
    blur: float | None = None

    def __post_init__(self) -> None:
        require(bool(self.changes()), "blur: name this or another distance of arms.classical, or leave distortion out")

    def changes(self) -> dict[str, float]:
        """The distances that it names."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def over(self, shared: Distortion) -> Distortion:
        """`shared` with them. Raises ValueError naming the one that is wrong."""
        return replace(shared, **self.changes())  # type: ignore[arg-type]
