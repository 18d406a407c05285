"""What stands on the stage before there is a picture: what to do, and something to try at once."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from desktop.theme import GAP, LARGE
from desktop.theme.icons import icon
from desktop.widgets.pieces import button, column, keys, label
from desktop.words import tr

EXAMPLES = (
    "a red house on a meadow at sunset",
    "a yellow sailboat on the sea at night",
    "a white cat in the snow",
)
_SIDE = 72


class Invitation(QWidget):
    """`chosen` carries the example that the person wants to try."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        centred = Qt.AlignmentFlag.AlignCenter
        sign = label()
        sign.setPixmap(icon("easel", "", _SIDE).pixmap(_SIDE, _SIDE))
        title = label(tr("Your picture will appear here"), "title")
        text = tr("Describe it on the left and press Generate, or {keys}.\nOr begin with one of these:")
        parts = column(self, GAP)
        parts.addStretch()
        for part in (sign, title, label(text.format(keys=keys("Ctrl+Enter")), "muted", wraps=True)):
            part.setAlignment(centred)
            parts.addWidget(part)
        parts.addSpacing(LARGE - GAP)
        for example in map(tr, EXAMPLES):  # the starter model reads them in every language of the window
            chip = button(example, "chip")
            chip.clicked.connect(lambda _=False, words=example: self.chosen.emit(words))
            parts.addWidget(chip, 0, centred)
        parts.addStretch()
