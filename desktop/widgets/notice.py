"""One clear sentence beside its cause, what to do about it, and at most one way to do it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from desktop.theme import GAP, SMALL, colours
from desktop.theme.icons import icon
from desktop.words import tr


class Notice(QFrame):
    """Hidden until `say`; `dismissed` when the person closes it, `taken` when they press its button."""

    dismissed = Signal()
    taken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self._cause = QLabel(wordWrap=True, objectName="cause")
        self._advice = QLabel(wordWrap=True, objectName="advice")
        for label in (self._cause, self._advice):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._action = QPushButton(objectName="quiet")
        self._action.clicked.connect(self.taken)
        close = QToolButton(objectName="bare", toolTip=tr("Close"), accessibleName=tr("Close"))
        close.setIcon(icon("close", colours().muted))
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
        words = QVBoxLayout(spacing=2)
        words.addWidget(self._cause)
        words.addWidget(self._advice)
        words.addWidget(self._action, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP, SMALL + 2, SMALL, SMALL + 2)
        row.addLayout(words, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
