"""Labels, buttons and boxes, each in one line; `look` is the name that the style sheet knows."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from desktop.theme import colours
from desktop.theme.icons import icon

Margins = tuple[int, int, int, int]


def label(text: str = "", look: str = "", wraps: bool = False) -> QLabel:
    """A label that takes no text for HTML."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setObjectName(look)
    made.setWordWrap(wraps)
    return made


def button(text: str, look: str = "", explained: str = "") -> QPushButton:
    """A button with words on it."""
    made = QPushButton(text)
    made.setObjectName(look)
    made.setToolTip(explained)
    return made


def sign_button(sign: str, explained: str, look: str = "bare") -> QToolButton:
    """A button with an icon on it, and words for those who do not see it."""
    made = QToolButton()
    made.setObjectName(look)
    made.setIcon(icon(sign, colours().muted))
    made.setToolTip(explained)
    made.setAccessibleName(explained)
    return made


def keys(sequence: str) -> str:
    """A shortcut as this system writes it."""
    return QKeySequence(sequence).toString(QKeySequence.SequenceFormat.NativeText)


def column(inside: QWidget | None = None, spacing: int = 0, margins: Margins = (0, 0, 0, 0)) -> QVBoxLayout:
    """A box whose parts stand one under another."""
    made = QVBoxLayout(inside) if inside else QVBoxLayout()
    made.setSpacing(spacing)
    made.setContentsMargins(*margins)
    return made


def row(inside: QWidget | None = None, spacing: int = 0, margins: Margins = (0, 0, 0, 0)) -> QHBoxLayout:
    """A box whose parts stand side by side."""
    made = QHBoxLayout(inside) if inside else QHBoxLayout()
    made.setSpacing(spacing)
    made.setContentsMargins(*margins)
    return made
