"""The worker process: reads orders from standard input, makes pictures, says what happens on standard output."""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from engine.backends.choice import choose, devices
from engine.child import VERSION, peak_memory_bytes
from engine.errors import Cancelled, EaselError, OutOfMemory
from engine.formats.picture_text import Made
from engine.messages import (
    Cancel,
    CancelledJob,
    Device,
    Done,
    Draw,
    Failed,
    Message,
    Picture,
    Preparing,
    Progress,
    Ready,
    Started,
    line,
    own_output,
    read_order,
)
from engine.paths import PART
from engine.pictures import save
from engine.pipelines import Pipelines, warm_up

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from engine.tasks.draw import Prepared

_log = logging.getLogger(__name__)
PREVIEW_SHARE = 6
"""A preview is made once the steps since the last took this many times what it cost."""


def main() -> int:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole terminal; the engine decides
    output = own_output()
    orders = Orders(sys.stdin.buffer)
    Worker(output, orders).serve()
    return 0


class Orders:
    """Standard input, read on a thread of its own, so that a cancel is seen while a picture is made."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.Queue[Draw] = queue.Queue()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for text in self._source:
            order = read_order(text)
            if isinstance(order, Cancel):
                self._cancelled.add(order.job)
            else:
                self._waiting.put(order)
        os._exit(0)  # the engine is gone; whatever runs here is for nobody

    def next(self) -> Draw:
        """The next picture to make; waits for it."""
        return self._waiting.get()

    def check(self, job: str) -> None:
        """Raise Cancelled if the job was called off."""
        if job in self._cancelled:
            raise Cancelled


class Worker:
    """Makes one picture at a time."""

    def __init__(self, output: BinaryIO, orders: Orders) -> None:
        self._output = output
        self._orders = orders
        self._pipelines = Pipelines()
        self._devices: list[Device] = []

    def serve(self) -> None:
        """Say what the machine can do, then draw what is ordered, for ever."""
        self._devices = devices()
        chosen = choose(self._devices, "auto", "auto")
        self._tell(Ready(devices=tuple(self._devices), chosen=chosen.backend, precision=chosen.precisions[0]))
        warm_up()  # seconds of imports that the first picture would wait for otherwise
        while True:
            order = self._orders.next()
            try:
                self._draw(order)
            except Cancelled:
                self._tell(CancelledJob(job=order.job, settings=order.settings))
            except EaselError as error:
                self._tell(_failed(order, error))
            except Exception as error:  # noqa: BLE001  one of the four doors: nothing may end the worker in silence
                _log.exception("drawing failed")
                self._tell(_failed(order, _unforeseen(error)))

    def _tell(self, message: Message) -> None:
        self._output.write(line(message))

    def _draw(self, order: Draw) -> None:
        from engine.tasks.draw import prepare

        device = choose(self._devices, order.settings.backend, order.settings.precision)

        def report(what: str, done: float) -> None:
            self._orders.check(order.job)
            self._tell(Preparing(job=order.job, what=what, done=done))

        with _memory_said():
            ready = prepare(self._pipelines, order, device, report)
        self._tell(Started(job=order.job, backend=device.backend, precision=device.precisions[0], notes=ready.notes))
        self._paint(order, device, ready)

    def _paint(self, order: Draw, device: Device, ready: "Prepared") -> None:
        from engine.tasks.draw import draw
        from engine.tasks.preview import decoded

        began = time.monotonic()
        with _memory_said():
            seen = self._pipelines.preview_decoder
            image = draw(ready, _Steps(self, order, lambda latents: decoded(ready.passes[0].pipeline, seen, latents)))
        seconds = time.monotonic() - began
        precision = device.precisions[0]
        settings = msgspec.structs.replace(order.settings, backend=device.backend, precision=precision)
        made = Made(
            program=VERSION,
            settings=settings,
            backend=device.backend,
            precision=precision,
            seconds=round(seconds, 3),
        )
        save(image, Path(order.part), made)
        self._tell(
            Picture(
                job=order.job,
                path=order.part,
                settings=settings,
                backend=device.backend,
                precision=precision,
                seconds=seconds,
                peak_memory_bytes=peak_memory_bytes(),
            )
        )
        self._tell(Done(job=order.job))

    def step_done(self, order: Draw, progress: Progress) -> None:
        """Tell of a step, unless the job was called off meanwhile: then raise Cancelled."""
        self._orders.check(order.job)
        self._tell(progress)


class _Steps:
    """What is told after each step, and when a preview is worth its time."""

    def __init__(self, worker: Worker, order: Draw, decode: "Callable[[torch.Tensor], Image]") -> None:
        self._worker = worker
        self._order = order
        self._decode = decode
        self._last = time.monotonic()
        self._step_seconds: list[float] = []
        self._since_preview = 0.0
        self._preview_cost = 0.0

    def __call__(self, step: int, steps: int, latents: "torch.Tensor | None") -> None:
        now = time.monotonic()
        self._step_seconds.append(now - self._last)
        self._since_preview += now - self._last
        recent = self._step_seconds[-10:]
        pace = sorted(recent)[len(recent) // 2]
        preview = ""
        if self._order.previews and latents is not None and 1 < step < steps and self._is_due():
            preview = self._preview(step, latents)
        self._worker.step_done(
            self._order,
            Progress(
                job=self._order.job,
                step=step,
                steps=steps,
                seconds_left=pace * (steps - step) + self._preview_cost,
                seconds_a_step=pace,
                preview=preview,
            ),
        )
        self._last = time.monotonic()

    def _is_due(self) -> bool:
        return self._since_preview >= PREVIEW_SHARE * self._preview_cost

    def _preview(self, step: int, latents: "torch.Tensor") -> str:
        began = time.monotonic()
        target = Path(self._order.previews) / f"{Path(self._order.part).stem}-{step}.png"
        part = target.with_suffix(PART)
        self._decode(latents).save(part, "PNG", compress_level=1)
        part.replace(target)
        self._preview_cost = time.monotonic() - began
        self._since_preview = 0.0
        return str(target)


@contextmanager
def _memory_said() -> Iterator[None]:
    """Turn the libraries' ways of running out of memory into ours."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(
            "The memory ran out while the picture was made.", "Use a smaller size, or close other programs."
        ) from error


def _failed(order: Draw, error: EaselError) -> Failed:
    return Failed(
        job=order.job, cause=error.cause, advice=error.advice, where=error.where, settings=order.settings,
        fault="request" if error.exit_code == 2 else "engine",
    )  # fmt: skip


def _unforeseen(error: Exception) -> EaselError:
    return EaselError(
        f"The engine met an error it does not know ({type(error).__name__}).",
        "Try another backend; the log says more.",
    )
