"""ESRGAN and Real-ESRGAN: dense blocks inside residual blocks inside a residual trunk, then nearest and convolution."""

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.upscalers.network import Family, Network, Tensors, conv, length, root

_SLOPE = 0.2
_RESIDUAL = 0.2
_OLD_BLOCK = re.compile(r"(?:model\.1\.sub|RRDB_trunk)\.(\d+)\.RDB([123])\.conv(1x1|[1-5])(?:\.0)?\.(weight|bias)")
_OLD_LAYER = re.compile(r"model\.(\d+)\.weight")
_OLD_BODY = re.compile(r"model\.1\.sub\.\d+\.(weight|bias)")
_BSRGAN = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}


class Config(NamedTuple):
    """What the tensors' shapes say."""

    channels: int
    unshuffle: int
    """Real-ESRGAN's models of scale 2 and 1 fold so many pixels a side into channels first."""
    width: int
    growth: int
    blocks: int
    doublings: int
    plus: bool
    """With ESRGAN+'s inner shortcuts."""


class RRDBNet(Network):
    """ESRGAN, Wang et al. 2018 (https://arxiv.org/abs/1809.00219); Real-ESRGAN, Wang et al. 2021 (2107.10833).

    Its tensors have the names of https://github.com/xinntao/Real-ESRGAN.
    """

    def __init__(self, config: Config) -> None:
        scale, rest = divmod(2**config.doublings, config.unshuffle)
        super().__init__(scale=0 if rest else scale, channels=config.channels, multiple=config.unshuffle)
        width = config.width
        self.unshuffle = config.unshuffle
        self.conv_first = conv(config.channels * config.unshuffle**2, width)
        self.body = nn.Sequential(*(_Block(config) for _ in range(config.blocks)))
        self.conv_body = conv(width, width)
        self.ups = tuple(f"conv_up{number}" for number in range(1, config.doublings + 1))
        for name in self.ups:
            self.add_module(name, conv(width, width))
        self.conv_hr = conv(width, width)
        self.conv_last = conv(width, config.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        if self.unshuffle > 1:
            pixels = functional.pixel_unshuffle(pixels, self.unshuffle)
        features = self.conv_first(pixels)
        features = features + self.conv_body(self.body(features))
        for name in self.ups:
            doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = _leaky(self.get_submodule(name)(doubled))
        return self.conv_last(_leaky(self.conv_hr(features)))


class _Block(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_DenseBlock(config) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        return features + _RESIDUAL * self.rdb3(self.rdb2(self.rdb1(features)))


class _DenseBlock(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, growth = config.width, config.growth
        self.conv1, self.conv2, self.conv3, self.conv4 = (conv(width + i * growth, growth) for i in range(4))
        self.conv5 = conv(width + 4 * growth, width)
        self.conv1x1 = nn.Conv2d(width, growth, 1, bias=False) if config.plus else None

    def forward(self, features: Tensor) -> Tensor:
        first = _leaky(self.conv1(features))
        second = _leaky(self.conv2(torch.cat((features, first), 1)))
        if self.conv1x1 is not None:
            second = second + self.conv1x1(features)
        third = _leaky(self.conv3(torch.cat((features, first, second), 1)))
        fourth = _leaky(self.conv4(torch.cat((features, first, second, third), 1)))
        if self.conv1x1 is not None:
            fourth = fourth + second
        return features + _RESIDUAL * self.conv5(torch.cat((features, first, second, third, fourth), 1))


def _leaky(features: Tensor) -> Tensor:
    return functional.leaky_relu(features, _SLOPE)


def configuration(tensors: Tensors) -> Config:
    """The hyperparameters of tensors under today's names."""
    width, folded = tensors["conv_first.weight"].shape[:2]
    channels = tensors["conv_last.weight"].shape[0]
    return Config(
        channels=channels,
        unshuffle=root(folded // channels),
        width=width,
        growth=tensors["body.0.rdb1.conv1.weight"].shape[0],
        blocks=length(tensors, "body"),
        doublings=sum(re.fullmatch(r"conv_up\d\.weight", name) is not None for name in tensors),
        plus="body.0.rdb1.conv1x1.weight" in tensors,
    )


def tidied(tensors: Tensors) -> dict[str, Tensor]:
    """The tensors under today's names, whichever of the three published forms they come in.

    ESRGAN's own numbers its layers in one sequence: first, trunk, an upsampling every third place, two at the end.
    """
    layers = sorted(int(found[1]) for name in tensors if (found := _OLD_LAYER.fullmatch(name)))
    ups = [f"conv_up{number}" for number in range(1, len(layers) - 2)]
    names = {
        f"model.{layer}": name
        for layer, name in zip(layers, ("conv_first", *ups, "conv_hr", "conv_last"), strict=False)
    }
    return {_today(name, names | _BSRGAN): tensor for name, tensor in tensors.items()}


def _today(name: str, layers: dict[str, str]) -> str:
    if found := _OLD_BLOCK.fullmatch(name):
        block, dense, which, kind = found.groups()
        return f"body.{block}.rdb{dense}.conv{which}.{kind}"
    if found := _OLD_BODY.fullmatch(name):
        return f"conv_body.{found[1]}"
    layer, _, kind = name.rpartition(".")
    return f"{layers.get(layer, layer)}.{kind}"


FAMILY = Family(
    name="ESRGAN",
    signs=(
        frozenset({"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", "conv_last.weight"}),
        frozenset({"model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"}),
        frozenset({"conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight", "conv_last.weight"}),
    ),
    lacks=frozenset(),
    tidied=tidied,
    network=lambda tensors: RRDBNet(configuration(tidied(tensors))),
)
