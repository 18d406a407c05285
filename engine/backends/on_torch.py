"""What the backends that run torch itself share: loading in a precision and moving to a device."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from engine.components import Component, Delta, Variation, load, numbers, original
from engine.errors import memory_said
from engine.patience import Report, paced

if TYPE_CHECKING:
    import torch

_changed: "WeakKeyDictionary[torch.nn.Module, set[str]]" = WeakKeyDictionary()
"""The paths of the weights that differ from their file, by module."""


def place(components: list[Component], device: str, precision: str, report: Report) -> dict[str, Any]:
    """The components on `device` in one precision."""
    import torch

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    to = {"device": device, "dtype": dtypes[precision]}
    whole, done, tell = sum(map(numbers, components)), 0, paced(report)

    def placed(weight: torch.Tensor) -> torch.Tensor:
        nonlocal done
        done += weight.numel()
        tell("Loading the model", min(1.0, done / whole))
        return weight.to(**to)

    with memory_said("There is too little memory for this model."):
        found = {each.part: load(each, placed).to(**to) for each in components}  # the second for what are no weights
        if precision == "fp16":
            for module in found.values():
                _keep_exact(module)
    return found


def _keep_exact(module: Any) -> None:
    """Have those layers in float32 whose numbers float16 cannot hold, as transformers says of its T5."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or ()
    for path, part in module.named_modules():
        if path.rpartition(".")[2] in kept:
            part.float()


@contextmanager
def exact(module: Any) -> Iterator[None]:
    """Inside, the module counts in float32."""
    import torch

    before = module.dtype
    module.to(dtype=torch.float32)
    try:
        yield
    finally:
        module.to(dtype=before)


def merge(module: Any, component: Component, deltas: list[Delta]) -> None:
    """Give the module these changes of its weights and no others: what was changed before is as in the file again."""
    paths = {each.path for each in deltas}
    for path in _changed.get(module, set()) - paths:
        _put(module, path, original(component, f"{path}.weight"))
    for each in deltas:
        _put(module, each.path, each.change(original(component, f"{each.path}.weight")))
    _changed[module] = paths


def vary(module: Any, variation: Variation) -> None:
    """Wrap the module's convolutions around and switch FreeU, as diffusers has it; self-attention needs no change."""
    import torch

    for each in module.modules():
        if isinstance(each, torch.nn.Conv2d):
            each.__dict__.pop("_conv_forward", None)
            if any(variation.wrapped):
                each.__dict__["_conv_forward"] = partial(_wrapped, each, variation.wrapped)
    if hasattr(module, "enable_freeu"):
        b1, b2, s1, s2 = variation.freeu
        module.disable_freeu()
        if variation.is_freeu:
            module.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)


def _wrapped(
    conv: Any, axes: tuple[bool, bool], seen: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None"
) -> "torch.Tensor":
    """A convolution of a picture [b, c, h, w] whose edges meet, right and left, lower and upper."""
    import torch.nn.functional as of

    tall, wide = conv.padding
    for is_wrapped, pads in zip(axes, ((wide, wide, 0, 0), (0, 0, tall, tall)), strict=True):
        seen = of.pad(seen, pads, mode="circular" if is_wrapped else "constant")
    return of.conv2d(seen, weight, bias, conv.stride, 0, conv.dilation, conv.groups)


def _put(module: Any, path: str, weight: "torch.Tensor") -> None:
    module.get_parameter(f"{path}.weight").data.copy_(weight)
