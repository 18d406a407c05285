"""Real-ESRGAN's compact networks: a plain chain of convolutions, and all enlarging at the end."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from engine.upscalers.network import Family, Network, Tensors, conv, length, root


class Config(NamedTuple):
    """What the tensors' shapes say."""

    channels: int
    width: int
    convs: int
    """Between the first and the last."""
    scale: int


class SRVGGNetCompact(Network):
    """`realesrgan/archs/srvgg_arch.py` of https://github.com/xinntao/Real-ESRGAN, with PReLU as its models have."""

    def __init__(self, config: Config) -> None:
        super().__init__(scale=config.scale, channels=config.channels)
        width = config.width
        layers: list[nn.Module] = [conv(config.channels, width), nn.PReLU(width)]
        for _ in range(config.convs):
            layers += [conv(width, width), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, conv(width, config.channels * config.scale**2))

    def forward(self, pixels: Tensor) -> Tensor:
        enlarged = functional.interpolate(pixels, scale_factor=self.scale, mode="nearest")
        return enlarged + functional.pixel_shuffle(self.body(pixels), self.scale)


def configuration(tensors: Tensors) -> Config:
    """The hyperparameters."""
    layers = length(tensors, "body")
    width, channels = tensors["body.0.weight"].shape[:2]
    scale = root(tensors[f"body.{layers - 1}.weight"].shape[0] // channels)
    return Config(channels=channels, width=width, convs=(layers - 3) // 2, scale=scale)


FAMILY = Family(
    name="Real-ESRGAN compact",
    signs=(frozenset({"body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight"}),),
    lacks=frozenset({"conv_first.weight", "body.1.bias"}),
    tidied=dict,
    network=lambda tensors: SRVGGNetCompact(configuration(tensors)),
)
