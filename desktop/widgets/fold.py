"""A heading that folds what lies under it away."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from desktop.theme import SMALL, colours
from desktop.theme.icons import icon
from desktop.widgets.pieces import column, sign_button


class Fold(QWidget):
    """Shows `inside` while it is open; `turned` tells which."""

    turned = Signal(bool)

    def __init__(self, title: str, inside: QWidget) -> None:
        super().__init__()
        self._inside = inside
        self._head = sign_button("chevron-right", title, "fold")
        self._head.setText(title)
        self._head.setToolTip("")
        self._head.setCheckable(True)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.toggled.connect(self._turn)
        both = column(self, SMALL)
        both.addWidget(self._head)
        both.addWidget(inside)
        self._turn(False)

    def is_open(self) -> bool:
        """Whether the inside shows."""
        return self._head.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Open or close it."""
        self._head.setChecked(is_open)

    def _turn(self, is_open: bool) -> None:
        self._head.setIcon(icon("chevron-down" if is_open else "chevron-right", colours().muted))
        self._inside.setVisible(is_open)
        self.turned.emit(is_open)
