"""The learning-rate check: would an arm gain by another rate than the one that all share?

docs/rates.csv holds what `python -m benchmarks.development rates` measured on the development part: a row an arm, rate
and replicate, under the params that made it, each in a column of its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RATES = Path("docs/rates.csv")
RATE = "classifier.learning_rate"
# The params that an accuracy on the development part depends on, but for the seed and the budget.
MEASURED = ("data.source", "data.image_size", "gan.recipe", "gan.steps", "generate.per_class", "arms", "classifier")


def params_to_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of every param in `MEASURED`, sections flattened; None where a section or key is missing."""
    found: dict[str, Any] = {}
    for key in MEASURED:
        value: Any = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        found |= _flat(key, value)
    return found


def _flat(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {key: value}
    return {name: leaf for part, inner in value.items() for name, leaf in _flat(f"{key}.{part}", inner).items()}
