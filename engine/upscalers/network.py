"""What every family of upscalers gives: a network that knows its scale, and how its files are recognised."""

from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]
RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Of DIV2K, the photographs that most upscalers are trained on; taken off what goes in, in 0 to 1."""
MAX_SCALE = 16
"""Published networks have at most 8; one of a hundred would fill the memory with a single tile."""


class Network(nn.Module):
    """Enlarges float pixels [b, channels, h, w] in 0 to 1; h and w must be multiples of `multiple`."""

    def __init__(self, *, scale: int, channels: int, multiple: int = 1) -> None:
        super().__init__()
        if not 1 <= scale <= MAX_SCALE:
            raise ValueError(f"a scale of {scale}")
        self.scale, self.channels, self.multiple = scale, channels, multiple


class Family(NamedTuple):
    """One architecture; its conditions exclude those of the others, so their order means nothing."""

    name: str
    signs: tuple[frozenset[str], ...]
    """A file is of the family if it has all tensors of one of these sets ..."""
    lacks: frozenset[str]
    """... and none of these."""
    tidied: Callable[[Tensors], dict[str, Tensor]]
    """The tensors under the names that the network has, without those that follow from others."""
    network: Callable[[Tensors], Network]
    """The network for tensors as published, its hyperparameters read from their shapes; its own weights mean nothing.

    Raises LookupError, ValueError or ArithmeticError for tensors that no network of the family can have.
    """

    def recognises(self, names: Collection[str]) -> bool:
        """Whether a file with tensors of these names is of the family."""
        present = set(names)
        return any(sign <= present for sign in self.signs) and not self.lacks & present


def length(tensors: Collection[str], prefix: str) -> int:
    """How many modules stand under `prefix`.0, `prefix`.1 and so on, without a gap."""
    start = f"{prefix}."
    found = {name[len(start) :].partition(".")[0] for name in tensors if name.startswith(start)}
    return next(number for number in count() if str(number) not in found)


def conv(inner: int, outer: int, side: int = 3) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inner, outer, side, padding=side // 2)


def root(square: int) -> int:
    """The whole root of a square number. Raises ValueError for any other."""
    found = round(square**0.5)
    if found < 1 or found * found != square:
        raise ValueError(f"{square} is no square")
    return found


def mean_of(channels: int) -> Tensor:
    """What is taken off pixels of so many channels, [1, channels, 1, 1]; nothing where they are not colours."""
    values = RGB_MEAN if channels == len(RGB_MEAN) else (0.0,) * channels
    return torch.tensor(values, device="cpu").view(1, -1, 1, 1)
