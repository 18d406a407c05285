"""OpenVINO on the CPU: the heavy parts as compiled graphs inside shells of their diffusers classes."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from engine.backends import on_torch
from engine.backends.openvino import converted
from engine.components import Component, Delta, Variation, original
from engine.messages import Device
from engine.patience import Report

_ONCE_A_PICTURE = ("T2IAdapter", "CLIPVisionModelWithProjection")
"""Classes of modules that run once a picture, where a graph would cost more to make than it saves: torch's own."""


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

    heavy = _heavy(components)
    placed = on_torch.place([each for each in components if each not in heavy], device(), "fp32", report)
    if heavy:
        folder = prepare(heavy, precision, report)
        placed |= {each.part: shells.make(each, folder, precision) for each in heavy}
    return placed


def unprepared(components: list[Component], precision: str) -> list[Component]:
    """Those of the components, which are placed together, that must be converted first."""
    heavy = _heavy(components)
    return [] if not heavy or converted.is_there(heavy, precision) else heavy


def _heavy(components: list[Component]) -> list[Component]:
    return [each for each in components if each.class_name not in _ONCE_A_PICTURE]


def merge(module: Any, component: Component, deltas: list[Delta]) -> None:
    """Draw with these changes, and no others, of the component's weights; the next size asked for is compiled anew."""
    module.graph.change(
        lambda: {each.path: each.change(original(component, f"{each.path}.weight")).numpy() for each in deltas}
    )


@contextmanager
def exact(module: Any) -> Iterator[None]:
    """The autoencoder's graphs count in float32 from now on: each is compiled anew, once."""
    for part in (module.decoder, module.encoder):
        part.graph.upcast()
    yield


def vary(module: Any, variation: Variation) -> None:
    """Draw with that variation; the next size asked for is compiled anew, nothing is exported."""
    graphs = [part.graph for part in (module, *module.children()) if hasattr(part, "graph")]
    if not graphs:  # a part that runs on torch
        on_torch.vary(module, variation)
    for graph in graphs:
        graph.vary(variation)
    module.perturbable = variation.perturbable


def prepare(components: list[Component], precision: str, report: Report) -> Path:
    """The folder of the components' graphs for that precision, made now where they are not there yet."""
    return converted.ensure(components, precision, report)
