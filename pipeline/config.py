"""Strict configuration: a mapping read from YAML becomes a frozen dataclass, or an error that names the key."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pipeline.errors import InputError

T = TypeVar("T")


def from_mapping(cls: type[T], values: object, where: str) -> T:
    """Build dataclass `cls` from `values`, a section of params.yaml called `where`.

    Every key must be a field of `cls` and every field without a default must be there; an int is taken where a float
    is asked for, nothing else is converted. Checks of values belong in the dataclass's `__post_init__`, which raises
    ValueError with a text that begins with the field's name.

    Raises InputError naming the key (`gan.steps`) and what would be right.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a section of keys, got {values!r}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(fields)}"
            raise InputError(f"{where}.{key}: unknown key; {hint}")
    hints = typing.get_type_hints(cls)
    converted = {}
    for name, field in fields.items():
        if name in values:
            converted[name] = _convert(hints[name], values[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}.{name}: missing; add it to the section {where}")
    try:
        return cls(**converted)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}.{error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, where)  # type: ignore[arg-type]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value in args:
            return value
        raise InputError(f"{where}: must be one of {', '.join(map(str, args))}, got {value!r}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (only,) = (a for a in args if a is not type(None))
        return _convert(only, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: must be a list, got {value!r}")
        return tuple(_convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InputError(f"{where}: must be {_NAMES.get(hint, hint.__name__)}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: must be finite, got {value!r}")
    return value


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def require(condition: bool, message: str) -> None:
    """Raise ValueError(message) unless `condition`: the one-line form of a check in `__post_init__`."""
    if not condition:
        raise ValueError(message)
