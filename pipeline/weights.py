"""Trained weights on disk: safetensors, never pickled objects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import save_file
from safetensors.torch import load
from torch import nn

from pipeline.errors import InputError
from pipeline.files import reading


def save_weights(path: Path, weights: Mapping[str, Any]) -> None:
    """Write NumPy arrays by name, whole or not at all."""
    part = path.with_name(path.name + ".part")
    save_file(dict(sorted(weights.items())), part)
    os.replace(part, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load into `network`. Raises InputError naming the file if it is missing, damaged, or of another network."""
    with reading(path):
        arrays = load(path.read_bytes())  # not mapped: a file cut short in place would kill whoever had it mapped
    try:
        network.load_state_dict(arrays)
    except RuntimeError as error:
        raise InputError(f"{path}: of another network ({str(error).splitlines()[0]}); delete it") from None


def network_to_arrays(network: nn.Module) -> dict[str, Any]:
    """Weights and buffers as NumPy arrays by name, on the CPU."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}


def arrays_to_network(network: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Load what `network_to_arrays` gave into a network of the same shape."""
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
