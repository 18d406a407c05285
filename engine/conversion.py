"""A conversion seen from outside: a process of its own that is started, listened to, held, and stopped."""

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from engine.messages import CancelledJob, Convert, Converting, Done, Event, Failed, Preparing, read_event
from engine.paths import program


class Conversion:
    """Runs “easel models convert” for a request. `tell` and `ended` are called on the conversion's own thread."""

    def __init__(self, request: Convert, tell: Callable[[Event], None], ended: Callable[[], None]) -> None:
        self.request = request
        self._tell, self._ended = tell, ended
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed at its end; a pipe that fills would stop it
        self._process = subprocess.Popen(
            [*program(), "models", "convert", request.path, "--precision", request.precision, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows: no console of its own
        )
        self._began = time.monotonic()
        self._held_at: float | None = None
        self._title = f"Converting “{Path(request.path).stem}”"
        self._last = Converting(job=request.job, path=request.path, precision=request.precision, what=self._title)
        self._is_cancelled = False
        self._reader = threading.Thread(target=self._listen, name="conversion lines", daemon=True)
        self._reader.start()

    def hold(self, on: bool) -> None:
        """Let it wait, or go on."""
        if on == (self._held_at is not None):
            return
        for process in self._family():
            try:
                process.suspend() if on else process.resume()
            except psutil.NoSuchProcess:
                continue
        if self._held_at is None:
            self._held_at = time.monotonic()
        else:
            self._began += time.monotonic() - self._held_at
            self._held_at = None
        self._say(msgspec.structs.replace(self._last, paused=on))

    def cancel(self) -> None:
        """End it now; what it has finished of the model's parts is taken up again the next time."""
        self._is_cancelled = True
        for process in self._family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def close(self) -> None:
        """End it now and wait."""
        self.cancel()
        self._reader.join()

    def _family(self) -> list[psutil.Process]:
        """The process, then those that it started: a held parent starts no others meanwhile."""
        try:
            parent = psutil.Process(self._process.pid)
            if self._held_at is None:
                parent.suspend()
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _say(self, event: Converting) -> None:
        self._last = event
        self._tell(event)

    def _listen(self) -> None:
        failure: Failed | None = None
        assert self._process.stdout is not None
        self._say(self._last)
        with self._process.stdout as lines:
            for line in lines:
                try:
                    event = read_event(line)
                except msgspec.MsgspecError:
                    continue
                if isinstance(event, Failed):
                    failure = event
                elif isinstance(event, Preparing):
                    self._step(event)
        code = self._process.wait()
        self._tell(self._end(code, failure))
        self._errors.close()
        self._ended()

    def _step(self, step: Preparing) -> None:
        """What comes before the conversion itself, a safe copy for one, has its own words, and its own time."""
        what = self._title if step.what.startswith("Converting") else step.what
        if what != self._last.what:
            self._began = time.monotonic()
        taken, done = time.monotonic() - self._began, step.done
        left = taken / done * (1 - done) if done > 0 else 0.0
        self._say(msgspec.structs.replace(self._last, what=what, done=done, seconds_left=left))

    def _end(self, code: int, failure: Failed | None) -> Event:
        job, path = self.request.job, self.request.path
        if self._is_cancelled:
            return CancelledJob(job=job)
        if code == 0:
            return Done(job=job)
        if failure:
            return msgspec.structs.replace(failure, job=job, where=path)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        why = "".join(said) or f"code {code}"
        return Failed(job=job, cause=f"The model could not be converted ({why}).", advice="Try again.", where=path)
