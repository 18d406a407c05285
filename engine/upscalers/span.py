"""SPAN: six small blocks whose attention has no weights of its own."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.upscalers.network import Family, Network, Tensors, conv, mean_of, root

_RANGE = 255.0
_BLOCKS = 6
_NO_NORM = "no_norm"
"""A mark in files whose network takes the pixels as they are."""


class Config(NamedTuple):
    """What the tensors' shapes say."""

    channels: int
    width: int
    scale: int
    centred: bool


class SPAN(Network):
    """Swift parameter-free attention network, Wan et al. 2024 (https://arxiv.org/abs/2311.12770).

    Published files have each convolution as the branches it was trained with; here they are one, see `tidied`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(scale=config.scale, channels=config.channels)
        width = config.width
        self.centred = config.centred
        self.register_buffer("mean", mean_of(config.channels), persistent=False)
        self.conv_1 = conv(config.channels, width)
        self.blocks = tuple(f"block_{number}" for number in range(1, _BLOCKS + 1))
        for name in self.blocks:
            self.add_module(name, _Block(width))
        self.conv_2 = conv(width, width)
        self.conv_cat = conv(4 * width, width, 1)
        self.upsampler = nn.Sequential(conv(width, config.channels * config.scale**2), nn.PixelShuffle(config.scale))

    def forward(self, pixels: Tensor) -> Tensor:
        if self.centred:
            pixels = (pixels - self.get_buffer("mean")) * _RANGE
        first = self.conv_1(pixels)
        seen, inner = [first], first
        for name in self.blocks:
            features, inner = self.get_submodule(name)(seen[-1])
            seen.append(features)
        return self.upsampler(self.conv_cat(torch.cat((first, self.conv_2(seen[-1]), seen[1], inner), 1)))


class _Block(nn.Module):
    """Gives its features, and those after its first convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (conv(width, width) for _ in range(3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        inner = functional.silu(self.c1_r(features))
        last = self.c3_r(functional.silu(self.c2_r(inner)))
        return (last + features) * (torch.sigmoid(last) - 0.5), inner


def configuration(tensors: Tensors) -> Config:
    """The hyperparameters of tensors with each convolution as one."""
    width, channels = tensors["conv_1.weight"].shape[:2]
    scale = root(tensors["upsampler.0.weight"].shape[0] // channels)
    return Config(channels=channels, width=width, scale=scale, centred=_NO_NORM not in tensors)


def tidied(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors with each convolution as one: what its branches add up to, or, without them, its `eval_conv`."""
    tidy = dict(_plain(tensors))
    for name in tensors:
        if name.endswith(".sk.weight"):
            path = name.removesuffix(".sk.weight")
            tidy[f"{path}.weight"], tidy[f"{path}.bias"] = _fused(path, tensors)
    return tidy


def _plain(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        path, _, branch = name.removesuffix(".weight").removesuffix(".bias").rpartition(".")
        if branch == "eval_conv":
            yield f"{path}.{name.rpartition('.')[2]}", tensor
        elif branch != "sk" and not path.endswith(".conv") and name != _NO_NORM:
            yield name, tensor


def _fused(path: str, tensors: Tensors) -> tuple[Tensor, Tensor]:
    """1x1, 3x3 and 1x1 convolution in a row, beside one of 1x1, as the one of 3x3 that the paper infers with."""
    (enter, enter_bias), (middle, middle_bias), (leave, leave_bias), (side, side_bias) = (
        (tensors[f"{path}.{branch}.weight"].float(), tensors[f"{path}.{branch}.bias"].float())
        for branch in ("conv.0", "conv.1", "conv.2", "sk")
    )
    enter, leave = enter[:, :, 0, 0], leave[:, :, 0, 0]
    weight = torch.einsum("ob,bahw,ai->oihw", leave, middle, enter)
    weight[:, :, 1, 1] += side[:, :, 0, 0]
    return weight, leave @ (middle.sum((2, 3)) @ enter_bias + middle_bias) + leave_bias + side_bias


FAMILY = Family(
    name="SPAN",
    signs=tuple(
        frozenset({f"conv_1.{one}.weight", f"block_1.c1_r.{one}.weight", "conv_cat.weight", "upsampler.0.weight"})
        for one in ("sk", "eval_conv")
    ),
    lacks=frozenset(),
    tidied=tidied,
    network=lambda tensors: SPAN(configuration(tidied(tensors) | {n: t for n, t in tensors.items() if n == _NO_NORM})),
)
