"""What the backends that run torch itself share: loading in a precision and moving to a device."""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from engine.backends.backend import Report
from engine.components import Component, Delta, load, original
from engine.errors import OutOfMemory

if TYPE_CHECKING:
    import torch

_changed: "WeakKeyDictionary[torch.nn.Module, set[str]]" = WeakKeyDictionary()
"""The paths of the weights that differ from their file, by module."""


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


def merge(module: Any, component: Component, deltas: list[Delta]) -> None:
    """Give the module these changes of its weights and no others: what was changed before is as in the file again."""
    paths = {each.path for each in deltas}
    for path in _changed.get(module, set()) - paths:
        _put(module, path, original(component, f"{path}.weight"))
    for each in deltas:
        _put(module, each.path, each.change(original(component, f"{each.path}.weight")))
    _changed[module] = paths


def _put(module: Any, path: str, weight: "torch.Tensor") -> None:
    module.get_parameter(f"{path}.weight").data.copy_(weight)
