"""Starts the window: the screen is checked, the window shows, then the engine starts behind it."""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator

from PySide6.QtCore import QSocketNotifier, Qt, QTimer
from PySide6.QtWidgets import QApplication, QStyleFactory

from desktop.create.invitation import EXAMPLES
from desktop.engine_link import EngineLink
from desktop.main_window import MainWindow
from desktop.state import LISTING, Now, State
from engine import keeping
from engine.errors import EaselError
from engine.messages import Browse, Failed, Recent
from engine.settings import GenerateSettings, Preferences

_log = logging.getLogger(__name__)
_UNSEEN_MS = 2000
"""After that the engine starts even if the window was opened out of sight."""


def run(arguments: list[str]) -> int:
    """Show the window until it is closed; the exit code. Raises EaselError where there is no screen."""
    require_screen()
    application = QApplication(arguments)
    application.setApplicationName("Easel")
    application.setDesktopFileName("easel")
    application.setStyle(QStyleFactory.create("Fusion"))
    state = State(remembered())
    link = EngineLink()
    with guarded(state), interruptible(application):
        window = open_window(state, link)
        code = application.exec()
        window.hide()
        link.stop()
    return code


def open_window(state: State, link: EngineLink) -> MainWindow:
    """The window, shown; the engine starts once it is seen."""
    link.told.connect(state.take, Qt.ConnectionType.QueuedConnection)
    state.sent(LISTING)
    link.send(Browse(job=LISTING))
    link.send(Recent(folder=state.now.preferences.output))
    window = MainWindow(state, link)
    window.painted.connect(link.start)
    window.painted.connect(_trace_start)
    QTimer.singleShot(_UNSEEN_MS, link, link.start)
    window.show()
    return window


def remembered() -> Now:
    """What was being typed and chosen the last time; an example to begin with the first time."""
    settings = keeping.read(GenerateSettings)
    if settings == GenerateSettings():
        settings = GenerateSettings(prompt=EXAMPLES[0])
    return Now(settings=settings, preferences=keeping.read(Preferences))


def require_screen() -> None:
    """Say in words what Qt would say by ending the program."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise EaselError("There is no screen to open a window on.", "Use “easel generate PROMPT” instead.")


@contextlib.contextmanager
def guarded(state: State) -> Iterator[None]:
    """Keep the window open when something in it goes wrong, and say so."""

    def say(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        if isinstance(error, EaselError):
            cause, advice, where = error.cause, error.advice, error.where
        else:
            _log.error("unexpected", exc_info=(kind, error, trace))
            cause = f"Something in Easel went wrong ({kind.__name__})."
            advice, where = "Your words are kept. Go on, or close Easel and open it once more.", ""
        state.set("trouble", Failed(cause=cause, advice=advice, where=where))

    before, sys.excepthook = sys.excepthook, say
    try:
        yield
    finally:
        sys.excepthook = before


@contextlib.contextmanager
def interruptible(application: QApplication) -> Iterator[None]:
    """Let Ctrl+C in the terminal close the window; Python looks at signals only when Qt calls it."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    notifier = QSocketNotifier(reading.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda: reading.recv(64))
    waking = signal.set_wakeup_fd(writing.fileno())
    ends = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: application.quit()) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(waking)
        notifier.setEnabled(False)
        reading.close()
        writing.close()


def _trace_start() -> None:
    """For the benchmark: how long after the start of the process the window was painted."""
    if os.environ.get("EASEL_TRACE_START") != "1":
        return
    import psutil

    seconds = time.time() - psutil.Process().create_time()
    print(f"window visible {seconds:.3f}", file=sys.stderr, flush=True)
