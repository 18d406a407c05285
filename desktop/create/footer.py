"""The line at the bottom: what is being done, how far it is, what waits, and the way to stop it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QProgressBar

from desktop.create import sentences
from desktop.state import Now
from desktop.theme import GAP, LARGE, SMALL
from desktop.widgets.elided import Elided
from desktop.widgets.pieces import button, column, label, row
from desktop.words import tr

_FINE = 1000


class Footer(QFrame):
    """Shows `Now`; `cancelled` when the person wants it to stop."""

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("footer")
        self._status = Elided("status")
        self._notes = Elided("muted")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(tr("Progress"))
        self._waiting = label(look="muted")
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
        line.addWidget(self._cancel)
        self.setFixedHeight(56)

    def show_now(self, now: Now) -> None:
        """Say what is going on."""
        self._status.setText(sentences.status(now))
        self._notes.setText(" ".join(tr(note) for note in now.notes))
        self._notes.setVisible(bool(now.notes))
        self._waiting.setText(sentences.waiting(now))
        self._cancel.setEnabled(bool(now.jobs) and now.ending != now.jobs[0])
        for widget in (self._bar, self._cancel):
            widget.setVisible(bool(now.jobs))
        done = sentences.share(now)
        self._bar.setRange(0, 0 if done is None else _FINE)
        self._bar.setValue(round((done or 0) * _FINE))
