"""Weights and pixels that follow from names and shapes alone, so that files hold only what a network made of them."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

DERIVED = (".relative_position_index", ".rpe_biases", ".attn_mask", ".attn_mask_0", ".attn_mask_1")
"""What published files carry and a network works out for itself."""


def tensor(name: str, shape: Sequence[int]) -> torch.Tensor:
    """The weight of that name; numpy promises that its generator gives the same numbers in every version."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    values = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).random(tuple(shape)) - 0.5
    values = values + 1 if name.endswith("running_var") else values * 0.4
    return torch.from_numpy(values.astype(np.float32))


def tensors(shapes: Mapping[str, Sequence[int]]) -> dict[str, torch.Tensor]:
    """A network's weights."""
    return {name: tensor(name, shape) for name, shape in shapes.items()}


def pixels(channels: int, side: int) -> torch.Tensor:
    """What is enlarged, [1, channels, side, side] in 0 to 1."""
    return tensor("pixels", (1, channels, side, side)) / 0.4 + 0.5
