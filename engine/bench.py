"""The speed of this machine: the starter model on each backend and precision that is here."""

import tempfile
import uuid
from collections.abc import Iterator
from statistics import median

from msgspec import Struct

from engine.errors import EaselError
from engine.messages import Done, Failed, Generate, Picture, Progress
from engine.service import Service
from engine.settings import GenerateSettings
from engine.talk import Told, ready

COUNTED = 3
"""Pictures that count, after one that loads, converts and compiles."""


class Pace(Struct, frozen=True, kw_only=True):
    """What one backend and precision took; medians over the counted pictures."""

    backend: str
    precision: str
    size: str
    steps: int
    seconds_a_step: float
    seconds_a_picture: float
    worker_peak_memory_bytes: int

    def sentence(self) -> str:
        """One line for people."""
        return (
            f"{self.backend:9} {self.precision:5} {self.size:>9}, {self.steps} steps: "
            f"{self.seconds_a_step * 1000:7.1f} ms a step, {self.seconds_a_picture:6.2f} s a picture, "
            f"worker peak {self.worker_peak_memory_bytes / 1e6:.0f} MB"
        )


def measured(service: Service, told: Told, steps: int) -> Iterator[Pace]:
    """Draw with everything that is here; pictures go to a folder that is removed."""
    for device in ready(told).devices:
        for precision in device.precisions:
            settings = GenerateSettings(
                prompt="a red house",
                seed=1,
                steps=steps,
                backend=device.backend,
                precision=precision,
                count=COUNTED + 1,
            )
            yield _measured(service, told, settings)


def _measured(service: Service, told: Told, settings: GenerateSettings) -> Pace:
    with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder:
        service.send(Generate(job=uuid.uuid4().hex[:12], settings=settings, folder=folder))
        paces: list[float] = []
        found: list[Picture] = []
        while True:
            match told.get():
                case Progress() as progress if progress.picture > 1 and progress.step == progress.steps:
                    paces.append(progress.seconds_a_step)
                case Picture() as picture:
                    found.append(picture)
                case Failed() as failed:
                    raise EaselError(failed.cause, failed.advice)
                case Done():
                    break
                case _:
                    pass
    used = found[0].settings
    return Pace(
        backend=settings.backend,
        precision=settings.precision,
        size=f"{used.width}x{used.height}",
        steps=settings.steps,
        seconds_a_step=median(paces),
        seconds_a_picture=median(picture.seconds for picture in found[1:]),
        worker_peak_memory_bytes=found[-1].peak_memory_bytes,
    )
