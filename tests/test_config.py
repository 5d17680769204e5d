"""A section of params.yaml becomes a frozen dataclass, or one line that names the key."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest

from pipeline.config import from_mapping, require
from pipeline.errors import InputError
from pipeline.sources import DataConfig


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int

    def __post_init__(self) -> None:
        require(self.width > 0, f"width: must be above 0, got {self.width}")


@dataclasses.dataclass(frozen=True)
class Outer:
    steps: int
    rate: float
    recipe: Literal["small", "large"]
    inner: Inner
    budgets: tuple[int, ...] = (50,)
    device: str | None = None
    average: bool = True


GOOD: dict[str, Any] = {"steps": 3, "rate": 0.5, "recipe": "small", "inner": {"width": 8}}
DATA: dict[str, Any] = {
    "source": "mnist",
    "part": "all",
    "shift": "none",
    "root": "datasets",
    "image_size": 28,
    "channels": "auto",
    "test_fraction": 0.2,
    "split_seed": 0,
}


def test_a_good_section_is_built_with_its_parts() -> None:
    made = from_mapping(Outer, {**GOOD, "rate": 2, "budgets": [10, 20]}, "gan")
    assert made == Outer(3, 2.0, "small", Inner(8), (10, 20))
    assert isinstance(made.rate, float)


def test_null_is_taken_where_none_may_be_and_nowhere_else() -> None:
    assert from_mapping(Outer, {**GOOD, "device": None}, "gan").device is None
    with pytest.raises(InputError, match=r"^gan\.steps: must be a whole number, got None$"):
        from_mapping(Outer, {**GOOD, "steps": None}, "gan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepps": 3}, "gan.stepps: unknown key; did you mean steps?"),
        ({"zzz": 3}, "gan.zzz: unknown key; known keys: steps, rate, recipe, inner, budgets, device, average"),
        ({1: 3}, "gan.1: unknown key; known keys: steps, rate, recipe, inner, budgets, device, average"),
        ({"steps": "3"}, "gan.steps: must be a whole number, got '3'"),
        ({"steps": 3.0}, "gan.steps: must be a whole number, got 3.0"),
        ({"steps": True}, "gan.steps: must be a whole number, got True"),
        ({"rate": False}, "gan.rate: must be a number, got False"),
        ({"rate": "1e-3"}, "gan.rate: must be a number, got '1e-3'"),
        ({"average": 1}, "gan.average: must be true or false, got 1"),
        ({"device": 1}, "gan.device: must be a text, got 1"),
        ({"recipe": "big"}, "gan.recipe: must be one of small, large, got 'big'"),
        ({"recipe": []}, "gan.recipe: must be one of small, large, got []"),
        ({"budgets": 10}, "gan.budgets: must be a list, got 10"),
        ({"budgets": [10, "20"]}, "gan.budgets[1]: must be a whole number, got '20'"),
        ({"inner": 8}, "gan.inner: expected a section of keys, got 8"),
        ({"inner": {}}, "gan.inner.width: missing; add it to the section gan.inner"),
        ({"inner": {"width": 0}}, "gan.inner.width: must be above 0, got 0"),
    ],
)
def test_a_bad_key_is_named_in_one_line(change: dict[Any, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        from_mapping(Outer, {**GOOD, **change}, "gan")
    assert str(error.value) == message


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"^gan\.rate: missing; add it to the section gan$"):
        from_mapping(Outer, {key: value for key, value in GOOD.items() if key != "rate"}, "gan")


@pytest.mark.parametrize("values", [None, 3, ["steps"]])
def test_a_section_that_is_no_mapping_is_named(values: object) -> None:
    with pytest.raises(InputError, match=r"^gan: expected a section of keys, got "):
        from_mapping(Outer, values, "gan")


def test_the_data_section_is_built() -> None:
    assert from_mapping(DataConfig, DATA, "data") == DataConfig(**DATA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "cifar"}, "data.source: must be one of mnist, fashion_mnist, kmnist"),
        ({"root": ""}, "data.root: must name a folder, got an empty text"),
        ({"image_size": 7}, "data.image_size: must be 8 pixels or more, got 7"),
        ({"part": "test"}, "data.part: must be one of all, development, validation, got 'test'"),
        ({"shift": "turned"}, "data.shift: must be one of none, rotated, blurred, usps, got 'turned'"),
        (
            {"shift": "usps", "source": "usps"},
            "data.shift: usps is for mnist and emnist_digits, not for usps",
        ),
        (
            {"shift": "usps", "source": "kmnist"},
            "data.shift: usps is for mnist and emnist_digits, not for kmnist",
        ),
        ({"channels": "rgb"}, "data.channels: must be one of auto, grey, colour, got 'rgb'"),
        ({"channels": "colour"}, "data.channels: mnist is grey; colour is for the source folder"),
        ({"test_fraction": 1}, "data.test_fraction: must lie between 0 and 1, got 1.0"),
        ({"test_fraction": float("nan")}, "data.test_fraction: must be finite, got nan"),
        ({"split_seed": -1}, "data.split_seed: must be 0 or more, got -1"),
        ({"test_fractions": 0.2}, "data.test_fractions: unknown key; did you mean test_fraction?"),
    ],
)
def test_an_impossible_data_section_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        from_mapping(DataConfig, {**DATA, **change}, "data")
    assert str(error.value).startswith(message)
