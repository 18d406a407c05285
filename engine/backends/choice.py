"""The backends, best first, and the choice among them."""

from collections.abc import Sequence

import msgspec

from engine.backends import cpu, cuda, mps, openvino
from engine.backends.backend import Backend
from engine.backends.fastest import ordered
from engine.errors import BadInput
from engine.messages import Device

BACKENDS: dict[str, Backend] = {"cuda": cuda, "mps": mps, "openvino": openvino, "torch": cpu}


def devices() -> list[Device]:
    """What this machine has, best first."""
    return ordered([backend.probe() for backend in BACKENDS.values()])


def choose(devices: Sequence[Device], backend: str, precision: str) -> Device:
    """The device to draw on, with the precision to use as the only one it lists.

    "auto" takes the first that is here and its fastest precision. Raises BadInput for one that is not here.
    """
    by_name = {device.backend: device for device in devices}
    if backend == "auto":
        device = next(device for device in devices if device.here and (precision in ("auto", *device.precisions)))
    else:
        device = by_name[backend]
    if not device.here:
        raise BadInput(f"The backend {backend} is not on this machine: {device.why}", "Use “auto”.", where="backend")
    if precision not in ("auto", *device.precisions):
        raise BadInput(
            f"The backend {device.backend} cannot do {precision} on this machine.",
            f"It can do: {', '.join(device.precisions)}.",
            where="precision",
        )
    return msgspec.structs.replace(device, precisions=(device.precisions[0] if precision == "auto" else precision,))
