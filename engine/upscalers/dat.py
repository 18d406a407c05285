"""DAT: transformer blocks that attend in turn among the pixels of a window and among channels."""

from math import lcm, prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.upscalers import windows
from engine.upscalers.network import Family, Network, Tensors, conv, length, mean_of, root
from engine.upscalers.tails import pixel_shuffles, residual_conv, shuffle_factors

_DERIVED = (".relative_position_index", ".rpe_biases", ".attn_mask_0", ".attn_mask_1")


class Config(NamedTuple):
    """What the tensors' shapes say; the window's sides alone are read from values."""

    channels: int
    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: windows.Size
    """Of the first half of the heads; the second half's lies on its side."""
    hidden: int
    qkv_bias: bool
    three_convs: bool
    features: int
    """Channels while it is enlarged; 0 where one convolution and a pixel shuffle do it all (DAT-light)."""
    factors: tuple[int, ...]


class DAT(Network):
    """Dual aggregation transformer, Chen et al. 2023 (https://arxiv.org/abs/2308.03364).

    Its tensors have the names of https://github.com/zhengchen1999/DAT.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(scale=prod(config.factors), channels=config.channels, multiple=lcm(*config.window))
        width, features, channels = config.width, config.features, config.channels
        self.window = config.window
        self.register_buffer("mean", mean_of(channels), persistent=False)
        self.conv_first = conv(channels, width)
        self.before_RG = nn.Sequential(nn.Identity(), nn.LayerNorm(width))
        self.layers = nn.ModuleList(_Group(config, number) for number in range(len(config.depths)))
        self.norm = nn.LayerNorm(width)
        self.conv_after_body = residual_conv(width, three=config.three_convs)
        if features:
            self.conv_before_upsample = nn.Sequential(conv(width, features), nn.LeakyReLU())
            self.upsample = pixel_shuffles(features, config.factors)
            self.conv_last = conv(features, channels)
        else:
            (factor,) = config.factors
            self.upsample = nn.Sequential(conv(width, channels * factor**2), nn.PixelShuffle(factor))
        self.direct = not features

    def forward(self, pixels: Tensor) -> Tensor:
        mean = self.get_buffer("mean")
        shallow = self.conv_first(pixels - mean)
        size = (int(shallow.shape[2]), int(shallow.shape[3]))
        masks = tuple(windows.mask(size, window, shallow) for window in _both(self.window))
        tokens = self.before_RG(shallow.permute(0, 2, 3, 1))
        for group in self.layers:
            tokens = group(tokens, masks)
        deep = self.conv_after_body(self.norm(tokens).permute(0, 3, 1, 2)) + shallow
        if self.direct:
            return self.upsample(deep) + mean
        return self.conv_last(self.upsample(self.conv_before_upsample(deep))) + mean


class _Group(nn.Module):
    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(config, number, place) for place in range(config.depths[number]))
        self.conv = residual_conv(config.width, three=config.three_convs)

    def forward(self, tokens: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        """Tokens are [b, h, w, c] all the way."""
        inner = tokens
        for block in self.blocks:
            inner = block(inner, masks)
        return tokens + self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Block(nn.Module):
    """Every second block attends among channels; of the others every second has its windows moved."""

    def __init__(self, config: Config, group: int, place: int) -> None:
        super().__init__()
        heads = config.heads[group]
        shifted = place % 4 == (2 if group % 2 == 0 else 0)
        self.norm1 = nn.LayerNorm(config.width)
        self.attn = _AmongChannels(config, heads) if place % 2 else _AmongPixels(config, heads, shifted=shifted)
        self.norm2 = nn.LayerNorm(config.width)
        self.ffn = _GatedMlp(config.width, config.hidden)

    def forward(self, tokens: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), masks)
        return tokens + self.ffn(self.norm2(tokens))


class _Aggregation(nn.Module):
    """Attention and a convolution side by side, each weighted by what the other has seen."""

    def __init__(self, config: Config, heads: int) -> None:
        super().__init__()
        width, self.heads = config.width, heads
        self.qkv = nn.Linear(width, 3 * width, bias=config.qkv_bias)
        self.proj = nn.Linear(width, width)
        self.dwconv = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width), nn.GELU()
        )
        self.channel_interaction = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *_narrowed(width, width // 8), nn.Conv2d(width // 8, width, 1)
        )
        self.spatial_interaction = nn.Sequential(
            *_narrowed(width, width // 16), nn.Conv2d(width // 16, 1, 1)
        )  # fmt: skip

    def _channel_weights(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.channel_interaction(features))

    def _pixel_weights(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.spatial_interaction(features))


class _AmongPixels(_Aggregation):
    def __init__(self, config: Config, heads: int, *, shifted: bool) -> None:
        super().__init__(config, heads)
        self.window, self.shifted = config.window, shifted
        self.attns = nn.ModuleList(_WindowBias(config, heads // 2, window) for window in _both(config.window))

    def forward(self, tokens: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        qkv = self.qkv(tokens)
        convolved = self.dwconv(qkv.chunk(3, -1)[2].permute(0, 3, 1, 2))
        halves = qkv.unflatten(-1, (3, 2, -1)).unbind(-2)
        seen = torch.cat([self._half(half, number, masks[number]) for number, half in enumerate(halves)], -1)
        attended = seen.permute(0, 3, 1, 2)
        mixed = attended * self._channel_weights(convolved) + convolved * self._pixel_weights(attended)
        return self.proj(mixed.permute(0, 2, 3, 1))

    def _half(self, qkv: Tensor, number: int, mask: Tensor) -> Tensor:
        """Half of the heads: [b, h, w, 3, c / 2] to [b, h, w, c / 2]."""
        window = _both(self.window)[number]
        down, right = (side // 2 if self.shifted else 0 for side in window)
        size = (int(qkv.shape[1]), int(qkv.shape[2]))
        parts = windows.split(qkv.flatten(3).roll((-down, -right), (1, 2)), window)
        query, key, value = parts.unflatten(-1, (3, self.heads // 2, -1)).permute(2, 0, 3, 1, 4)
        seen = windows.attention(query, key, value, self.attns[number](), mask if self.shifted else None)
        return windows.joined(seen, window, size).roll((down, right), (1, 2))


class _WindowBias(nn.Module):
    """The bias [heads, n, n] between the pixels of a window, from a small network of their offsets."""

    def __init__(self, config: Config, heads: int, window: windows.Size) -> None:
        super().__init__()
        self.register_buffer("numbers", windows.offset_numbers(window), persistent=False)
        self.register_buffer("offsets", windows.offsets(window), persistent=False)
        width = config.width // 2 // 4 // 4  # each half of the heads has half of the channels
        layers: dict[str, nn.Module] = {"pos_proj": nn.Linear(2, width)}
        for name, outer in (("pos1", width), ("pos2", width), ("pos3", heads)):
            layers[name] = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outer))
        self.pos = nn.ModuleDict(layers)

    def forward(self) -> Tensor:
        bias = self.get_buffer("offsets")
        for layer in self.pos.values():
            bias = layer(bias)
        return bias[self.get_buffer("numbers")].permute(2, 0, 1)


class _AmongChannels(_Aggregation):
    def __init__(self, config: Config, heads: int) -> None:
        super().__init__(config, heads)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, tokens: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        del masks  # among channels there are no windows
        qkv = self.qkv(tokens).permute(0, 3, 1, 2)
        query, key, value = qkv.flatten(2).unflatten(1, (3, self.heads, -1)).unbind(1)
        scores = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
        seen = (scores * self.temperature).softmax(-1) @ value
        convolved = self.dwconv(qkv.chunk(3, 1)[2])
        attended = seen.flatten(1, 2).unflatten(-1, qkv.shape[2:])
        mixed = attended * self._pixel_weights(convolved) + convolved * self._channel_weights(attended)
        return self.proj(mixed.permute(0, 2, 3, 1))


class _GatedMlp(nn.Module):
    """One half of the hidden channels multiplied with the other, seen through a convolution."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        half = hidden // 2
        self.fc1 = nn.Linear(width, hidden)
        self.sg = nn.ModuleDict(
            {"norm": nn.LayerNorm(half), "conv": nn.Conv2d(half, half, 3, padding=1, groups=half)}
        )  # fmt: skip
        self.fc2 = nn.Linear(half, width)

    def forward(self, tokens: Tensor) -> Tensor:
        one, other = functional.gelu(self.fc1(tokens)).chunk(2, -1)
        gate = self.sg["conv"](self.sg["norm"](other).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.fc2(one * gate)


def _narrowed(width: int, narrow: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(width, narrow, 1), nn.BatchNorm2d(narrow), nn.GELU()


def _both(window: windows.Size) -> tuple[windows.Size, windows.Size]:
    return window, (window[1], window[0])


def configuration(tensors: Tensors) -> Config:
    """The hyperparameters of tensors as published."""
    width, channels = tensors["conv_first.weight"].shape[:2]
    depths = tuple(length(tensors, f"layers.{group}.blocks") for group in range(length(tensors, "layers")))
    direct = "conv_last.weight" not in tensors
    factors = (root(tensors["upsample.0.weight"].shape[0] // channels),) if direct else shuffle_factors(tensors)
    return Config(
        channels=channels,
        width=width,
        depths=depths,
        heads=tuple(_heads(tensors, group, depth) for group, depth in enumerate(depths)),
        window=_window(tensors["layers.0.blocks.0.attn.attns.0.rpe_biases"]),
        hidden=tensors["layers.0.blocks.0.ffn.fc1.weight"].shape[0],
        qkv_bias="layers.0.blocks.0.attn.qkv.bias" in tensors,
        three_convs="conv_after_body.0.weight" in tensors,
        features=0 if direct else tensors["conv_before_upsample.0.weight"].shape[0],
        factors=factors,
    )


def _heads(tensors: Tensors, group: int, depth: int) -> int:
    if depth > 1:
        return tensors[f"layers.{group}.blocks.1.attn.temperature"].shape[0]
    return 2 * tensors[f"layers.{group}.blocks.0.attn.attns.0.pos.pos3.2.weight"].shape[0]


def _window(offsets: Tensor) -> windows.Size:
    """The largest offset is that between opposite corners; two sides cannot be told apart by their product alone."""
    down, right = (float(side) for side in offsets[-1])
    if not (0 <= down < windows.MOST and 0 <= right < windows.MOST):
        raise ValueError("a window without a size")
    return int(down) + 1, int(right) + 1


FAMILY = Family(
    name="DAT",
    signs=(
        frozenset(
            {"conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.attn.attns.0.rpe_biases", "norm.weight"}
        ),
    ),
    lacks=frozenset(),
    tidied=lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.endswith(_DERIVED)},
    network=lambda tensors: DAT(configuration(tensors)),
)
