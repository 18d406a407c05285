"""The library's own threads: wishes are answered at once, slow disks are walked in the background."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from engine.conversion import Conversion
from engine.errors import BadInput, Cancelled, EaselError
from engine.library import intake, roots, scan
from engine.library.catalogue import Catalogue
from engine.library.conversions import with_conversions
from engine.library.hashes import hash_next
from engine.library.leftovers import sweep
from engine.messages import (
    Browse,
    CancelledJob,
    Convert,
    Converting,
    Describe,
    Discard,
    Done,
    Entries,
    Entry,
    Event,
    Failed,
    Forget,
    Hindrance,
    Pause,
    Preparing,
    Scanned,
    TakeIn,
)

_log = logging.getLogger(__name__)
WATCH_SECONDS = 10.0
"""Between two looks at whether a folder has changed."""
Wish = Browse | TakeIn | Describe | Discard | Forget | Convert | Pause


class _Stop(NamedTuple):
    """The library is to close."""


class _Cancelled(NamedTuple):
    """That job is to stop."""

    job: str


class _Converted(NamedTuple):
    """A conversion has ended."""

    job: str
    path: str


class Librarian:
    """Takes wishes from any thread; tells events on its own ones. While something `is_drawing`, it counts no hashes."""

    def __init__(self, tell: Callable[[Event], None], is_drawing: Callable[[], bool] = lambda: False) -> None:
        self._tell, self._is_drawing = tell, is_drawing
        self._inbox: queue.Queue[Wish | _Cancelled | _Converted | _Stop] = queue.Queue()
        self._desk = threading.Thread(target=self._run, name="library")
        self._walker = threading.Thread(target=self._walk, name="library scan")
        self._porter: threading.Thread | None = None
        self._look, self._stopping = threading.Event(), threading.Event()
        self._last = Scanned()
        self._has_more = False
        """Whether there may be files left whose hashes are not counted."""
        self._jobs: set[str] = set()
        """Those that can be cancelled."""
        self._called_off: set[str] = set()
        self._conversion: Conversion | None = None
        self._to_convert: deque[Convert] = deque()
        self._to_take_in: queue.Queue[TakeIn | None] = queue.Queue()

    def send(self, wish: Wish) -> None:
        """Hand a wish over; returns at once."""
        if isinstance(wish, (TakeIn, Convert)):
            self._jobs.add(wish.job)
        self._inbox.put(wish)
        if not self._desk.is_alive():
            self._desk.start()

    def cancel(self, job: str) -> bool:
        """Stop a job, if it is the library's."""
        if job not in self._jobs:
            return False
        self._inbox.put(_Cancelled(job))
        return True

    def stop(self) -> None:
        """Close the library and wait; a conversion ends, and is taken up where it was by the next."""
        self._stopping.set()
        self._look.set()
        self._inbox.put(_Stop())
        self._to_take_in.put(None)
        for thread in (self._desk, self._porter, self._walker):
            if thread and thread.is_alive():
                thread.join()
        if self._conversion:
            self._conversion.close()

    # ------------------------------------------------------------ the desk

    def _run(self) -> None:
        catalogue: Catalogue | None = None
        try:
            while not isinstance(wish := self._inbox.get(), _Stop):
                try:
                    catalogue = catalogue or Catalogue()
                    self._handle(wish, catalogue)
                except EaselError as error:
                    self._fail(error, getattr(wish, "job", ""))
                    if isinstance(wish, Browse):
                        self._begin_walking()  # which finds out when it can be answered
        finally:
            if catalogue:
                catalogue.close()

    def _handle(self, wish: "Wish | _Cancelled | _Converted", catalogue: Catalogue) -> None:
        match wish:
            case Browse():
                self._tell(Entries(job=wish.job, entries=tuple(with_conversions(catalogue.entries()))))
                self._begin_walking()
                if catalogue.note:
                    raise EaselError(catalogue.note, "")
                self._tell(Done(job=wish.job))
            case Describe():
                self._say_changed([catalogue.describe(wish)])
                self._tell(Done(job=wish.job))
            case Discard():
                self._discard(wish, catalogue)
            case Forget():
                catalogue.remove_root(Path(wish.path))
                self._tell(Done(job=wish.job))
                self._begin_walking()
            case TakeIn(how="use"):
                self._use(wish, catalogue)
            case TakeIn():
                self._to_take_in.put(wish)
                if self._porter is None:
                    self._porter = threading.Thread(target=self._carry, name="library intake")
                    self._porter.start()
            case Convert():
                self._to_convert.append(wish)
                self._convert_next()
            case Pause():
                if self._conversion:
                    self._conversion.hold(wish.on)
            case _Cancelled():
                self._call_off(wish.job)
            case _Converted():
                self._conversion = None
                self._jobs.discard(wish.job)
                entry = catalogue.entry(wish.path)
                self._say_changed([entry] if entry else [])
                self._convert_next()

    def _discard(self, wish: Discard, catalogue: Catalogue) -> None:
        entry = catalogue.entry(wish.path)
        if entry is None:
            raise BadInput("This file is not in the library.", "Look through the folders again.", wish.path)
        if entry.state != "missing":
            intake.discard(Path(entry.path))
        catalogue.drop([entry.path])
        self._say_changed([], (entry.path,))
        self._tell(Done(job=wish.job))

    def _use(self, wish: TakeIn, catalogue: Catalogue) -> None:
        for path in map(Path, wish.paths):
            intake.use(path, catalogue)
        self._jobs.discard(wish.job)
        self._tell(Done(job=wish.job))
        self._begin_walking()

    def _convert_next(self) -> None:
        if self._conversion is None and self._to_convert:
            request = self._to_convert.popleft()
            self._conversion = Conversion(
                request, self._tell, lambda: self._inbox.put(_Converted(request.job, request.path))
            )
        for waiting in self._to_convert:
            name = f"“{Path(waiting.path).stem}” waits"
            self._tell(Converting(job=waiting.job, path=waiting.path, precision=waiting.precision, what=name))

    def _call_off(self, job: str) -> None:
        if self._conversion and self._conversion.request.job == job:
            self._conversion.cancel()
            return
        waiting = [each for each in self._to_convert if each.job == job]
        for each in waiting:
            self._to_convert.remove(each)
            self._tell(CancelledJob(job=job))
        if not waiting:
            self._called_off.add(job)

    # ------------------------------------------------------------ copying and moving

    def _carry(self) -> None:
        while (wish := self._to_take_in.get()) is not None and not self._stopping.is_set():
            try:
                self._take_in(wish)
                self._tell(Done(job=wish.job))
            except Cancelled:
                self._tell(CancelledJob(job=wish.job))
            except EaselError as error:
                self._fail(error, wish.job)
            self._jobs.discard(wish.job)
            self._begin_walking()

    def _take_in(self, wish: TakeIn) -> None:
        def report(what: str, done: float) -> None:
            if self._stopping.is_set() or wish.job in self._called_off:
                raise Cancelled
            self._tell(Preparing(job=wish.job, what=what, done=done))

        how = "move" if wish.how == "move" else "copy"
        troubles = [each.trouble for each in intake.take_in(map(Path, wish.paths), how, report) if each.trouble]
        if len(troubles) > 1:
            first = troubles[0]
            raise BadInput(f"{first.cause} {len(troubles) - 1} more stayed where they were.", first.advice, first.where)
        if troubles:
            raise troubles[0]

    # ------------------------------------------------------------ walking through the folders

    def _begin_walking(self) -> None:
        self._look.set()
        if not self._walker.is_alive() and not self._stopping.is_set():
            self._walker.start()

    def _walk(self) -> None:
        catalogue: Catalogue | None = None
        is_due, is_hindered = True, False
        try:
            while not self._stopping.is_set():
                is_due = is_due or self._look.is_set()
                self._look.clear()
                try:
                    catalogue = catalogue or Catalogue()
                    self._look_around(catalogue, is_due)
                    if is_hindered:
                        self._inbox.put(Browse())  # what could not be told then
                    is_due = is_hindered = False
                except EaselError as error:
                    is_due = is_hindered = True
                    self._has_more = False
                    self._hinder(error)
                self._look.wait(0 if self._has_more else WATCH_SECONDS)
        finally:
            if catalogue:
                catalogue.close()

    def _look_around(self, catalogue: Catalogue, is_due: bool) -> None:
        """Scan where it was asked for or something changed; count hashes until something else is to be done."""
        added = catalogue.roots()
        folders = roots.roots(added)
        if is_due or scan.changed(catalogue, folders):
            for event in scan.scan(catalogue, folders, self._stopping.is_set):
                self._last = structs.replace(event, changed=(), gone=(), folders=tuple(added))
                self._tell(structs.replace(self._last, changed=tuple(with_conversions(event.changed)), gone=event.gone))
            if self._last.done:
                sweep(catalogue)
        until = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < until and not self._is_wanted() and (entry := hash_next(catalogue, self._is_wanted)):
            self._say_changed([entry])
        self._has_more = time.monotonic() >= until

    def _is_wanted(self) -> bool:
        """Whether there is something to do that is not counting."""
        return self._stopping.is_set() or self._look.is_set() or self._is_drawing()

    def _hinder(self, error: EaselError) -> None:
        """Tell what keeps the library from being looked through, beside its folders: nobody asked for it."""
        _log.info("%s", type(error).__name__)
        why = Hindrance(where=error.where, cause=error.cause, advice=error.advice)
        self._last = structs.replace(self._last, done=True, hindrances=(why,))
        self._tell(self._last)

    # ------------------------------------------------------------ telling

    def _say_changed(self, changed: list[Entry], gone: tuple[str, ...] = ()) -> None:
        """Tell of entries outside a scan, without a word on how far a scan is."""
        self._tell(structs.replace(self._last, changed=tuple(with_conversions(changed)), gone=gone))

    def _fail(self, error: EaselError, job: str) -> None:
        _log.info("%s", type(error).__name__)
        fault = "request" if isinstance(error, BadInput) else "engine"
        self._tell(Failed(job=job, cause=error.cause, advice=error.advice, where=error.where, fault=fault))
