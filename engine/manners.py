"""How much of the computer a process that draws or converts takes: what the person lets it, and no more."""

import os
from typing import NamedTuple

import psutil

from engine.settings import Preferences

CORES = "EASEL_CORES"
"""A variable of the environment: how many cores this process and those that it starts use; not there for all."""
LOW_NICE = 10
"""Half-way to the lowest that Unix has; what the person works with goes before."""


class Manners(NamedTuple):
    """What a process keeps to from its start to its end."""

    cores: int
    """0 for as many as are best."""
    is_low: bool
    """Whether it goes after all others where the processor is busy."""


def wanted(preferences: Preferences) -> Manners:
    """The manners that the person asks for."""
    return Manners(preferences.cores, preferences.low_priority == "on")


def keep_to(manners: Manners) -> None:
    """Have this process, and those that it starts, behave so; at its start: libraries read it when they are imported.

    Once low, a process cannot be given its priority back on Unix without the administrator's rights.
    """
    if manners.cores:
        cores = str(min(manners.cores, psutil.cpu_count() or 1))
        os.environ |= {CORES: cores, "OMP_NUM_THREADS": cores}  # the second is torch's, and numpy's
    if manners.is_low:
        low = psutil.BELOW_NORMAL_PRIORITY_CLASS if psutil.WINDOWS else max(LOW_NICE, psutil.Process().nice())
        psutil.Process().nice(low)


def openvino_options() -> dict[str, int]:
    """What a graph is compiled with, so that it runs on so many cores; a graph from the cache heeds it, too (seen)."""
    cores = os.environ.get(CORES)
    return {"INFERENCE_NUM_THREADS": int(cores)} if cores else {}


def confine() -> None:
    """Bind this process to so many cores, where the system can: for libraries that cannot be told otherwise."""
    cores = os.environ.get(CORES)
    if cores and hasattr(psutil.Process, "cpu_affinity"):  # not on macOS
        own = psutil.Process()
        own.cpu_affinity(own.cpu_affinity()[: int(cores)])
