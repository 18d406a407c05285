"""Whether drawing is to rest: on the battery, or while the processor is hot; from what the sensors say."""

import logging
from typing import Any, NamedTuple

import psutil

from engine.settings import SWITCH, Preferences

_log = logging.getLogger(__name__)

ON_BATTERY = "Resting while the computer is on its battery."
HOT = "Resting until the processor is cooler."
HOT_CELSIUS = 90.0
"""Where a sensor names no limit of its own, or a higher one: many name the degree at which the processor slows down."""
COOLER_CELSIUS = 10.0
"""How far below the limit it must be before drawing goes on."""
_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal", "acpitz", "amdgpu")
"""What Linux calls the sensors of processors and graphics; disks and radios have limits of other kinds."""
_LEAST_LIMIT = 50.0
"""A sensor that names a lower limit names none."""


class Heat(NamedTuple):
    """What one sensor measures, in °C."""

    celsius: float
    limit: float


class Sensors(NamedTuple):
    """What is known of the machine now; of a machine without sensors nothing is."""

    is_on_battery: bool = False
    heats: tuple[Heat, ...] = ()


def is_asked(preferences: Preferences) -> bool:
    """Whether the person wants it to rest at all."""
    return SWITCH[True] in (preferences.rest_on_battery, preferences.rest_when_hot)


def look() -> Sensors:
    """Read the sensors: the battery on every system, temperatures on Linux and FreeBSD."""
    battery = _read("sensors_battery")
    chips = _read("sensors_temperatures") or {}
    found = [each for name, every in chips.items() if name in _CHIPS for each in every]
    return Sensors(
        is_on_battery=battery is not None and battery.power_plugged is False,
        heats=tuple(Heat(each.current, _limit(each.high)) for each in found),
    )


def _read(sensor: str) -> Any:
    try:
        return getattr(psutil, sensor, lambda: None)()  # psutil leaves out what a system does not have
    except (OSError, ValueError) as error:  # a driver that answers nonsense, or is being unloaded
        _log.info("%s: %s", sensor, error)
        return None


def _limit(high: float | None) -> float:
    return HOT_CELSIUS if high is None or high < _LEAST_LIMIT else min(high, HOT_CELSIUS)


def reason(sensors: Sensors, preferences: Preferences, before: str) -> str:
    """Why it is to rest, in a sentence; empty where it is not. `before` is what was said last."""
    if preferences.rest_on_battery == SWITCH[True] and sensors.is_on_battery:
        return ON_BATTERY
    below = COOLER_CELSIUS if before == HOT else 0.0
    is_hot = any(each.celsius >= each.limit - below for each in sensors.heats)
    return HOT if preferences.rest_when_hot == SWITCH[True] and is_hot else ""
