"""Plain torch on the CPU: slow and exact, the reference that the others are held against."""

from typing import Any

import psutil

from engine.backends import on_torch
from engine.components import Component
from engine.messages import Device
from engine.patience import Report

merge = on_torch.merge
vary = on_torch.vary
exact = on_torch.exact


def probe() -> Device:
    """Always here."""
    return Device(
        backend="torch",
        name="CPU (torch)",
        here=True,
        precisions=("fp32", "bf16"),
        memory_bytes=psutil.virtual_memory().total,
        why="The reference: runs everywhere, slower than OpenVINO.",
    )


def device() -> str:
    """The torch device."""
    return "cpu"


def place(components: list[Component], precision: str, report: Report) -> dict[str, Any]:
    """The components as torch modules in memory."""
    return on_torch.place(components, device(), precision, report)
