"""The pairs of networks by the name that a recipe calls them. A new pair is a file of this folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from pipeline.config import from_mapping
from pipeline.errors import InputError
from pipeline.gan.networks import dcgan, dcgan64, dense, dense_conv, folded
from pipeline.gan.networks.layers import Discriminator, Generator, NetworksConfig

# Each file holds a Config, a Generator and a Discriminator.
PAIRS: dict[str, ModuleType] = {
    "folded": folded,
    "dense": dense,
    "dense_conv": dense_conv,
    "dcgan": dcgan,
    "dcgan64": dcgan64,
}


class Parameters(NamedTuple):
    """Numbers that each network holds, batch norm's moving averages counted, as Keras counts."""

    generator: int
    discriminator: int


def mapping_to_networks(values: object, where: str) -> NetworksConfig:
    """The numbers of the pair that `values["name"]` names. Raises InputError that names the key which is wrong."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a section of keys, got {values!r}")
    name = values.get("name")
    if not isinstance(name, str) or name not in PAIRS:
        raise InputError(f"{where}.name: unknown networks {name!r}; known networks: {', '.join(PAIRS)}")
    config: NetworksConfig = from_mapping(PAIRS[name].Config, values, where)
    return config


def networks_to_mapping(networks: NetworksConfig) -> dict[str, Any]:
    """What `mapping_to_networks` reads."""
    return asdict(networks)  # type: ignore[call-overload, no-any-return]


def new_generator(shape: tuple[int, int, int], classes: int | None, networks: NetworksConfig) -> Generator:
    """For images of `shape` (C, H, W); classes: None for a generator that reads no label.

    Raises InputError that says which sizes can be made, if this one can't.
    """
    generator: Generator = PAIRS[networks.name].Generator(shape, classes, networks)
    return generator


def new_discriminator(shape: tuple[int, int, int], classes: int | None, networks: NetworksConfig) -> Discriminator:
    """The other player of `new_generator`, which checks the shape."""
    discriminator: Discriminator = PAIRS[networks.name].Discriminator(shape, classes, networks)
    return discriminator


def count_parameters(shape: tuple[int, int, int], classes: int | None, networks: NetworksConfig) -> Parameters:
    """How large both networks would be; nothing is allocated. Raises InputError as `new_generator`."""
    with torch.device("meta"), _Unfilled():
        players = new_generator(shape, classes, networks), new_discriminator(shape, classes, networks)
    return Parameters(*(_count(player) for player in players))


class _Unfilled(TorchFunctionMode):
    """Leaves weights of the meta device unfilled: they have no values, and torch imports its compiler to fill them."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):  # nn.init's, and a tensor's own
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def _count(network: nn.Module) -> int:
    values: list[Any] = [*network.parameters(), *network.buffers()]
    return sum(value.numel() for value in values if value.is_floating_point())
