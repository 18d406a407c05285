"""A thin layer over QPainter: filled shapes from numbers, and the shades of a colour."""

from dataclasses import dataclass
from random import Random

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QLinearGradient, QPainter, QPainterPath, QPen, QPolygonF

Fill = QColor | tuple[QColor, QColor]
"""One colour, or the top and the bottom colour of a gradient."""


@dataclass(frozen=True, slots=True)
class Shades:
    """The lit, the plain and the shaded tone of a colour, and the line around it."""

    light: QColor
    base: QColor
    dark: QColor
    line: QColor

    @property
    def body(self) -> tuple[QColor, QColor]:
        """The gradient that makes a surface look round."""
        return self.light, self.base


HUES = {
    "red": (2, 205, 222),
    "orange": (27, 225, 248),
    "yellow": (49, 215, 252),
    "green": (128, 185, 172),
    "blue": (216, 200, 226),
    "purple": (272, 165, 186),
    "pink": (334, 120, 250),
    "white": (220, 7, 250),
}


def colour(text: str, alpha: float = 1.0) -> QColor:
    """A colour from `#rrggbb`; `alpha` is its opacity, 0 to 1."""
    made = QColor(text)
    made.setAlphaF(alpha)
    return made


def shades(name: str, rng: Random) -> Shades:
    """The tones of a named colour, with a little variation."""
    hue, saturation, value = HUES[name]
    hue = (hue + rng.randint(-3, 3)) % 360
    if name == "white":
        return Shades(
            colour("#ffffff"), QColor.fromHsv(hue, saturation, value),
            colour("#c9d2e0"), colour("#8593aa"),
        )  # fmt: skip
    value = min(255, value + rng.randint(-6, 6))
    return Shades(
        QColor.fromHsv(hue, int(saturation * 0.80), min(255, int(value * 1.10))),
        QColor.fromHsv(hue, saturation, value),
        QColor.fromHsv(hue, min(255, int(saturation * 1.08)), int(value * 0.76)),
        QColor.fromHsv(hue, min(255, int(saturation * 1.10)), int(value * 0.52)),
    )


def path(text: str) -> QPainterPath:
    """A path from SVG's absolute M, L, Q, C and Z commands."""
    made = QPainterPath()
    tokens = iter(text.replace(",", " ").split())

    def point() -> QPointF:
        return QPointF(float(next(tokens)), float(next(tokens)))

    for command in tokens:
        match command:
            case "M":
                made.moveTo(point())
            case "L":
                made.lineTo(point())
            case "Q":
                made.quadTo(point(), point())
            case "C":
                made.cubicTo(point(), point(), point())
            case "Z":
                made.closeSubpath()
    return made


@dataclass(frozen=True, slots=True)
class Ink:
    """Draws filled shapes with one painter; `line` outlines those that ask for it."""

    painter: QPainter

    def shape(self, shape: QPainterPath, fill: Fill, line: QColor | None = None, width: float = 1.6) -> None:
        """Fills a path and outlines it."""
        self.painter.setBrush(_brush(fill, shape.boundingRect()))
        self.painter.setPen(Qt.PenStyle.NoPen if line is None else _pen(line, width))
        self.painter.drawPath(shape)

    def curve(self, text: str, fill: Fill, line: QColor | None = None, width: float = 1.6) -> None:
        """Fills the path written in `text`."""
        self.shape(path(text), fill, line, width)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Fill, line: QColor | None = None) -> None:
        """Fills an ellipse around (x, y)."""
        shape = QPainterPath()
        shape.addEllipse(QPointF(x, y), rx, ry)
        self.shape(shape, fill, line)

    def box(
        self, x: float, y: float, w: float, h: float, fill: Fill, line: QColor | None = None, radius: float = 0
    ) -> None:
        """Fills a rectangle with round corners."""
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(x, y, w, h), radius, radius)
        self.shape(shape, fill, line)

    def polygon(self, points: list[tuple[float, float]], fill: Fill, line: QColor | None = None) -> None:
        """Fills a closed polygon."""
        shape = QPainterPath()
        shape.addPolygon(QPolygonF([QPointF(x, y) for x, y in points]))
        shape.closeSubpath()
        self.shape(shape, fill, line)

    def stroke(self, text: str, line: QColor, width: float) -> None:
        """Draws the path written in `text` as a line."""
        self.painter.setBrush(Qt.BrushStyle.NoBrush)
        self.painter.setPen(_pen(line, width))
        self.painter.drawPath(path(text))


def _pen(line: QColor, width: float) -> QPen:
    return QPen(line, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def _brush(fill: Fill, bounds: QRectF) -> QBrush:
    if isinstance(fill, QColor):
        return QBrush(fill)
    gradient = QLinearGradient(bounds.topLeft(), bounds.bottomLeft())
    gradient.setColorAt(0, fill[0])
    gradient.setColorAt(1, fill[1])
    return QBrush(gradient)
