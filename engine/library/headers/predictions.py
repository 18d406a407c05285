"""Whether a Stable Diffusion 2 model predicts the noise or the velocity, by the one small tensor that tells."""

import struct
from math import isfinite
from pathlib import Path
from statistics import pstdev

from engine.errors import EaselError
from engine.formats.headers import bytes_of
from engine.formats.safetensors import Header
from engine.library.headers.signs import ROOTS, path
from engine.library.headers.unets import PREDICTIONS

_TELLING = (
    "output_blocks.11.1.transformer_blocks.0.norm1.bias",
    "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias",
)
_LIMIT = 0.09
"""Above it, the spread of that bias is one of models that predict velocity; a finding of ComfyUI's."""
_MOST = 1280
_FORMATS = {"F16": "e", "F32": "f", "F64": "d", "BF16": "H"}


def prediction_of(file: Path, header: Header) -> str:
    """Either "epsilon" or "v-prediction"; empty where the tensor is missing, packed, or cannot be read."""
    for name in (path(root, name) for root in ROOTS for name in _TELLING):
        tensor = header.tensors.get(name)
        if (
            tensor is not None
            and tensor.dtype in _FORMATS
            and 2 <= sum(tensor.shape) <= _MOST
            and len(tensor.shape) == 1
        ):
            numbers = _numbers(file, name, tensor.shape[0], _FORMATS[tensor.dtype])
            sound = numbers and all(map(isfinite, numbers))
            return PREDICTIONS[pstdev(numbers) > _LIMIT] if sound else ""
    return ""


def _numbers(file: Path, name: str, count: int, form: str) -> list[float]:
    """The numbers of a tensor; none where they are not all there."""
    try:
        found = struct.unpack(f"<{count}{form}", bytes_of(file, name))
    except (EaselError, struct.error):
        return []
    if form != "H":
        return list(found)
    # bfloat16 is the upper half of a float32.
    return list(struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *(each << 16 for each in found))))
