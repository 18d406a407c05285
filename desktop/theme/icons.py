"""Line icons from `resources/icons`, drawn in the colour that is asked for, sharp on every screen."""

from PySide6.QtGui import QIcon, QPixmap

from engine.paths import RESOURCES

FOLDER = RESOURCES / "icons"
_SHARPNESS = (1, 2, 3)
"""Device pixels a pixel, on the screens that exist."""


def icon(name: str, colour: str, side: int = 16) -> QIcon:
    """The icon of that name in the colour."""
    made = QIcon()
    for sharpness in _SHARPNESS:
        made.addPixmap(_drawn(name, colour, side, sharpness))
    return made


def _drawn(name: str, colour: str, side: int, sharpness: int) -> QPixmap:
    text = (FOLDER / f"{name}.svg").read_text("utf-8")
    size = side * sharpness
    text = text.replace("currentColor", colour).replace("<svg ", f'<svg width="{size}" height="{size}" ', 1)
    pixmap = QPixmap()
    pixmap.loadFromData(text.encode(), "SVG")
    pixmap.setDevicePixelRatio(sharpness)
    return pixmap
