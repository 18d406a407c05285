"""The line at the bottom: what is being done, how far it is, what waits, and the way to stop it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar

from desktop.create import sentences
from desktop.state import Now
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.elided import Elided
from desktop.widgets.pieces import button, column, keys, label, row
from desktop.words import tr

_FINE = 1000


class Footer(QFrame):
    """Shows `Now`; `cancelled` when the person wants it to stop, `paused` when it is to wait or go on."""

    cancelled = Signal()
    stopped_after = Signal()
    """When it is to stop once the picture is there."""
    paused = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("footer")
        self._status = Elided("status")
        self._notes = Elided("muted")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(tr("Progress"))
        self._waiting = label(look="muted")
        self._pause = button("", explained=keys("Ctrl+P"))
        self._pause.clicked.connect(self.paused)
        self._after = button(tr("Stop after this one"), explained=tr("What is not begun is handed back to you."))
        self._after.clicked.connect(self.stopped_after)
        self._cancel = button(tr("Cancel"), explained="Esc")
        self._cancel.clicked.connect(self.cancelled)
        words = column(spacing=1)
        words.addStretch()
        words.addWidget(self._status)
        words.addWidget(self._notes)
        words.addStretch()
        line = row(self, LARGE, (LARGE, SMALL, GAP, SMALL))
        line.addLayout(words, 1)
        line.addWidget(self._bar, 1)
        line.addWidget(self._waiting)
        for each in (self._pause, self._after, self._cancel):
            line.addWidget(each)
        self.setFixedHeight(56)

    def show_now(self, now: Now) -> None:
        """Say what is going on."""
        self._status.setText(sentences.status(now))
        self._notes.setText(" ".join(tr(note) for note in now.notes))
        self._notes.setVisible(bool(now.notes))
        self._waiting.setText(sentences.waiting(now))
        first = now.jobs[0] if now.jobs else ""
        for widget in (self._pause, self._after, self._cancel):
            widget.setEnabled(now.ending != first)
        for widget in (self._bar, self._pause, self._cancel):
            widget.setVisible(bool(first))
        self._pause.setText(sentences.pause(now))
        self._after.setVisible(bool(first) and first != now.stopping_after and sentences.has_more(now))
        done = sentences.share(now)
        self._bar.setRange(0, 0 if done is None else _FINE)
        self._bar.setValue(round((done or 0) * _FINE))
