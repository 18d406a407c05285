"""OpenVINO on the CPU: the heavy parts as compiled graphs inside shells of their diffusers classes."""

import importlib.util
from pathlib import Path
from typing import Any

import psutil

from engine.backends.backend import Report
from engine.backends.openvino import converted
from engine.components import Component, Delta, original
from engine.messages import Device


def probe() -> Device:
    """The CPU as OpenVINO sees it, with the precisions it has instructions for."""
    if importlib.util.find_spec("openvino") is None:
        return Device(backend="openvino", name="CPU (OpenVINO)", here=False, why="OpenVINO is not installed.")
    import openvino

    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    quick = [name for flag, name in (("INT8", "int8"), ("BF16", "bf16")) if flag in able]
    return Device(
        backend="openvino",
        name=str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        here=True,
        precisions=(*quick, "fp32"),
        memory_bytes=psutil.virtual_memory().total,
        why="The fastest way on a processor without a graphics card.",
    )


def device() -> str:
    """The torch device of what goes in and out of the shells."""
    return "cpu"


def place(components: list[Component], precision: str, report: Report) -> dict[str, Any]:
    """A shell for each component, converted first if this is the model's first time in this precision."""
    from engine.backends.openvino import shells

    folder = prepare(components, precision, report)
    return {each.part: shells.make(each, folder, precision) for each in components}


def merge(module: Any, component: Component, deltas: list[Delta]) -> None:
    """Draw with these changes, and no others, of the component's weights; the next size asked for is compiled anew."""
    module.graph.change(
        lambda: {each.path: each.change(original(component, f"{each.path}.weight")).numpy() for each in deltas}
    )


def prepare(components: list[Component], precision: str, report: Report) -> Path:
    """The folder of the components' graphs for that precision, made now where they are not there yet."""
    return converted.ensure(components, precision, report)
