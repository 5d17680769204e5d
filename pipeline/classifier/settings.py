"""With what settings a classifier is trained: those that all arms share, and what an arm has in their place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from pipeline.config import require


@dataclass(frozen=True)
class ClassifierConfig:
    """width: channels of the first layer. steps, batch_size: of the optimiser. learning_rate: the highest; it rises
    over the first twentieth of the steps and falls along a cosine to 0. weight_decay: AdamW's. dropout: of the
    features. label_smoothing: of the cross-entropy.
    """

    width: int
    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float
    label_smoothing: float

    def __post_init__(self) -> None:
        require(self.width > 0, "width: must be positive")
        require(self.steps > 0, "steps: must be positive")
        require(self.batch_size >= 4, "batch_size: must be at least 4, for batch norm")
        require(self.learning_rate > 0, "learning_rate: must be positive")
        require(self.weight_decay >= 0, "weight_decay: must not be negative")
        require(0 <= self.dropout < 1, "dropout: must lie in [0, 1)")
        require(0 <= self.label_smoothing < 1, "label_smoothing: must lie in [0, 1)")


@dataclass(frozen=True)
class OwnSettings:
    """What one arm has in place of section `classifier`'s settings; None: as all arms have it.

    budget: real images a class at which it has them; None: at every one. Without the width: paired arms start from the
    same weights.
    """

    arm: str
    budget: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    dropout: float | None = None
    label_smoothing: float | None = None

    def __post_init__(self) -> None:
        require(self.budget is None or self.budget > 0, f"budget: must be positive, got {self.budget}")

    def changes(self) -> dict[str, float]:
        """The settings that it names."""
        return {key: value for key, value in asdict(self).items() if key not in ("arm", "budget") and value is not None}

    def over(self, shared: ClassifierConfig) -> ClassifierConfig:
        """`shared` with them. Raises ValueError naming the one that is wrong."""
        return replace(shared, **self.changes())  # type: ignore[arg-type]
