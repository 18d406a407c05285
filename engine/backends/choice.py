"""The backends, best first, and the choice among them."""

import logging
from collections.abc import Sequence

import msgspec

from engine.backends import cpu, cuda, mps, openvino
from engine.backends.backend import Backend
from engine.backends.fastest import is_known, ordered, remember
from engine.errors import BadInput, EaselError
from engine.messages import Device
from engine.patience import Report

_log = logging.getLogger(__name__)
BACKENDS: dict[str, Backend] = {"cuda": cuda, "mps": mps, "openvino": openvino, "torch": cpu}


def devices() -> list[Device]:
    """What this machine has, best first."""
    return ordered([backend.probe() for backend in BACKENDS.values()])


def tried(devices: list[Device], backend: str, precision: str, report: Report) -> list[Device]:
    """The same devices; where “auto” is about to choose among OpenVINO's precisions, the fastest first.

    Which that is, is measured if it is not known of this machine yet; takes some three seconds, once. Raises BadInput
    for a backend that is not here, and what `report` raises.
    """
    if precision != "auto" or choose(devices, backend, precision).backend != "openvino":
        return devices
    device = next(each for each in devices if each.backend == "openvino")
    if len(device.precisions) > 1 and not is_known(device):
        from engine.backends.openvino.trial import seconds

        found = seconds(device.precisions, report)
        try:
            remember(device, found)
        except EaselError as error:  # a full disk: the next picture measures again
            _log.info("%s", error)
    return ordered(devices)


def choose(devices: Sequence[Device], backend: str, precision: str) -> Device:
    """The device to draw on, with the precision to use as the only one it lists.

    "auto" takes the first that is here and its fastest precision. Raises BadInput for one that is not here.
    """
    by_name = {device.backend: device for device in devices}
    if backend == "auto":
        here = [device for device in devices if device.here]
        device = next((device for device in here if precision in ("auto", *device.precisions)), here[0])
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
