"""The line at the bottom of the Models screen: how far the look through the folders is, and what takes long."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar

from desktop.models import sentences
from desktop.state import Now
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.elided import Elided
from desktop.widgets.pieces import button, row
from desktop.words import tr
from engine.messages import Converting, Preparing

_FINE = 1000


class Bar(QFrame):
    """Shows `Now`; `paused` carries whether a conversion is to wait, `cancelled` the job that is to stop."""

    paused = Signal(bool)
    cancelled = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("footer")
        self._found = Elided("status")
        self.doing = Elided("muted")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, _FINE)
        self.progress.setAccessibleName(tr("Progress"))
        self.pause = button("")
        self.cancel = button(tr("Cancel"))
        self._event: Preparing | Converting | None = None
        self.pause.clicked.connect(self._pause)
        self.cancel.clicked.connect(self._cancel)
        line = row(self, LARGE, (LARGE, SMALL, GAP, SMALL))
        line.addWidget(self._found, 2)
        line.addWidget(self.doing, 3)
        line.addWidget(self.progress, 2)
        line.addWidget(self.pause)
        line.addWidget(self.cancel)
        self.setFixedHeight(56)

    def show_now(self, now: Now, shown: int) -> None:
        """Say what is going on; `shown` entries are on the screen."""
        words = sentences.looking(now, shown)
        is_quiet = bool(now.entries) and (now.scanning is None or now.scanning.done)
        taken = sentences.total(now.entries.values()) if is_quiet else ""
        self._found.setText(tr(", ").join(part for part in (words, taken) if part))
        events = [event for event in now.errands.values() if event]
        self._event = next((event for event in events if isinstance(event, Converting)), next(iter(events), None))
        is_paused = isinstance(self._event, Converting) and self._event.paused
        for widget in (self.doing, self.progress, self.cancel):
            widget.setVisible(self._event is not None)
        self.pause.setVisible(isinstance(self._event, Converting))
        self.pause.setText(tr("Go on") if is_paused else tr("Pause"))
        if self._event:
            self.doing.setText(sentences.doing(self._event))
            self.progress.setValue(round(self._event.done * _FINE))

    def _pause(self) -> None:
        if isinstance(self._event, Converting):
            self.paused.emit(not self._event.paused)

    def _cancel(self) -> None:
        if self._event:
            self.cancelled.emit(self._event.job)
