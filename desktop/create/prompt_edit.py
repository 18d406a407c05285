"""Where the picture is described: several lines of plain text."""

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit

from desktop.create.completion import Completion

_LINE_ROOM = 4
_PADDING = 22


class PromptEdit(QPlainTextEdit):
    """An editor like those of the form: `edited` carries the text that the person typed."""

    edited = Signal(object)

    def __init__(self, lines: int, placeholder: str) -> None:
        super().__init__()
        self.setTabChangesFocus(True)
        self.setPlaceholderText(placeholder)
        self.setFixedHeight(lines * (self.fontMetrics().lineSpacing() + _LINE_ROOM) + _PADDING)
        self._shown = ""
        self.completion = Completion(self)
        self.textChanged.connect(self._tell)

    def show_value(self, value: str) -> None:
        """Show a text without telling of it; the cursor stays if it is the same."""
        if value != self.toPlainText():
            self._shown = value
            self.setPlainText(value)

    def event(self, event: QEvent) -> bool:
        """Leave to the list of names the keys that are for it, from shortcuts, too."""
        if isinstance(event, QKeyEvent) and self.completion.answers(event.key()):
            event.setAccepted(event.type() == QEvent.Type.ShortcutOverride)
            return event.isAccepted()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Offer names for what is typed."""
        before = self._shown
        super().keyPressEvent(event)
        if self._shown != before:
            self.completion.look()

    def _tell(self) -> None:
        text = self.toPlainText()
        if text != self._shown:
            self._shown = text
            self.edited.emit(text)
