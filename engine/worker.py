"""The worker process: reads orders from standard input, makes pictures, says what happens on standard output."""

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from engine.backends.choice import choose, devices, tried
from engine.child import VERSION, peak_memory_bytes
from engine.errors import Cancelled, EaselError, OutOfMemory, Overflowed, memory_said
from engine.families import FAMILIES
from engine.formats.picture_text import Made
from engine.keeping import read
from engine.manners import keep_to, wanted
from engine.memory import Plan
from engine.messages import (
    Cancel,
    CancelledJob,
    Device,
    Done,
    Draw,
    Failed,
    Lay,
    Message,
    Order,
    Pause,
    Paused,
    Picture,
    Preparing,
    Progress,
    Ready,
    Started,
    line,
    read_order,
)
from engine.paths import PART
from engine.patience import Report, Wait, told_to
from engine.pictures import as_png, save
from engine.pipelines import Pipelines, warm_up
from engine.settings import Preferences
from engine.stdio import own_output

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


_log = logging.getLogger(__name__)
WARM_UP_SECONDS = 6.0
"""What importing the libraries takes on a laptop, about."""
PREVIEW_SHARE = 6
"""A preview is made once the steps since the last took this many times what it cost."""


def main() -> int:
    """Serve until standard input ends."""
    keep_to(wanted(read(Preferences)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole terminal; the engine decides
    output = own_output()
    orders = Orders(sys.stdin.buffer)
    Worker(output, orders).serve()
    return 0


class Orders:
    """Standard input, read on a thread of its own: a cancel or a pause is seen while a picture is made."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._waiting: queue.Queue[Draw | Lay] = queue.Queue()
        self._cancelled: set[str] = set()
        self._held: dict[str, Pause] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for text in self._source:
            self._take(read_order(text))
        os._exit(0)  # the engine is gone; whatever runs here is for nobody

    def _take(self, order: Order) -> None:
        with self._changed:
            match order:
                case Cancel():
                    self._cancelled.add(order.job)
                case Pause(on=True):
                    self._held[order.job] = order
                case Pause():
                    self._held.pop(order.job, None)
                case _:
                    self._waiting.put(order)
            self._changed.notify()

    def next(self) -> Draw | Lay:
        """The next picture to make; waits for it."""
        return self._waiting.get()

    def check(self, job: str, tell: Callable[[Message], None]) -> None:
        """Wait while the job is held, and tell of that. Raises Cancelled if it was called off, or is meanwhile."""
        told: Pause | None = None
        with self._changed:
            while (held := self._held.get(job)) and job not in self._cancelled:
                if held != told:
                    told = held
                    tell(Paused(job=job, why=held.why))
                self._changed.wait()
            if job in self._cancelled:
                raise Cancelled
        if told:
            tell(Paused(job=job, on=False))


class Worker:
    """Makes one picture at a time."""

    def __init__(self, output: BinaryIO, orders: Orders) -> None:
        self._output = output
        self._orders = orders
        self._pipelines = Pipelines()
        self._devices: list[Device] = []
        self._warm: Wait[None] = Wait(lambda _: None)
        self._settled: dict[str, Plan] = {}
        """How the last job's pictures are made, after what failed for it."""
        self._paused_seconds = 0.0
        """Since it started."""

    def serve(self) -> None:
        """Say what the machine can do, then draw what is ordered, for ever."""
        self._devices = devices()
        chosen = choose(self._devices, "auto", "auto")
        self._tell(Ready(devices=tuple(self._devices), chosen=chosen.backend, precision=chosen.precisions[0]))
        self._warm = Wait(_warmed)  # seconds of imports that the first picture would wait for otherwise
        while True:
            order = self._orders.next()
            try:
                self._lay(order) if isinstance(order, Lay) else self._draw(order)
            except Cancelled:
                self._tell(CancelledJob(job=order.job, settings=order.settings))
            except EaselError as error:
                self._tell(_failed(order, error))
            except Exception as error:  # noqa: BLE001  one of the four doors: nothing may end the worker in silence
                _log.exception("drawing failed")
                self._tell(_failed(order, _unforeseen(error)))

    def _tell(self, message: Message) -> None:
        self._output.write(line(message))

    def _lay(self, order: Lay) -> None:
        from engine.tasks.grid import sheet

        began = time.monotonic()
        image = sheet([Path(path) for path in order.pictures], order.columns, order.rows)
        used = order.settings
        made = Made(program=VERSION, settings=used, backend=used.backend, precision=used.precision, seconds=0.0)
        save(as_png(image), Path(order.part), made)
        self._tell(
            Picture(
                job=order.job,
                path=order.part,
                settings=used,
                backend=used.backend,
                precision=used.precision,
                seconds=time.monotonic() - began,
            )
        )
        self._tell(Done(job=order.job))

    def _draw(self, order: Draw) -> None:
        told = Preparing(job=order.job, what="")

        def report(what: str, done: float) -> None:
            nonlocal told
            self._check(order.job)
            now = Preparing(job=order.job, what=what, done=round(done, 2))
            if now != told:
                told = now
                self._tell(now)

        with told_to(report):
            self._warm.result("Starting the engine")
        from engine.tasks.attempts import Attempts
        from engine.tasks.unpickled import unpickled

        order = msgspec.structs.replace(order, adapters=unpickled(order.adapters, report))
        if not order.deaths:  # a worker that died may have died of the trial
            self._devices = tried(self._devices, order.settings.backend, order.settings.precision, report)
        attempts = Attempts(self._pipelines, order, self._devices, self._settled.get(order.job))
        while True:
            plan = attempts.plan()
            overflowed = None
            try:
                with told_to(report), memory_said("The memory ran out while the picture was made."):
                    self._paint(order, plan, attempts.notes, report)
            except OutOfMemory:
                _log.warning("out of memory", exc_info=True)
            except Overflowed as error:
                overflowed = error.with_traceback(None)  # what it was raised in must not be kept alive
            else:
                self._settled = {order.job: plan}
                return
            if overflowed:
                attempts.without_numbers(overflowed)
            else:
                attempts.without_memory()

    def _paint(self, order: Draw, plan: Plan, why_again: tuple[str, ...], report: Report) -> None:
        from engine.tasks.draw import draw, prepare
        from engine.tasks.preview import decoded

        device = plan.device
        ready = prepare(self._pipelines, order, plan, report)
        notes = (*why_again, *ready.notes)
        self._tell(Started(job=order.job, backend=device.backend, precision=device.precisions[0], notes=notes))
        self._check(order.job)
        began, paused = time.monotonic(), self._paused_seconds
        seen = self._pipelines.preview_decoder if ready.pipeline else None
        if device.offload and seen is self._pipelines.vae:
            seen = None  # it would take the denoiser's place on the card after each step
        drawn = draw(ready, _Steps(self, order, seen and (lambda latents: decoded(ready.pipeline, seen, latents))))
        seconds = time.monotonic() - began - (self._paused_seconds - paused)
        precision = device.precisions[0]
        used = FAMILIES[order.model.family].scheduler(order.settings.scheduler)
        asked = msgspec.structs.replace(order.settings, scheduler=used)
        settings = msgspec.structs.replace(asked, backend=device.backend, precision=precision)
        made = Made(
            program=VERSION,
            settings=settings,
            backend=device.backend,
            precision=precision,
            seconds=round(seconds, 3),
        )
        save(drawn.encoded, Path(order.part), made)
        self._tell(
            Picture(
                job=order.job,
                path=order.part,
                settings=settings,
                backend=device.backend,
                precision=precision,
                seconds=seconds,
                notes=(*drawn.notes, *self._pipelines.mended(), *(_one_colour(drawn.image) if ready.pipeline else ())),
                peak_memory_bytes=peak_memory_bytes(),
            )
        )
        self._tell(Done(job=order.job))

    def step_done(self, order: Draw, progress: Progress) -> None:
        """Tell of a step, and wait while the job is held. Raises Cancelled if it was called off."""
        self._tell(progress)
        self._check(order.job)

    def _check(self, job: str) -> None:
        began = time.monotonic()
        self._orders.check(job, self._tell)
        self._paused_seconds += time.monotonic() - began


class _Steps:
    """What is told after each step, and when a preview is worth its time."""

    def __init__(self, worker: Worker, order: Draw, decode: "Callable[[torch.Tensor], Image] | None") -> None:
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
        if self._order.previews and self._decode and latents is not None and 1 < step < steps and self._is_due():
            preview = self._preview(step, latents, self._decode)
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

    def _preview(self, step: int, latents: "torch.Tensor", decode: "Callable[[torch.Tensor], Image]") -> str:
        began = time.monotonic()
        target = Path(self._order.previews) / f"{Path(self._order.part).stem}-{step}.png"
        part = target.with_suffix(PART)
        decode(latents).save(part, "PNG", compress_level=1)
        part.replace(target)
        self._preview_cost = time.monotonic() - began
        self._since_preview = 0.0
        return str(target)


def _warmed(wait: Wait[None]) -> None:
    wait.expected_seconds = WARM_UP_SECONDS
    warm_up()


def _one_colour(image: "Image") -> tuple[str, ...]:
    """A sentence where every pixel is the same: no numbers overflowed, yet it is hardly what was wanted."""
    bands = image.convert("RGB").split()
    if any(low != high for low, high in (band.getextrema() for band in bands)):
        return ()
    return ("The picture is of one colour; another seed, scheduler or guidance scale may help.",)


def _failed(order: Draw | Lay, error: EaselError) -> Failed:
    return Failed(
        job=order.job, cause=error.cause, advice=error.advice, where=error.where, settings=order.settings,
        fault="request" if error.exit_code == 2 else "engine",
    )  # fmt: skip


def _unforeseen(error: Exception) -> EaselError:
    return EaselError(
        f"The engine met an error it does not know ({type(error).__name__}).",
        "Try another backend; the log says more.",
    )
