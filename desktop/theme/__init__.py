"""How Easel looks: two sets of colours, distances, one style sheet, icons."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from desktop.theme.colours import DARK, LIGHT, Colours, palette
from desktop.theme.sheet import sheet

SMALL, GAP, LARGE = 6, 12, 20
"""Distances in pixels: between a label and its editor, between things, around groups."""
RADIUS = 10

_SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}


def apply(appearance: str) -> None:
    """Dress the application: "light", "dark", or "system"."""
    hints = QGuiApplication.styleHints()
    if appearance in _SCHEMES:
        hints.setColorScheme(_SCHEMES[appearance])  # so that native title bars and dialogs follow
        chosen = LIGHT if appearance == "light" else DARK
    else:
        hints.unsetColorScheme()
        chosen = DARK if hints.colorScheme() == Qt.ColorScheme.Dark else LIGHT
    application = QApplication.instance()
    if isinstance(application, QApplication):
        application.setPalette(palette(chosen))
        application.setStyleSheet(sheet(chosen))


def colours() -> Colours:
    """The colours in use."""
    behind = QGuiApplication.palette().color(QPalette.ColorRole.Window).name()
    return LIGHT if behind == LIGHT.window else DARK
