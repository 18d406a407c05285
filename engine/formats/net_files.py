"""A ControlNet or T2I-Adapter that is one file: of what kind it is, told by its header alone."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import BadInput
from engine.formats import controlnet_keys, t2i_adapter_keys
from engine.formats.headers import header_of
from engine.formats.transformer_net_keys import FLUX_MARK, SD3_MARK, flux_config, sd3_config

CONTROLNET, UNION, ADAPTER = "ControlNetModel", "ControlNetUnionModel", "T2IAdapter"
FLUX, SD3 = "FluxControlNetModel", "SD3ControlNetModel"

_FOREIGN = (
    (
        re.compile(r"(?:.+\.)?difference"),
        "it holds only the difference to the model it was made from",
        "Use the whole ControlNet.",
    ),
    (
        re.compile(r"lora_controlnet"),
        "it is a Control-LoRA, which is no net without its model",
        "Use the whole ControlNet.",
    ),
    (re.compile(r"lllite_.+"), "it is a ControlNet-LLLite", "Use a ControlNet."),
    (
        re.compile(r"double_blocks\..+|controlnet_blocks\.\d+\.linear\..+|transformer_blocks\.0\.adaLN_modulation\..+"),
        "it is a ControlNet for Stable Diffusion 3 or FLUX in the form of its original code",
        "Use the same one in diffusers' form.",
    ),
)
"""Tensors of nets that cannot be used as a file, why, and what can."""


class Net(NamedTuple):
    """What a file holds."""

    class_name: str
    """Of diffusers."""
    config: dict[str, Any]
    names: dict[str, str]
    """The file's name of every tensor, by its diffusers name."""


def read_net(path: Path) -> Net:
    """The net in the file. Raises BadInput naming the file where it is damaged, or none that Easel runs."""
    tensors = header_of(path).tensors
    _refuse_foreign(path, tensors)
    if {FLUX_MARK, SD3_MARK} & tensors.keys():
        return _of_transformer(path, {name: each.shape for name, each in tensors.items()})
    is_adapter = {"body.0.block1.weight", "body.0.in_conv.weight"} & {each.removeprefix("adapter.") for each in tensors}
    is_adapter |= {each for each in tensors if each.startswith("adapter.body.")}
    keys = t2i_adapter_keys if is_adapter else controlnet_keys
    try:
        names = keys.names_of(tensors)
        config = keys.config_of({ours: tensors[theirs].shape for ours, theirs in names.items()})
    except (LookupError, ValueError) as error:
        raise _refusal(path, error) from error
    if is_adapter:
        return Net(ADAPTER, config, names)
    return Net(UNION if "num_control_type" in config else CONTROLNET, config, names)


def _refuse_foreign(path: Path, keys: Collection[str]) -> None:
    for pattern, why, advice in _FOREIGN:
        if any(map(pattern.fullmatch, keys)):
            raise BadInput(f"“{path.name}” cannot be used: {why}.", advice, where=str(path))
    if "shuffle" in path.stem.casefold():
        raise BadInput(
            f"“{path.name}” cannot be used: a net for shuffled pictures takes the average over the picture, "
            "and its file does not say so.",
            "Use its folder in diffusers' form.",
            where=str(path),
        )


def _of_transformer(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Net:
    is_flux = FLUX_MARK in shapes
    try:
        config = flux_config(shapes) if is_flux else sd3_config(shapes)
    except (LookupError, ValueError) as error:
        raise _refusal(path, error) from error
    return Net(FLUX if is_flux else SD3, config, {name: name for name in shapes})


def _refusal(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"“{path.name}” is no ControlNet or T2I-Adapter that Easel runs ({_reason(error)}).",
        "Choose another file, or download it again.",
        where=str(path),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"“{str(error.args[0])[:80]}” is missing or unknown"
    return "its shapes are none of a net"
