"""A heading that folds what lies under it away."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

from desktop.theme import SMALL, colours
from desktop.theme.icons import icon


class Fold(QWidget):
    """Shows `inside` while it is open; `turned` tells which."""

    turned = Signal(bool)

    def __init__(self, title: str, inside: QWidget) -> None:
        super().__init__()
        self._inside = inside
        self._head = QToolButton(objectName="fold", text=title, checkable=True, accessibleName=title)
        self._head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._head.toggled.connect(self._turn)
        column = QVBoxLayout(self, spacing=SMALL)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._head)
        column.addWidget(inside)
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
