"""What stands in the place of the cards while there are none: what to do, or why nothing is found."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from desktop.theme import GAP, LARGE
from desktop.widgets.pieces import button, column, label, row
from desktop.words import tr


class Welcome(QWidget):
    """`files_asked` and `folder_asked` where something is to be added, `cleared` where the search is to end."""

    files_asked = Signal()
    folder_asked = Signal()
    cleared = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.title, self._text = label(look="title", wraps=True), label(look="muted", wraps=True)
        self._files, self._folder = button(tr("Add files…"), "chip"), button(tr("Add a folder…"), "chip")
        self._clear = button(tr("Show everything"), "chip")
        for press, signal in (
            (self._files, self.files_asked),
            (self._folder, self.folder_asked),
            (self._clear, self.cleared),
        ):
            press.clicked.connect(signal)
        centred = Qt.AlignmentFlag.AlignCenter
        ways = row(spacing=GAP)
        ways.addStretch()
        for press in (self._files, self._folder, self._clear):
            ways.addWidget(press)
        ways.addStretch()
        parts = column(self, GAP, (3 * LARGE, LARGE, 3 * LARGE, LARGE))
        parts.addStretch()
        for part in (self.title, self._text):
            part.setAlignment(centred)
            parts.addWidget(part)
        parts.addSpacing(LARGE - GAP)
        parts.addLayout(ways)
        parts.addStretch()

    def explain(self, is_empty: bool) -> None:
        """Say that the library is empty, or that nothing in it is what is looked for."""
        self.title.setText(tr("Your models will appear here") if is_empty else tr("Nothing is like that"))
        self._text.setText(
            tr(
                "Drop model files, or the folder of another program, anywhere in this window.\n"
                "Each file is recognised and checked, and nothing in it is ever run."
            )
            if is_empty
            else tr("No name, tag, trigger word, note or folder has all these words.")
        )
        for press in (self._files, self._folder):
            press.setVisible(is_empty)
        self._clear.setVisible(not is_empty)
