"""What the backends that run torch itself share: loading in a precision and moving to a device."""

from typing import Any

from engine.backends.backend import Report
from engine.components import Component, load
from engine.errors import OutOfMemory


def place(components: list[Component], device: str, precision: str, report: Report) -> dict[str, Any]:
    """The components on `device` in one precision."""
    import torch

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    placed: dict[str, Any] = {}
    for number, component in enumerate(components):
        report("Loading the model", number / len(components))
        try:
            placed[component.part] = load(component).to(device=device, dtype=dtypes[precision])
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemory(
                "There is too little memory for this model.", "Close other programs, or use a smaller model."
            ) from error
    return placed
