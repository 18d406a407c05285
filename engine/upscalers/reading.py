"""Upscaler files: unwrapped, recognised by the names of their tensors, checked, and made ready to run."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import BadInput
from engine.formats.safetensors import read_header
from engine.upscalers import compact, dat, rrdb, span, swinir
from engine.upscalers.graph import Graph, traced
from engine.upscalers.network import Family, Network
from engine.upscalers.onnx_file import read_onnx
from engine.upscalers.upscaler import Run, Upscaler

FAMILIES: tuple[Family, ...] = (rrdb.FAMILY, compact.FAMILY, span.FAMILY, swinir.FAMILY, dat.FAMILY)

_FOREIGN = {
    "relative_position_index_SA": "HAT",
    "layers.0.residual_group.blocks.0.attn.logit_scale": "Swin2SR",
    "layers.0.swin1.norm1.weight": "DRCT",
    "residual_layer.0.residual_layer.0.layer.0.fn.0.weight": "OmniSR",
    "feats.1.lk.conv.weight": "PLKSR",
    "unet1.conv1.conv.0.weight": "Real-CUGAN",
}
"""Of families that are not run here: a tensor that no other has."""

# The best set of weights first: `params_ema` is the average that training codes mean to be used.
_WRAPPERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"params[_-]ema\.", r"params\.", r"model_state_dict\.", r"state_dict\.", r"module\.", r"netG\.", r"net\.",
        r"model\.(?!\d)",  # ESRGAN's own files have layers by number there
    )
)  # fmt: skip
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_DEVICES = {"torch": "cpu", "cuda": "cuda", "mps": "mps"}

_Entry = TypeVar("_Entry")


def read_upscaler(path: Path, backend: str = "torch", precision: str = "fp32") -> Upscaler:
    """The upscaler in a .safetensors or .onnx file; the latter run on OpenVINO whatever the backend.

    `backend` is "torch", "openvino", "cuda" or "mps"; `precision` "fp32", "bf16" or "fp16". On OpenVINO all but "fp32",
    int8 too, mean bf16 where the processor has it. Raises BadInput that names the file where it is no upscaler Easel
    runs, or damaged.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise BadInput(f"There is no file “{path}”.", "Check the name.", where=str(path))
    if suffix == ".onnx":
        return read_onnx(path, precision)
    family, network = _read(path)
    run = Graph(traced(network), precision) if backend == "openvino" else _on_torch(network, backend, precision)
    return Upscaler(path.stem, family.name, network.scale, run, network.channels, network.multiple)


def recognise(names: Collection[str]) -> Family | None:
    """The family that tensors of these names, already unwrapped, are of."""
    found = [family for family in FAMILIES if family.recognises(names)]
    return found[0] if len(found) == 1 else None


def unwrapped(tensors: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """The network's own tensors, without what training codes put around them and their names."""
    for wrapper in _WRAPPERS:
        inner = {name[found.end() :]: each for name, each in tensors.items() if (found := wrapper.match(name))}
        if inner:
            return unwrapped(inner)
    return dict(tensors)


def _read(path: Path) -> tuple[Family, Network]:
    """The family and its network with the file's weights in float32, on the CPU; no memory is taken before it fits."""
    names = unwrapped(read_header(path).tensors)
    family = recognise(names)
    if family is None:
        foreign = next((f"it is of the family {name}" for sign, name in _FOREIGN.items() if sign in names), None)
        raise _refused(path, foreign or "its family is not known")
    tensors = {
        name: each.float() if each.is_floating_point() else each for name, each in unwrapped(load_file(path)).items()
    }
    try:
        with torch.device("meta"):
            network = family.network(tensors)
        network.load_state_dict(family.tidied(tensors), strict=True, assign=True)
    except (LookupError, ValueError, ArithmeticError, RuntimeError) as error:
        raise _refused(path, f"its tensors do not fit a network of the family {family.name}") from error
    if network.channels not in (1, 3):
        raise _refused(path, f"it takes {network.channels} channels, and Easel runs networks of 1 or 3")
    return family, network.eval().requires_grad_(requires_grad=False)


def _on_torch(network: Network, backend: str, precision: str) -> Run:
    device, dtype = _DEVICES[backend], _DTYPES[precision]
    placed = network.to(device, dtype)

    @torch.inference_mode()
    def run(pixels: Tensor) -> Tensor:
        return placed(pixels.to(device, dtype)).float().cpu()

    return run


def _refused(path: Path, why: str) -> BadInput:
    return BadInput(
        f"The upscaler “{path.name}” cannot be used: {why}.",
        f"Easel runs {', '.join(family.name for family in FAMILIES)} and ONNX.",
        where=str(path),
    )
