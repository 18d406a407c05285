"""The tensor names of LoRA files as kohya-ss writes them for Stable Diffusion 1.x.

A module's Linear or Conv2d is changed by `<kohya name>.lora_down.weight` ([rank, in] or [rank, in, height, width]),
`.lora_up.weight` ([out, rank] or [out, rank, 1, 1]) and `.alpha` (a number, [] in shape; the change is scaled by
alpha / rank). Source: https://github.com/kohya-ss/sd-scripts, `networks/lora.py`.
"""

from collections.abc import Iterable, Mapping

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"

_PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_"}


def kohya_name(part: str, path: str) -> str:
    """The base name of the module at `path` in the part "unet" or "text_encoder", both as diffusers names them."""
    return _PREFIXES[part] + path.replace(".", "_")


def modules_by_kohya_name(paths: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, str]]:
    """The part and path that each base name stands for, given the module paths of a model by part.

    A name alone cannot be taken apart: it has underscores where the path has dots, and where it has underscores.
    """
    return {kohya_name(part, path): (part, path) for part in paths for path in paths[part]}
