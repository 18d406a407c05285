"""One clear sentence beside its cause, what to do about it, and at most one way to do it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QFrame, QWidget

from desktop.theme import GAP, SMALL
from desktop.widgets.pieces import button, column, label, row, sign_button
from desktop.words import tr


class Notice(QFrame):
    """Hidden until `say`; `dismissed` when the person closes it, `taken` when they press its button."""

    dismissed = Signal()
    taken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._cause = label(look="cause", wraps=True)
        self._advice = label(look="advice", wraps=True)
        for sentence in (self._cause, self._advice):
            sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._action = button("", "quiet")
        self._action.clicked.connect(self.taken)
        close = sign_button("close", tr("Close"))
        close.clicked.connect(self.dismissed)
        self._lay_out(close)
        self.hide()

    def say(self, cause: str, advice: str = "", action: str = "", tone: str = "trouble") -> None:
        """Show the sentences; `tone` is "trouble" or "news"."""
        self._cause.setText(cause)
        self._advice.setText(advice)
        self._advice.setVisible(bool(advice))
        self._action.setText(action)
        self._action.setVisible(bool(action))
        self.setProperty("tone", tone)
        self.style().polish(self)
        self.style().polish(self._cause)
        self.setAccessibleName(f"{cause} {advice}".strip())
        self.show()
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def text(self) -> str:
        """What it says."""
        return f"{self._cause.text()} {self._advice.text()}".strip()

    def _lay_out(self, close: QWidget) -> None:
        words = column(spacing=2)
        words.addWidget(self._cause)
        words.addWidget(self._advice)
        words.addWidget(self._action, 0, Qt.AlignmentFlag.AlignLeft)
        both = row(self, SMALL, (GAP, SMALL + 2, SMALL, SMALL + 2))
        both.addLayout(words, 1)
        both.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
