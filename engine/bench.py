"""The speed of this machine: a model on each backend and precision that is here."""

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psutil
from msgspec import Struct, structs

from engine.backends.fastest import remember
from engine.backends.openvino.converted import INT8
from engine.errors import EaselError
from engine.messages import Device, Done, Failed, Generate, Pause, Paused, Picture, Progress, Started
from engine.settings import GenerateSettings
from engine.talk import ready, running

_LOOK_SECONDS = 0.1


class Pace(Struct, frozen=True, kw_only=True):
    """What one backend and precision took."""

    backend: str
    precision: str
    model: str
    size: str
    steps: int
    seconds_to_prepare: float
    """Of the first picture ever: converting, where there is something to convert, compiling and loading."""
    seconds_to_load: float
    """The same once it is done, by a worker that has just started."""
    seconds_a_step: float
    """Median of the counted pictures, as are the next two."""
    seconds_to_decode: float
    """From the last step to the file."""
    seconds_a_picture: float
    peak_memory_bytes: int
    """Of this process and all it started, while it prepared and drew; on Linux without the pages of mapped files, which
    the system takes back when it needs them."""
    peak_drawing_memory_bytes: int
    """The same, once everything was converted."""

    def sentence(self) -> str:
        """One line for people."""
        return (
            f"{self.backend:9} {self.precision:12} {self.size:>9}, {self.steps} steps: "
            f"{self.seconds_a_step * 1000:8.1f} ms a step, decode {self.seconds_to_decode:5.2f} s, "
            f"{self.seconds_a_picture:6.2f} s a picture; prepare {self.seconds_to_prepare:5.1f} s, "
            f"load {self.seconds_to_load:4.1f} s; peak {self.peak_memory_bytes / 1e6:.0f} MB, "
            f"drawing {self.peak_drawing_memory_bytes / 1e6:.0f} MB"
        )


class _Run(Struct, kw_only=True):
    """What was heard of one job."""

    seconds_to_start: float = 0.0
    steps: list[float] = []
    decodes: list[float] = []
    pictures: list[Picture] = []


def measured(wanted: GenerateSettings, pictures: int, only: str = "auto", weights_only: bool = False) -> Iterator[Pace]:
    """Draw with everything that is here, or the `only` backend; the pictures go to a folder that is removed.

    With `weights_only`, OpenVINO's int8 with its activations in float is measured, too, to be compared with.
    Each backend and precision has workers of its own: one that prepares, and one that finds everything prepared and
    draws a first picture, which does not count, and then `pictures` that do.
    """
    for device in _devices():
        paces: dict[str, float] = {}
        for precision in device.precisions:
            if only in ("auto", device.backend) and wanted.precision in ("auto", precision):
                settings = structs.replace(wanted, backend=device.backend, precision=precision)
                pace = _measured(settings, pictures)
                paces[precision] = pace.seconds_a_step
                yield pace
                if weights_only and precision == "int8":
                    with _weights_alone():
                        yield structs.replace(_measured(settings, pictures), precision="int8 weights")
        if len(paces) == len(device.precisions) > 1:
            remember(device, paces)  # the first is what “auto” takes from now on


@contextmanager
def _weights_alone() -> Iterator[None]:
    """Inside, int8 means the weights for the workers that are started."""
    os.environ[INT8] = "weights"
    try:
        yield
    finally:
        del os.environ[INT8]


def _devices() -> tuple[Device, ...]:
    with running() as (_, told):
        return tuple(device for device in ready(told).devices if device.here)


def _measured(settings: GenerateSettings, pictures: int) -> Pace:
    first, peak = _drawn(structs.replace(settings, steps=min(settings.steps, 2)))
    again, drawing = _drawn(structs.replace(settings, count=1 + pictures))
    used = again.pictures[0].settings
    return Pace(
        backend=settings.backend,
        precision=settings.precision,
        model=used.model,
        size=f"{used.width}x{used.height}",
        steps=used.steps,
        seconds_to_prepare=first.seconds_to_start,
        seconds_to_load=again.seconds_to_start,
        seconds_a_step=median(again.steps[1:]),
        seconds_to_decode=median(again.decodes[1:]),
        seconds_a_picture=median(picture.seconds for picture in again.pictures[1:]),
        peak_memory_bytes=max(peak, drawing),
        peak_drawing_memory_bytes=drawing,
    )


def _drawn(settings: GenerateSettings) -> tuple[_Run, int]:
    """One job of a new worker, and the most memory it took. Raises EaselError where it fails."""
    run = _Run()
    with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder, _watched() as peak, running() as (service, told):
        ready(told)
        job, began = uuid.uuid4().hex[:12], time.monotonic()
        service.send(Generate(job=job, settings=settings, folder=folder))
        last_step = began
        while True:
            match told.get():
                case Paused(on=True):  # on the battery, or hot: what was asked for is a measurement
                    service.send(Pause(job=job, on=False))
                case Started():
                    run.seconds_to_start = run.seconds_to_start or time.monotonic() - began
                case Progress() as progress if progress.step == progress.steps:
                    run.steps.append(progress.seconds_a_step)
                    last_step = time.monotonic()
                case Picture() as picture:
                    run.pictures.append(picture)
                    run.decodes.append(time.monotonic() - last_step)
                case Failed() as failed:
                    raise EaselError(failed.cause, failed.advice)
                case Done():
                    return run, peak[0]
                case _:
                    pass


@contextmanager
def _watched() -> Iterator[list[int]]:
    """The most memory, in bytes, that this process and its descendants held together so far."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            most[0] = max(most[0], _held())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


def _held() -> int:
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            known = process.memory_info()
            total += known.rss - getattr(known, "shared", 0)
        except psutil.Error:  # it has just ended
            continue
    return total
