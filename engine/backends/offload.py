"""Parts or layers of a model that wait in the machine's memory and take turns on a device, as accelerate moves them."""

from collections.abc import Iterable
from typing import Any, Literal


def offload(pipeline: Any, what: Literal["model", "sequential"], device: str) -> None:
    """Have the pipeline's parts, or their layers, come to the device when they are needed, and go again."""
    restore(pipeline.components.values())
    if what == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)


def restore(parts: Iterable[Any]) -> None:
    """Undo it: every weight is in the machine's memory, and modules are what they were. Others are left alone."""
    import torch
    from accelerate.hooks import remove_hook_from_module

    for part in parts:
        if isinstance(part, torch.nn.Module) and any(hasattr(each, "_hf_hook") for each in part.modules()):
            remove_hook_from_module(part, recurse=True)
            part.to("cpu")


def device_of(module: Any) -> Any:
    """The torch device on which a module computes, wherever its weights wait."""
    hooks = (getattr(each, "_hf_hook", None) for each in module.modules())
    devices = (getattr(hook, "execution_device", None) for hook in hooks)
    return next((device for device in devices if device is not None), module.device)
