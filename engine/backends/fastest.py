"""Which precision is fastest on this machine, as a short trial or `easel bench` has measured it; the later one counts.

The trial comes before the first picture, and never again; what it found stays until `easel bench` measures.
"""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec

from engine.messages import Device
from engine.paths import home, ready, whole


class _Order(msgspec.Struct, frozen=True):
    name: str
    """Of the processor or card it was measured on."""
    library: str
    """What counted, and its version."""
    precisions: tuple[str, ...]
    """Fastest first."""


def remember(device: Device, seconds: Mapping[str, float]) -> None:
    """Keep the order of a device's precisions by their seconds a step. Raises EaselError where nothing can be kept."""
    fastest = tuple(sorted(seconds, key=lambda precision: seconds[precision]))
    found = _read() | {device.backend: _Order(device.name, _library(device), fastest)}
    ready(home())
    with whole(_file()) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(found)))


def ordered(devices: list[Device]) -> list[Device]:
    """The same devices, each with its precisions in the order measured on it; as they were where none is known."""
    found = _read()
    return [_ordered(device, found.get(device.backend)) for device in devices]


def is_known(device: Device) -> bool:
    """Whether the order of the device's precisions was measured, on it and with the library that is here now."""
    return _is_of(device, _read().get(device.backend))


def _ordered(device: Device, order: _Order | None) -> Device:
    if order is None or not _is_of(device, order):
        return device
    return msgspec.structs.replace(device, precisions=order.precisions)


def _is_of(device: Device, order: _Order | None) -> bool:
    here = (device.name, _library(device), sorted(device.precisions))
    return order is not None and (order.name, order.library, sorted(order.precisions)) == here


def _library(device: Device) -> str:
    library = "openvino" if device.backend == "openvino" else "torch"
    return f"{library} {version(library)}"


def _read() -> dict[str, _Order]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, _Order])
    except (OSError, msgspec.MsgspecError):  # never measured, or spoiled
        return {}


def _file() -> Path:
    return home() / "fastest.json"
