"""Joins the window to the engine thread: requests down, events up as one queued signal."""

from typing import Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from engine.messages import Event, Keep, Request
from engine.settings import GenerateSettings, Preferences

QUIET_MS = 500
"""How long nothing must be typed before it is written down."""


class Counter(Protocol):
    """What the window needs of the service."""

    def start(self) -> None: ...
    def send(self, request: Request) -> None: ...
    def stop(self) -> None: ...


class EngineLink(QObject):
    """The only one that knows the service. `told` carries an Event from the engine's thread."""

    told = Signal(object)

    def __init__(self, counter: Counter | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._counter = counter
        self._running = False
        self._waiting: list[Request] = []
        self._drafts: dict[type, GenerateSettings | Preferences] = {}
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(QUIET_MS)
        self._quiet.timeout.connect(self._write_drafts)

    def start(self) -> None:
        """Start the engine; what was sent before goes first. The second call does nothing."""
        if self._running:
            return
        if self._counter is None:
            from engine.service import Service  # weighs a little, and the window is to show first

            self._counter = Service(self._tell)
        self._counter.start()
        self._running = True
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._counter.send(request)

    def send(self, request: Request) -> None:
        """Hand a request to the engine; returns at once."""
        if self._running and self._counter:
            self._counter.send(request)
        else:
            self._waiting.append(request)

    def keep(self, value: GenerateSettings | Preferences) -> None:
        """Write down a draft once nothing has changed for a moment."""
        self._drafts[type(value)] = value
        self._quiet.start()

    def stop(self) -> None:
        """Write what is left and end the engine; waits."""
        self._write_drafts()
        if self._running and self._counter:
            self._counter.stop()
            self._running = False

    def _write_drafts(self) -> None:
        self._quiet.stop()
        drafts, self._drafts = self._drafts, {}
        for value in drafts.values():
            self.send(Keep(value=value))

    def _tell(self, event: Event) -> None:
        self.told.emit(event)
