"""What the person says of an entry: its name, trigger words, tags and notes."""

from msgspec import structs
from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QWidget

from desktop.theme import SMALL
from desktop.widgets.pieces import column, label
from desktop.words import tr
from engine.messages import Describe, Entry

_LINE_ROOM = 4
_PADDING = 22
_LINES = 4


class Described(QWidget):
    """`said` carries a Describe once the person is done with a line."""

    said = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._entry: Entry | None = None
        self.name, self.trigger_words, self.tags = QLineEdit(), QLineEdit(), QLineEdit()
        self.notes = QPlainTextEdit()
        self.notes.setTabChangesFocus(True)
        self.notes.setFixedHeight(self.notes.fontMetrics().height() * _LINES + _LINE_ROOM * _LINES + _PADDING)
        self.trigger_words.setPlaceholderText(tr("Words that call it, between commas"))
        self.tags.setPlaceholderText(tr("Your own, between commas"))
        parts = column(self, SMALL - 2)
        named = (("Name", self.name), ("Trigger words", self.trigger_words), ("Tags", self.tags), ("Notes", self.notes))
        for name, editor in named:
            caption = label(tr(name), "caption")
            caption.setBuddy(editor)
            editor.setAccessibleName(tr(name))
            parts.addWidget(caption)
            parts.addWidget(editor)
            parts.addSpacing(SMALL)
        for line in (self.name, self.trigger_words, self.tags):
            line.editingFinished.connect(self.commit)
        self.notes.installEventFilter(self)

    def show_entry(self, entry: Entry) -> None:
        """Show what is said of this one; what was being typed of another is kept first."""
        is_other = self._entry is None or self._entry.path != entry.path
        if is_other:
            self.commit()
        self._entry = entry
        for line, words in (
            (self.name, entry.name),
            (self.trigger_words, ", ".join(entry.trigger_words)),
            (self.tags, ", ".join(entry.tags)),
        ):
            if (is_other or not line.hasFocus()) and line.text() != words:
                line.setText(words)
                line.setCursorPosition(0)
        if (is_other or not self.notes.hasFocus()) and self.notes.toPlainText() != entry.notes:
            self.notes.setPlainText(entry.notes)

    def commit(self) -> None:
        """Tell what differs from what is known."""
        entry = self._entry
        if entry is None:
            return
        name = self.name.text().strip() or entry.name
        words, tags = _listed(self.trigger_words.text()), _listed(self.tags.text())
        notes = self.notes.toPlainText()
        if (name, words, tags, notes) == (entry.name, entry.trigger_words, entry.tags, entry.notes):
            return
        self._entry = structs.replace(entry, name=name, trigger_words=words, tags=tags, notes=notes)  # told once
        self.said.emit(
            Describe(
                path=entry.path,
                name=name if name != entry.name else None,
                trigger_words=words if words != entry.trigger_words else None,
                tags=tags if tags != entry.tags else None,
                notes=notes if notes != entry.notes else None,
            )
        )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut:
            self.commit()
        return False


def _listed(text: str) -> tuple[str, ...]:
    """What stands between commas, once each."""
    parts = (part.strip() for part in text.replace("，", ",").split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
