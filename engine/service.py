"""The engine thread: owns the queue, the worker and the finished files; talks only by messages."""

import itertools
import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine import keeping, paths, pictures, rest
from engine.child import Child
from engine.errors import BadInput, EaselError
from engine.librarian import Librarian
from engine.manners import wanted
from engine.messages import (
    Browse,
    Cancel,
    CancelledJob,
    Convert,
    Describe,
    Discard,
    Done,
    Draw,
    Event,
    Failed,
    Forget,
    Generate,
    Keep,
    Lay,
    Message,
    Pause,
    Paused,
    Picture,
    Pictures,
    Progress,
    Queued,
    Ready,
    Recent,
    Request,
    StopAfter,
    TakeIn,
    WorkerLost,
)
from engine.orders import orders, undone
from engine.settings import Preferences

_log = logging.getLogger(__name__)

RETRIES = 2
"""How often a picture is begun again after the worker died on it."""
DEATHS_A_MINUTE = 3
"""So many, and no further worker is started until the next request."""
GRACE_SECONDS = 10.0
"""How long a worker may take to obey a cancel, beyond two of its steps, before it is killed."""
LOOK_SECONDS = 5.0
"""Between two looks at the sensors, where drawing is to rest on the battery or when it is hot."""


class _Ended(NamedTuple):
    """The worker of that number is gone."""

    worker: int
    cause: str


class _Heard(NamedTuple):
    """An event of the worker of that number."""

    worker: int
    event: Event


class _Stop(NamedTuple):
    """The engine is to end."""


class _Job:
    """A request on its way: what is to be made for it, and how far it is."""

    def __init__(self, request: Generate, folder: Path, todo: Sequence[Draw | Lay]) -> None:
        self.request = request
        self.folder = folder
        self.orders = todo
        self.paths: list[str] = []
        """Of the finished pictures."""
        self.attempts = 0
        self.cancelled = False
        self.is_held = False
        """Whether the person wants it to wait."""
        self.rests = ""
        """Why it waits otherwise: a sentence."""
        self.never_rests = False
        self.stops_after = False
        """Whether it ends with the picture that is being made."""

    def next(self, part: str, previews: str) -> Draw | Lay:
        """The order for the next picture, which is left at `part`."""
        order = self.orders[len(self.paths)]
        if isinstance(order, Lay):
            return msgspec.structs.replace(order, part=part, pictures=tuple(self.paths))
        return msgspec.structs.replace(order, part=part, previews=previews, deaths=self.attempts)

    @property
    def pause(self) -> Pause:
        """Whether its picture is to wait."""
        why = "" if self.is_held else self.rests
        return Pause(job=self.request.job, on=self.is_held or bool(self.rests), why=why)

    @property
    def stem(self) -> str:
        """The name that is asked for the next picture; empty for one by date."""
        stem = self.request.stem
        return f"{stem}-grid" if stem and isinstance(self.orders[len(self.paths)], Lay) else stem


class Service:
    """Takes requests from any thread; tells events on its own."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._inbox: queue.Queue[Request | _Heard | _Ended | _Stop] = queue.Queue()
        self._jobs: deque[_Job] = deque()
        self._running: _Job | None = None
        self._child: Child | None = None
        self._worker = 0
        self._preferences = self._workers_preferences = Preferences()
        """Now, and when the worker was started."""
        self._is_ready = False
        self._deaths: deque[float] = deque(maxlen=DEATHS_A_MINUTE)
        self._kill_at: float | None = None
        self._look_at = 0.0
        """When the sensors are to be read next."""
        self._seconds_a_step = 0.0
        self._previews = Path(tempfile.gettempdir())
        self._librarian = Librarian(tell, is_drawing=lambda: self._running is not None)
        self._thread = threading.Thread(target=self._run, name="engine")

    def start(self) -> None:
        """Start the thread, which starts the worker."""
        self._thread.start()

    def send(self, request: Request) -> None:
        """Hand a request over; returns at once."""
        self._inbox.put(request)

    def stop(self) -> None:
        """End the worker and the thread, and wait for both. Finished pictures stay."""
        self._inbox.put(_Stop())
        self._thread.join()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        self._previews = Path(tempfile.mkdtemp(prefix="easel-previews-"))
        self._preferences = keeping.read(Preferences)
        self._start_worker()
        try:
            while True:
                item = self._next()
                if isinstance(item, _Stop):
                    return
                try:
                    self._handle(item)
                    self._rest_or_go_on()
                except EaselError as error:
                    _log.info("%s", type(error).__name__)
                    self._tell(_failed(error))
                except Exception as error:  # noqa: BLE001  one of the four doors: the thread must not die
                    _log.exception("the engine thread met an error")
                    self._begin_anew(type(error).__name__)
        finally:
            if self._child is not None:
                self._child.close()
            self._librarian.stop()
            shutil.rmtree(self._previews, ignore_errors=True)

    def _begin_anew(self, error: str) -> None:
        """Hand the running request back; the worker, whose state nobody knows, is replaced."""
        job, self._running = self._running, None
        self._tell(
            Failed(
                job=job.request.job if job else "",
                cause=f"Easel met an error ({error}).",
                advice="Try again.",
                settings=job.request.settings if job else None,
            )
        )
        if job is not None and self._child is not None:
            self._child.kill()

    def _next(self) -> "Request | _Heard | _Ended | _Stop | None":
        look_at = self._look_at if self._running is not None and rest.is_asked(self._preferences) else None
        due = min((each for each in (self._kill_at, look_at) if each is not None), default=None)
        try:
            return self._inbox.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except queue.Empty:
            return None

    def _handle(self, item: "Request | _Heard | _Ended | None") -> None:
        match item:
            case None if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._overdue()
            case None:
                pass  # the sensors are to be read, as after everything else
            case _Heard(worker, event):
                if worker == self._worker:
                    self._hear(event)
            case _Ended(worker, cause):
                if worker == self._worker:
                    self._worker_lost(cause)
            case Generate():
                self._accept(item)
            case Cancel():
                if not self._librarian.cancel(item.job):
                    self._cancel(item.job)
            case StopAfter():
                self._stop_after(item.job)
            case Pause() if item.job:
                self._hold(item)
            case Browse() | TakeIn() | Describe() | Discard() | Forget() | Convert() | Pause():
                self._librarian.send(item)
            case Keep():
                keeping.keep(item.value)
                if isinstance(item.value, Preferences):
                    self._preferences, self._look_at = item.value, 0.0
                    self._renew()
            case Recent():
                folder = Path(item.folder) if item.folder else paths.pictures()
                found = pictures.newest(folder, item.count)
                self._tell(Pictures(job=item.job, paths=tuple(map(str, found))))

    # ------------------------------------------------------------ jobs

    def _accept(self, request: Generate) -> None:
        try:
            todo = orders(request)
            folder = paths.ready(Path(request.folder) if request.folder else paths.pictures())
            paths.clear_leftovers(folder, ".png")
        except EaselError as error:
            self._tell(_failed(error, request))
            return
        self._jobs.append(_Job(request, folder, todo))
        self._tell(Queued(job=request.job, place=len(self._jobs) - 1 + (self._running is not None)))
        self._advance()

    def _advance(self) -> None:
        """Give the worker the next picture, if it is free and there is one."""
        if self._child is None and (self._jobs or self._running):
            self._start_worker()
        if not self._is_ready or self._child is None:
            return
        if self._running is None and self._jobs:
            self._running, self._look_at = self._jobs.popleft(), 0.0
        job = self._running
        if job is not None:
            if job.pause.on:  # of which this worker may not know yet
                self._child.send(job.pause)
            part = job.folder / f".easel-{os.getpid()}-{next(_numbers)}.png{paths.PART}"
            self._child.send(job.next(str(part), str(self._previews)))

    def _cancel(self, name: str) -> None:
        running = self._running
        if running is not None and running.request.job == name:
            running.cancelled = True
            self._kill_at = time.monotonic() + GRACE_SECONDS + 2 * self._seconds_a_step
            if self._child is not None:
                self._child.send(Cancel(job=name))
            return
        for job in [job for job in self._jobs if job.request.job == name]:
            self._jobs.remove(job)
            self._tell(CancelledJob(job=name, settings=job.request.settings))

    def _stop_after(self, name: str) -> None:
        running = self._running
        if running is not None and running.request.job == name:
            running.stops_after = True
        else:
            self._cancel(name)

    def _hold(self, pause: Pause) -> None:
        for job in [job for job in (self._running, *self._jobs) if job and job.request.job == pause.job]:
            if job.rests and not job.is_held and not pause.on:
                job.rests, job.never_rests = "", True
            job.is_held = pause.on
            if job is self._running and self._child is not None:
                self._child.send(job.pause)

    def _rest_or_go_on(self) -> None:
        """Let the running job rest, or go on, as the sensors say and the person wants."""
        job = self._running
        if job is None or job.never_rests or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        asked = rest.is_asked(self._preferences)
        why = rest.reason(rest.look(), self._preferences, job.rests) if asked else ""
        if why != job.rests:
            job.rests = why
            if self._child is not None:
                self._child.send(job.pause)

    def _overdue(self) -> None:
        """The worker did not obey a cancel in time."""
        self._kill_at = None
        if self._child is not None:
            self._child.kill()

    def _let_go(self) -> None:
        self._running = None
        self._kill_at = None
        self._renew()
        self._advance()

    # ------------------------------------------------------------ the worker

    def _renew(self) -> None:
        """Replace a worker that is free and was started with other manners than are wanted now."""
        manners = [wanted(each) for each in (self._preferences, self._workers_preferences)]
        if self._running is None and self._child is not None and manners[0] != manners[1]:
            self._child.close()
            self._start_worker()

    def _start_worker(self) -> None:
        self._workers_preferences = self._preferences
        self._worker += 1
        number = self._worker
        self._is_ready = False
        self._child = Child(
            lambda event: self._inbox.put(_Heard(number, event)),
            lambda cause: self._inbox.put(_Ended(number, cause)),
        )

    def _hear(self, event: Event) -> None:
        job = self._running
        if job is not None and job.request.job != event.job:
            job = None  # a last word about a job that was given up meanwhile
        match event:
            case Ready():
                self._is_ready = True
                self._tell(event)
                self._advance()
            case Paused() | Progress() | Picture() | Done() | CancelledJob() | Failed() if job is None:
                _log.info("%s of a job that is over", type(event).__name__)
            case Progress() if job:
                self._seconds_a_step = event.seconds_a_step
                self._tell(msgspec.structs.replace(event, picture=len(job.paths) + 1, pictures=len(job.orders)))
            case Picture() if job:
                self._take(job, event)
            case Done() if job:
                self._picture_done(job)
            case CancelledJob() if job:
                self._tell(CancelledJob(job=event.job, settings=job.request.settings))
                self._let_go()
            case Failed() if job:
                self._tell(msgspec.structs.replace(event, settings=job.request.settings))
                self._let_go()
            case Message():
                self._tell(event)

    def _take(self, job: _Job, picture: Picture) -> None:
        """Give a finished picture its name, then tell of it; where that fails, give the job up."""
        stem = job.stem or f"{time.strftime('%Y%m%d-%H%M%S')}-{picture.settings.seed}"
        try:
            path = paths.publish(Path(picture.path), job.folder, stem)
        except EaselError as error:
            self._tell(_failed(error, job.request))
            self._let_go()
            return
        job.paths.append(str(path))
        job.attempts = 0
        self._tell(msgspec.structs.replace(picture, path=str(path)))

    def _picture_done(self, job: _Job) -> None:
        if job.cancelled:
            self._tell(CancelledJob(job=job.request.job, settings=job.request.settings))
            self._let_go()
        elif len(job.paths) == len(job.orders):
            self._tell(Done(job=job.request.job))
            self._let_go()
        elif job.stops_after:
            made, asked = len(job.paths), len(job.orders)
            rest = undone(job.request, job.orders, made)
            self._tell(CancelledJob(job=job.request.job, settings=rest, undone=asked - made))
            self._let_go()
        else:
            self._advance()

    def _worker_lost(self, cause: str) -> None:
        self._child = None
        self._is_ready = False
        self._deaths.append(time.monotonic())
        job = self._running
        if job is not None and job.cancelled:
            self._tell(CancelledJob(job=job.request.job, settings=job.request.settings))
            self._running = None
            job = None
        self._kill_at = None
        hopeless = len(self._deaths) == DEATHS_A_MINUTE and self._deaths[-1] - self._deaths[0] < 60
        again = not hopeless
        self._tell(WorkerLost(job=job.request.job if job else "", cause=cause, again=again))
        if job is not None:
            job.attempts += 1
            if hopeless or job.attempts > RETRIES:
                self._hand_back(job, cause)
        if again:
            self._start_worker()
        else:
            self._give_up(cause)

    def _give_up(self, cause: str) -> None:
        """No worker lives: hand every waiting request back. The next request tries a new worker."""
        while self._jobs:
            self._hand_back(self._jobs.popleft(), cause)
        self._deaths.clear()

    def _hand_back(self, job: _Job, cause: str) -> None:
        if self._running is job:
            self._running = None
        self._tell(
            Failed(
                job=job.request.job,
                cause=f"The engine stopped several times while it worked on this ({cause}).",
                advice="Use a smaller size, or another backend.",
                settings=job.request.settings,
            )
        )


_numbers = itertools.count(1)


def _failed(error: EaselError, request: Generate | None = None) -> Failed:
    return Failed(
        job=request.job if request else "",
        cause=error.cause,
        advice=error.advice,
        where=error.where,
        fault="request" if isinstance(error, BadInput) else "engine",
        settings=request.settings if request else None,
    )
