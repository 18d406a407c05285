"""The graphics part of an Apple processor, through torch."""

import sys
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
    """The Apple GPU, which shares the machine's memory."""
    if sys.platform != "darwin":
        return Device(backend="mps", name="Apple GPU", here=False, why="this is not a Mac.")
    import torch

    if not torch.backends.mps.is_available():
        return Device(backend="mps", name="Apple GPU", here=False, why="this Mac has no Apple graphics.")
    return Device(
        backend="mps",
        name="Apple GPU",
        here=True,
        precisions=("fp16", "fp32"),
        memory_bytes=psutil.virtual_memory().total,
        why="Apple's graphics are faster than its processor cores.",
    )


def device() -> str:
    """The torch device."""
    return "mps"


def place(components: list[Component], precision: str, report: Report) -> dict[str, Any]:
    """The components on the Apple GPU."""
    return on_torch.place(components, device(), precision, report)
