"""What no file says by itself, asked of the person once."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from desktop.models import sentences
from desktop.theme import SMALL
from desktop.widgets.combo import Combo
from desktop.widgets.pieces import column, label
from desktop.words import tr
from engine.messages import Entry


class Questions(QWidget):
    """A choice for each question of an entry; `answered` carries what it is about and the answer."""

    answered = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self._column = column(self, SMALL)
        self._asked: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def show_entry(self, entry: Entry) -> None:
        """Ask what this one leaves open."""
        self.setVisible(bool(entry.questions))
        if entry.questions == self._asked:
            return
        self._asked = entry.questions
        while item := self._column.takeAt(0):
            if widget := item.widget():
                widget.hide()
                widget.deleteLater()
        if entry.questions:
            self._column.addWidget(label(tr("The file does not say:"), "heading"))
        for about, choices in entry.questions:
            self._column.addWidget(label(tr(about), "caption"))
            self._column.addWidget(self._choice(about, choices))

    def _choice(self, about: str, choices: tuple[str, ...]) -> Combo:
        made = Combo(tr(about))
        made.addItem(tr("Choose…"), "")
        for choice in choices:
            made.addItem(_said(about, choice), choice)
        made.activated.connect(lambda _: made.currentData() and self.answered.emit(about, made.currentData()))
        return made


def _said(about: str, choice: str) -> str:
    """A choice as people say it."""
    match about:
        case "kind":
            return tr(sentences.KINDS.get(choice, choice))
        case "family":
            return sentences.family(choice)
        case _:
            return tr(choice)
