"""Which precision is fastest on this machine, as `easel bench` has measured it; kept until it measures again."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.messages import Device
from engine.paths import home, ready, whole


class _Order(msgspec.Struct, frozen=True):
    name: str
    """Of the processor or card it was measured on."""
    precisions: tuple[str, ...]
    """Fastest first."""


def remember(device: Device, seconds: Mapping[str, float]) -> None:
    """Keep the order of a device's precisions by their seconds a step. Raises EaselError where nothing can be kept."""
    fastest = tuple(sorted(seconds, key=lambda precision: seconds[precision]))
    found = _read() | {device.backend: _Order(device.name, fastest)}
    ready(home())
    with whole(_file()) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(found)))


def ordered(devices: list[Device]) -> list[Device]:
    """The same devices, each with its precisions in the order measured on it; as they were where none is known."""
    found = _read()
    return [_ordered(device, found.get(device.backend)) for device in devices]


def _ordered(device: Device, order: _Order | None) -> Device:
    if order is None or order.name != device.name or sorted(order.precisions) != sorted(device.precisions):
        return device
    return msgspec.structs.replace(device, precisions=order.precisions)


def _read() -> dict[str, _Order]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, _Order])
    except (OSError, msgspec.MsgspecError):  # never measured, or spoiled
        return {}


def _file() -> Path:
    return home() / "fastest.json"
