"""What is known of a file beside what it is: size, place, content, twins, conversions."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QGridLayout, QWidget

from desktop.theme import SMALL
from desktop.widgets.amounts import size
from desktop.widgets.elided import Elided
from desktop.widgets.pieces import label, sign_button
from desktop.words import tr
from engine.messages import Entry

_AUTOV2 = 10
"""Letters of a SHA-256 that people call a model by."""


class Facts(QWidget):
    """A line for each fact that there is."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(SMALL * 2)
        self._grid.setVerticalSpacing(SMALL)
        self._grid.setColumnStretch(1, 1)
        self._lines = {name: self._line(row, name) for row, name in enumerate(_facts(Entry(path="", name="")))}
        copy = sign_button("copy", tr("Copy the hash"))
        copy.clicked.connect(self._copy)
        self._copy_button = copy
        self._sha256 = ""
        self._grid.addWidget(copy, list(self._lines).index("Hash"), 2)

    def show_entry(self, entry: Entry) -> None:
        """Show what is known of this one."""
        self._sha256 = entry.sha256
        self._copy_button.setVisible(bool(entry.sha256))
        for name, text in _facts(entry).items():
            caption, words = self._lines[name]
            words.setText(text)
            words.setToolTip(text)
            for widget in (caption, words):
                widget.setVisible(bool(text))

    def _line(self, row: int, name: str) -> tuple[QWidget, Elided]:
        caption, words = label(tr(name), "caption"), Elided("fact")
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._grid.addWidget(caption, row, 0)
        self._grid.addWidget(words, row, 1)
        return caption, words

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._sha256)


def _facts(entry: Entry) -> dict[str, str]:
    path = Path(entry.path)
    return {
        "File": path.name,
        "Folder": str(path.parent) if entry.path else "",
        "Size": size(entry.size_bytes) if entry.size_bytes else "",
        "Details": ", ".join(map(tr, entry.variants)),
        "Hash": entry.sha256[:_AUTOV2],
        "Converted": ", ".join(entry.converted),
        "The same as": ", ".join(entry.twins),
    }
