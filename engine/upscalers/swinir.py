"""SwinIR: residual groups of Swin transformer blocks between convolutions."""

from itertools import count, takewhile
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.upscalers import windows
from engine.upscalers.network import Family, Network, Tensors, conv, length, mean_of, root
from engine.upscalers.tails import pixel_shuffles, residual_conv, shuffle_factors

Tail = Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv", ""]
_SLOPE = 0.2
_DERIVED = (".relative_position_index", ".attn_mask")
_JPEG_WINDOW = 7
"""Only the published models against JPEG's blocks have windows of 7, and only they take pixels in 0 to 255."""


class Config(NamedTuple):
    """What the tensors' shapes say."""

    channels: int
    unshuffle: int
    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    hidden: int
    qkv_bias: bool
    three_convs: bool
    tail: Tail
    features: int
    """Channels while it is enlarged; 0 where the tail has no such stage."""
    factors: tuple[int, ...]
    """By which the tail enlarges, one after the other."""


class SwinIR(Network):
    """Liang et al. 2021 (https://arxiv.org/abs/2108.10257); names of https://github.com/JingyunLiang/SwinIR."""

    def __init__(self, config: Config) -> None:
        scale, rest = divmod(prod(config.factors), config.unshuffle)
        multiple = config.window * config.unshuffle
        super().__init__(scale=0 if rest else scale, channels=config.channels, multiple=multiple)
        width, self.tail = config.width, config.tail
        self.range = 255.0 if config.window == _JPEG_WINDOW else 1.0
        self.window = (config.window, config.window)
        self.register_buffer("mean", mean_of(config.channels), persistent=False)
        first = conv(config.channels * config.unshuffle**2, width)
        self.conv_first = nn.Sequential(nn.PixelUnshuffle(config.unshuffle), first) if config.unshuffle > 1 else first
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(width)})
        self.layers = nn.ModuleList(_Group(config, number) for number in range(len(config.depths)))
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = residual_conv(width, three=config.three_convs)
        self._add_tail(config)

    def _add_tail(self, config: Config) -> None:
        """Its modules have the names of the published ones, which differ from tail to tail."""
        width, features, channels = config.width, config.features, config.channels
        if config.tail in ("pixelshuffle", "nearest+conv"):
            self.conv_before_upsample = nn.Sequential(conv(width, features), nn.LeakyReLU())
        if config.tail == "pixelshuffle":
            self.upsample = pixel_shuffles(features, config.factors)
        elif config.tail == "pixelshuffledirect":
            (factor,) = config.factors
            self.upsample = nn.Sequential(conv(width, channels * factor**2), nn.PixelShuffle(factor))
        self.ups = tuple(f"conv_up{number}" for number, _ in enumerate(config.factors, start=1))
        if config.tail == "nearest+conv":
            for name in (*self.ups, "conv_hr"):
                self.add_module(name, conv(features, features))
        if config.tail != "pixelshuffledirect":
            self.conv_last = conv(features or width, channels)

    def forward(self, pixels: Tensor) -> Tensor:
        mean = self.get_buffer("mean")
        centred = (pixels - mean) * self.range
        shallow = self.conv_first(centred)
        deep = self.conv_after_body(self._deep(shallow)) + shallow
        return self._enlarged(deep, centred) / self.range + mean

    def _deep(self, features: Tensor) -> Tensor:
        height, width = (int(side) for side in features.shape[2:])
        mask = windows.mask((height, width), self.window, features)
        tokens = self.patch_embed["norm"](features.permute(0, 2, 3, 1))
        for group in self.layers:
            tokens = group(tokens, mask)
        return self.norm(tokens).permute(0, 3, 1, 2)

    def _enlarged(self, features: Tensor, pixels: Tensor) -> Tensor:
        if self.tail == "pixelshuffledirect":
            return self.upsample(features)
        if self.tail == "":
            return pixels + self.conv_last(features)
        features = self.conv_before_upsample(features)
        if self.tail == "pixelshuffle":
            return self.conv_last(self.upsample(features))
        for name in self.ups:
            doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = functional.leaky_relu(self.get_submodule(name)(doubled), _SLOPE)
        return self.conv_last(functional.leaky_relu(self.get_submodule("conv_hr")(features), _SLOPE))


class _Group(nn.Module):
    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        blocks = (
            _Block(config, config.heads[number], shifted=block % 2 == 1) for block in range(config.depths[number])
        )
        self.residual_group = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.conv = residual_conv(config.width, three=config.three_convs)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens are [b, h, w, c] all the way."""
        inner = tokens
        for block in self.residual_group["blocks"]:  # pyright: ignore[reportGeneralTypeIssues]
            inner = block(inner, mask)
        return tokens + self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Block(nn.Module):
    def __init__(self, config: Config, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.window, self.shift = config.window, config.window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = _Attention(config, heads)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(config.width, config.hidden), "fc2": nn.Linear(config.hidden, config.width)}
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        tokens = tokens + self._attended(self.norm1(tokens), mask)
        return tokens + self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(tokens))))

    def _attended(self, tokens: Tensor, mask: Tensor) -> Tensor:
        size, window, shift = (int(tokens.shape[1]), int(tokens.shape[2])), (self.window, self.window), self.shift
        if not shift:
            return windows.joined(self.attn(windows.split(tokens, window), None), window, size)
        rolled = windows.split(tokens.roll((-shift, -shift), (1, 2)), window)
        return windows.joined(self.attn(rolled, mask), window, size).roll((shift, shift), (1, 2))


class _Attention(nn.Module):
    def __init__(self, config: Config, heads: int) -> None:
        super().__init__()
        self.heads = heads
        numbers = windows.offset_numbers((config.window, config.window))
        self.register_buffer("numbers", numbers, persistent=False)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * config.window - 1) ** 2, heads))
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=config.qkv_bias)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.get_buffer("numbers")].permute(2, 0, 1)
        return self.proj(windows.attention(query, key, value, bias, mask))


def configuration(tensors: Tensors) -> Config:
    """The hyperparameters."""
    first = tensors.get("conv_first.1.weight", tensors.get("conv_first.weight"))
    if first is None:
        raise LookupError("conv_first")
    unshuffle = root(first.shape[1] // 3) if "conv_first.1.weight" in tensors else 1
    width, channels = first.shape[0], first.shape[1] // unshuffle**2
    groups = range(length(tensors, "layers"))
    block = "residual_group.blocks.0"
    tables = [tensors[f"layers.{group}.{block}.attn.relative_position_bias_table"] for group in groups]
    tail = _tail(tensors)
    features = tensors["conv_before_upsample.0.weight"].shape[0] if tail in ("pixelshuffle", "nearest+conv") else 0
    return Config(
        channels=channels,
        unshuffle=unshuffle,
        width=width,
        depths=tuple(length(tensors, f"layers.{group}.residual_group.blocks") for group in groups),
        heads=tuple(table.shape[1] for table in tables),
        window=(root(tables[0].shape[0]) + 1) // 2,
        hidden=tensors[f"layers.0.{block}.mlp.fc1.weight"].shape[0],
        qkv_bias=f"layers.0.{block}.attn.qkv.bias" in tensors,
        three_convs="conv_after_body.0.weight" in tensors,
        tail=tail,
        features=features,
        factors=_factors(tensors, tail, channels),
    )


def _tail(tensors: Tensors) -> Tail:
    if "conv_before_upsample.0.weight" in tensors:
        return "nearest+conv" if "conv_up1.weight" in tensors else "pixelshuffle"
    return "pixelshuffledirect" if "upsample.0.weight" in tensors else ""


def _factors(tensors: Tensors, tail: Tail, channels: int) -> tuple[int, ...]:
    match tail:
        case "pixelshuffle":
            return shuffle_factors(tensors)
        case "pixelshuffledirect":
            return (root(tensors["upsample.0.weight"].shape[0] // channels),)
        case "nearest+conv":
            return tuple(2 for _ in takewhile(lambda number: f"conv_up{number}.weight" in tensors, count(1)))
        case _:
            return ()


FAMILY = Family(
    name="SwinIR",
    signs=tuple(
        frozenset({first, "layers.0.residual_group.blocks.0.attn.relative_position_bias_table", "norm.weight"})
        for first in ("conv_first.weight", "conv_first.1.weight")
    ),
    lacks=frozenset({"relative_position_index_SA", "patch_embed.proj.weight"}),
    tidied=lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.endswith(_DERIVED)},
    network=lambda tensors: SwinIR(configuration(tensors)),
)
