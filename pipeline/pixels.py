"""Pixels between what files hold, bytes, and what networks read: float32 in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.images import LabelledImages


def to_tensors(images: LabelledImages, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels float32 (N, C, H, W) in [-1, 1] and labels int64 (N,), both on `device`."""
    return to_pixels(torch.tensor(images.pixels, device=device)), torch.tensor(images.labels, device=device)


def to_pixels(bytes_: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1], which takes four times as much memory."""
    return bytes_.float().div_(127.5).sub_(1)


def to_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """The inverse of `to_tensors`: (N, C, H, W) in [-1, 1] to uint8, rounded, rows in C order."""
    bytes_ = pixels.detach().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(bytes_.cpu().numpy())
