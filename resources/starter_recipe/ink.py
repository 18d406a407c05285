"""A thin layer over QPainter: shapes filled and lined as each style does it, and the shades of a colour."""

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
    "teal": (178, 215, 172),
}


def colour(text: str, alpha: float = 1.0) -> QColor:
    """A colour from `#rrggbb`; `alpha` is its opacity, 0 to 1."""
    made = QColor(text)
    made.setAlphaF(alpha)
    return made


def mixed(one: QColor, other: QColor, share: float) -> QColor:
    """`share` of the other colour in the one, with the opacity of the one."""
    parts = zip(one.getRgbF(), other.getRgbF(), strict=True)
    red, green, blue, _ = (mine + (theirs - mine) * share for mine, theirs in parts)
    return QColor.fromRgbF(red, green, blue, one.alphaF())


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
    """Draws shapes with one painter, filled, and outlined where that is asked for: the flat style."""

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


class OutlineInk(Ink):
    """Pale washes between firm lines of the shape's own colour."""

    def shape(self, shape: QPainterPath, fill: Fill, line: QColor | None = None, width: float = 1.6) -> None:
        """Washes a path with a tint of its colour; what is solid gets a line of the colour itself."""
        tints = tuple(mixed(each, _PAPER, 0.58) for each in _pair(fill))
        solid = _pair(fill)[1].alphaF() > 0.8
        firm = line or mixed(_pair(fill)[1], _INK, 0.35)
        self.painter.setBrush(_brush((tints[0], tints[1]), shape.boundingRect()))
        self.painter.setPen(_pen(firm, width * 1.15) if solid else Qt.PenStyle.NoPen)
        self.painter.drawPath(shape)


class PaperInk(Ink):
    """Sheets of one colour without lines, each throwing a shadow on what lies below."""

    def shape(self, shape: QPainterPath, fill: Fill, line: QColor | None = None, width: float = 1.6) -> None:
        """Lays a sheet in the shape of the path over its own shadow."""
        top, bottom = _pair(fill)
        if bottom.alphaF() > 0.8:
            self.painter.setPen(Qt.PenStyle.NoPen)
            for step, alpha in ((2.6, 0.13), (1.7, 0.17), (0.9, 0.2)):
                self.painter.setBrush(QColor.fromRgbF(0.05, 0.06, 0.12, alpha))
                self.painter.drawPath(shape.translated(step * 0.6, step))
        self.painter.setBrush(mixed(top, bottom, 0.5))
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.drawPath(shape)


INKS: dict[str, type[Ink]] = {
    "flat": Ink,
    "outline": OutlineInk,
    "watercolour": Ink,
    "pixel": Ink,
    "paper": PaperInk,
    "sepia": Ink,
}
"""How each style draws; watercolour, pixels and sepia are made of the finished flat picture."""
_PAPER, _INK = colour("#fdfcf7"), colour("#1d2433")


def _pair(fill: Fill) -> tuple[QColor, QColor]:
    return (fill, fill) if isinstance(fill, QColor) else fill


def _pen(line: QColor, width: float) -> QPen:
    return QPen(line, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def _brush(fill: Fill, bounds: QRectF) -> QBrush:
    gradient = QLinearGradient(bounds.topLeft(), bounds.bottomLeft())
    for place, each in enumerate(_pair(fill)):
        gradient.setColorAt(place, each)
    return QBrush(gradient)
