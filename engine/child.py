"""The worker seen from outside: a child process that is started, fed lines, listened to and, if need be, killed."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.messages import Event, Order, line, read_event
from engine.paths import home, program

_log = logging.getLogger(__name__)


def _version() -> str:
    try:
        return f"Easel {version('easel')}"
    except PackageNotFoundError:  # run from a folder that was never installed
        return "Easel"


VERSION = _version()


class Child:
    """One worker process. `heard` and `ended` are called on the child's own reading thread."""

    def __init__(self, heard: Callable[[Event], None], ended: Callable[[str], None]) -> None:
        log = home() / "worker.log"
        with _opened(log) as errors:
            self._process = subprocess.Popen(
                [*program(), "--worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows: no console of its own
            )
        self._heard = heard
        self._ended = ended
        self._reader = threading.Thread(target=self._listen, name="worker lines", daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        """The worker's."""
        return self._process.pid

    def send(self, order: Order) -> None:
        """Hand an order over. A worker that is gone takes none; its end is told by `ended`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line(order))
            self._process.stdin.flush()
        except OSError:
            _log.info("the worker was gone before an order reached it")

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def close(self) -> None:
        """End it now and wait; `ended` is not called."""
        self._ended = _nobody
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for text in lines:
                try:
                    event = read_event(text)
                except msgspec.MsgspecError:
                    _log.info("a line of the worker was no event")
                    continue
                self._heard(event)
        code = self._process.wait()
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            _log.info("an order was still unread when the worker ended")
        self._ended(_cause(code))


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError:
        return Path(os.devnull).open("wb")


def _nobody(_: str) -> None:
    pass


def _cause(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return "it ran out of memory or was killed" if name == "SIGKILL" else f"signal {name}"
    return f"code {code}"


def peak_memory_bytes() -> int:
    """The most memory this process has held since it started."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
