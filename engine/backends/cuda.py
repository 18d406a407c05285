"""An NVIDIA graphics card, through torch."""

from typing import Any

from engine.backends import on_torch
from engine.components import Component
from engine.messages import Device
from engine.patience import Report

merge = on_torch.merge
vary = on_torch.vary
exact = on_torch.exact


def probe() -> Device:
    """The first card, if torch was built for CUDA and finds one."""
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        why = "no NVIDIA card answers." if built else "this build of torch is for the CPU."
        return Device(backend="cuda", name="NVIDIA", here=False, why=why)
    card = torch.cuda.get_device_properties(0)
    halves = ("bf16", "fp16") if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    return Device(
        backend="cuda",
        name=card.name,
        here=True,
        precisions=(*halves, "fp32"),
        memory_bytes=card.total_memory,
        why="A graphics card is the fastest.",
    )


def device() -> str:
    """The torch device."""
    return "cuda"


def place(components: list[Component], precision: str, report: Report) -> dict[str, Any]:
    """The components on the card."""
    return on_torch.place(components, device(), precision, report)
