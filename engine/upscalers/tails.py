"""The ends that SwinIR and DAT share: convolutions after residual groups, and the enlarging."""

from collections.abc import Iterator

from torch import nn

from engine.upscalers.network import Tensors, conv, root

_SLOPE = 0.2


def residual_conv(width: int, *, three: bool) -> nn.Module:
    """One convolution, or three through a quarter of the width ("1conv" and "3conv" in the published options)."""
    if not three:
        return conv(width, width)
    narrow = width // 4
    return nn.Sequential(
        conv(width, narrow), nn.LeakyReLU(_SLOPE), conv(narrow, narrow, 1), nn.LeakyReLU(_SLOPE), conv(narrow, width)
    )


def pixel_shuffles(features: int, factors: tuple[int, ...]) -> nn.Sequential:
    """A convolution and a pixel shuffle for each factor."""
    layers: list[nn.Module] = []
    for factor in factors:
        layers += [conv(features, features * factor**2), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)


def shuffle_factors(tensors: Tensors) -> tuple[int, ...]:
    """The factors behind the tensors `upsample.0`, `upsample.2` and so on."""
    return tuple(_factors(tensors))


def _factors(tensors: Tensors) -> Iterator[int]:
    place = 0
    while f"upsample.{place}.weight" in tensors:
        wide, features = tensors[f"upsample.{place}.weight"].shape[:2]
        yield root(wide // features)
        place += 2
