"""T2I-Adapters in one file: the names of their tensors, and their configuration as their shapes tell it.

Files have either diffusers' names or those of the original code, https://github.com/TencentARC/T2I-Adapter,
`ldm/modules/encoders/adapter.py`, which numbers the layers of all levels in one row.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

FULL, XL, LIGHT = "full_adapter", "full_adapter_xl", "light_adapter"
LEVELS = 4
"""Of every full adapter."""
_FOLDED = {64: (FULL, 1, 8), 3 * 64: (FULL, 3, 8), 256: (XL, 1, 16), 3 * 256: (XL, 3, 16)}
"""By how many channels go in, once squares of pixels are channels: the kind, the colours and a square's side."""
_LAYER = re.compile(r"body\.(\d+)\.(.+)")


def names_of(keys: Collection[str]) -> dict[str, str]:
    """The file's name of every tensor, by its diffusers name. Raises ValueError where none is a layer's."""
    if any(name.startswith("adapter.") for name in keys):
        return {name: name for name in keys}
    if "conv_in.weight" not in keys:
        return {f"adapter.{_LAYER.sub(_light, name)}": name for name in keys}
    layers = 1 + max(int(found[1]) for name in keys if (found := _LAYER.fullmatch(name)))
    return {f"adapter.{_full(name, max(1, layers // LEVELS))}": name for name in keys}


def config_of(shapes: Shapes) -> dict[str, Any]:
    """The configuration of the adapter whose tensors have these shapes, by their diffusers names.

    Raises KeyError naming what is missing, a tensor or a kind that takes in so many channels; LookupError and
    ValueError for shapes that no adapter has.
    """
    levels = {int(name.split(".")[2]) for name in shapes if name.startswith("adapter.body.")}
    layers = {name.split(".")[4] for name in shapes if name.startswith("adapter.body.0.resnets.")}
    is_light = "adapter.conv_in.weight" not in shapes
    taking = shapes["adapter.body.0.in_conv.weight" if is_light else "adapter.conv_in.weight"][1]
    kind, colours, side = _FOLDED[taking]
    giving = "out_conv" if is_light else "resnets.0.block1"
    widths = [shapes[f"adapter.body.{level}.{giving}.weight"][0] for level in sorted(levels)]
    return {
        "adapter_type": LIGHT if is_light else kind,
        "in_channels": colours,
        "channels": widths[:-1] if is_light else widths,  # a light one's last level keeps its width
        "num_res_blocks": len(layers),
        "downscale_factor": side,
    }


def _light(found: re.Match[str]) -> str:
    return f"body.{found[1]}.{re.sub(r'^body(?=[.])', 'resnets', found[2])}"


def _full(name: str, layers: int) -> str:
    found = _LAYER.fullmatch(name)
    if found is None:
        return name
    level, layer = divmod(int(found[1]), layers)
    return f"body.{level}.{found[2]}" if found[2].startswith("in_conv.") else f"body.{level}.resnets.{layer}.{found[2]}"
