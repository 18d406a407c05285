"""Where the picture is described: several lines of plain text."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit

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
        self.textChanged.connect(self._tell)
        self._shown = ""

    def show_value(self, value: str) -> None:
        """Show a text without telling of it; the cursor stays if it is the same."""
        if value != self.toPlainText():
            self._shown = value
            self.setPlainText(value)

    def _tell(self) -> None:
        text = self.toPlainText()
        if text != self._shown:
            self._shown = text
            self.edited.emit(text)
