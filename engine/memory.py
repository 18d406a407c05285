"""What a picture will need in memory, and the step down when it will not fit."""

import math
from pathlib import Path
from typing import NamedTuple

import psutil

from engine.errors import OutOfMemory
from engine.formats.safetensors import read_header
from engine.library.recognise import weights as weights_file
from engine.messages import Device, ModelCard
from engine.settings import GenerateSettings

_BYTES = {"int8": 1, "bf16": 2, "fp16": 2, "fp32": 4}
_DECODER_BYTES_A_PIXEL = 4000
"""Peak of decoding with a VAE of Stable Diffusion 1.x's shape; measured 3,860 on torch and 3,140 on OpenVINO at 512."""
_TILE_PIXELS = 512 * 512
_WORKSPACE = 400 * 2**20
"""Libraries, the denoiser's activations and what the system needs to stay quick."""


class Plan(NamedTuple):
    """How a picture is made so that it fits."""

    tiled: bool
    """Decode in tiles."""
    needed_bytes: int
    notes: tuple[str, ...]


def plan(device: Device, settings: GenerateSettings, card: ModelCard | None, nets: list[Path]) -> Plan:
    """The first plan that fits into what is free now. Raises OutOfMemory with the figures where none does.

    `card` and `nets` are the model and the folders of the ControlNets that are still to be loaded.
    """
    free = free_bytes(device)
    numbers = (card.parameters if card else 0) + sum(map(_parameters, nets))
    weights = numbers * _BYTES[device.precisions[0]] + (_WORKSPACE if card else 0)
    pixels = (settings.width or 0) * (settings.height or 0)
    whole = weights + pixels * _DECODER_BYTES_A_PIXEL
    if whole <= free:
        return Plan(False, whole, ())
    tiled = weights + min(pixels, _TILE_PIXELS) * _DECODER_BYTES_A_PIXEL + pixels * 12
    if tiled <= free:
        return Plan(True, tiled, ("Decoded in tiles, because memory is short.",))
    raise OutOfMemory(
        f"This picture needs about {_gb(tiled)} of memory and {_gb(free)} is free.",
        "Use a smaller size or a smaller model, or close other programs.",
    )


def _parameters(folder: Path) -> int:
    return sum(math.prod(tensor.shape) for tensor in read_header(weights_file(folder)).tensors.values())


def free_bytes(device: Device) -> int:
    """What is free on the device now."""
    if device.backend == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
