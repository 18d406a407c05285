"""Draws the subjects, each standing on (0, 0), about 100 units high and 100 wide."""

from collections.abc import Callable
from math import cos, pi, sin

from resources.starter_recipe.ink import Ink, Shades, colour

WOOD = (colour("#a9714b"), colour("#7b4a2d"))
GLASS = (colour("#dff3fd"), colour("#9fd0ea"))
STEM = colour("#3f8f3c")
NIGHT_BLUE = colour("#263048")


def house(ink: Ink, c: Shades) -> None:
    """Coloured walls and roof, a door, two windows and a chimney."""
    ink.box(20, -92, 12, 30, c.dark, c.line)
    ink.box(-38, -56, 76, 56, c.body, c.line)
    ink.polygon([(-48, -54), (0, -98), (48, -54)], c.dark, c.line)
    ink.box(-9, -32, 18, 32, WOOD, c.line, 2)
    for x in (-31, 15):
        ink.box(x, -44, 16, 16, GLASS, c.line, 1)
        ink.stroke(f"M {x + 8} -44 L {x + 8} -28 M {x} -36 L {x + 16} -36", c.line, 1.4)


def tree(ink: Ink, c: Shades) -> None:
    """A crown of coloured leaves on a trunk."""
    ink.curve("M -8 0 Q -5 -20 -6 -44 L 6 -44 Q 5 -20 8 0 Z", WOOD, colour("#5b3720"))
    for x, y, r in ((-24, -50, 20), (24, -50, 20), (0, -46, 20), (-14, -74, 22), (15, -74, 22), (0, -84, 18)):
        ink.ellipse(x, y, r, r, c.dark, c.line)
    for x, y, r in ((-24, -52, 18), (23, -52, 18), (0, -50, 19), (-13, -75, 20), (14, -75, 20), (0, -84, 16)):
        ink.ellipse(x, y, r, r, c.base)
    for x, y, r in ((-26, -58, 8), (-12, -84, 9), (12, -70, 7), (22, -58, 6)):
        ink.ellipse(x, y, r, r, c.light)


def sailboat(ink: Ink, c: Shades) -> None:
    """Two coloured sails over a coloured hull."""
    ink.box(-2, -98, 4, 80, WOOD[1])
    ink.curve("M 4 -96 Q 46 -60 42 -24 L 4 -24 Z", c.body, c.line)
    ink.curve("M -5 -84 Q -32 -52 -36 -24 L -5 -24 Z", (c.base, c.dark), c.line)
    ink.curve("M -48 -19 L 48 -19 Q 42 0 30 2 L -30 2 Q -42 0 -48 -19 Z", (c.base, c.dark), c.line)
    ink.stroke("M -42 -12 L 42 -12", colour("#ffffff", 0.8), 2.4)


def flower(ink: Ink, c: Shades) -> None:
    """Eight coloured petals on a stem with two leaves."""
    ink.stroke("M 0 0 Q 4 -30 0 -56", STEM, 5)
    ink.curve("M 1 -12 Q 14 -34 34 -30 Q 26 -10 1 -12 Z", STEM)
    ink.curve("M 1 -20 Q -14 -40 -32 -34 Q -26 -16 1 -20 Z", STEM)
    for step in range(8):
        angle = step * pi / 4 + 0.2
        x, y = 21 * cos(angle), -66 + 21 * sin(angle)
        ink.ellipse(x, y, 13, 13, c.body, c.line)
    ink.ellipse(0, -66, 13, 13, (colour("#ffe27a"), colour("#d98f2b")), colour("#9a6118"))


def cat(ink: Ink, c: Shades) -> None:
    """A sitting cat seen from the front."""
    ink.stroke("M 22 -6 C 52 -4 50 -36 38 -46", c.line, 12)
    ink.stroke("M 22 -6 C 52 -4 50 -36 38 -46", c.base, 9)
    ink.curve("M -26 0 C -32 -40 -14 -54 0 -54 C 14 -54 32 -40 26 0 Z", c.body, c.line)
    ink.curve("M -29 -64 L -30 -98 L -8 -84 Z", c.base, c.line)
    ink.curve("M 29 -64 L 30 -98 L 8 -84 Z", c.base, c.line)
    ink.ellipse(0, -64, 31, 25, c.body, c.line)
    for x in (-12, 12):
        ink.ellipse(x, -66, 6, 7, colour("#fbfbe6"))
        ink.ellipse(x, -66, 3, 6, NIGHT_BLUE)
        ink.stroke(f"M {x * 1.3} -54 L {x * 3} -57 M {x * 1.3} -51 L {x * 3} -49", NIGHT_BLUE, 1.1)
    ink.polygon([(-4, -57), (4, -57), (0, -52)], colour("#e8798c"))
    ink.stroke("M 0 -52 Q -4 -46 -8 -49 M 0 -52 Q 4 -46 8 -49", NIGHT_BLUE, 1.4)
    for x in (-10, 10):
        ink.ellipse(x, -4, 10, 6, c.light, c.line)


def fish(ink: Ink, c: Shades) -> None:
    """A fish that swims to the left."""
    ink.curve("M 26 -48 Q 44 -76 54 -74 Q 48 -48 54 -22 Q 44 -22 26 -48 Z", c.dark, c.line)
    ink.curve("M -14 -74 Q 4 -98 20 -90 L 16 -68 Z", c.dark, c.line)
    ink.curve("M -8 -24 Q 2 -6 14 -10 L 12 -28 Z", c.dark, c.line)
    ink.curve("M -52 -48 C -38 -86 14 -86 34 -48 C 14 -12 -38 -12 -52 -48 Z", c.body, c.line)
    ink.stroke("M -24 -70 Q -12 -48 -24 -27", c.line, 2)
    for x, y in ((-4, -58), (8, -48), (-4, -38), (14, -60), (14, -36)):
        ink.stroke(f"M {x} {y - 5} Q {x + 6} {y} {x} {y + 5}", c.dark, 2)
    ink.ellipse(-35, -54, 6, 6, colour("#ffffff"))
    ink.ellipse(-36, -54, 3.2, 3.2, NIGHT_BLUE)


def car(ink: Ink, c: Shades) -> None:
    """A small car seen from the side."""
    ink.curve("M -30 -36 Q -24 -66 -10 -66 L 14 -66 Q 26 -64 34 -36 Z", c.body, c.line)
    ink.curve("M -23 -37 Q -18 -59 -9 -59 L -1 -59 L -1 -37 Z", GLASS, c.line)
    ink.curve("M 4 -37 L 4 -59 L 13 -59 Q 21 -57 26 -37 Z", GLASS, c.line)
    ink.curve("M -54 -12 Q -56 -34 -44 -36 L 40 -38 Q 56 -34 55 -12 Q 54 -9 50 -9 L -50 -9 Q -54 -9 -54 -12 Z",
              (c.base, c.dark), c.line)  # fmt: skip
    ink.ellipse(-49, -26, 4, 5, colour("#fff3b0"))
    ink.box(48, -30, 5, 8, colour("#d8483e"), radius=2)
    for x in (-30, 31):
        ink.ellipse(x, -11, 14, 14, colour("#333a46"), colour("#1f242d"))
        ink.ellipse(x, -11, 6.5, 6.5, colour("#ccd3da"))


def balloon(ink: Ink, c: Shades) -> None:
    """A hot-air balloon with its basket."""
    ink.stroke("M -14 -34 L -8 -16 M 14 -34 L 8 -16", WOOD[1], 1.6)
    ink.curve("M 0 -104 C 54 -104 46 -56 16 -32 L -16 -32 C -46 -56 -54 -104 0 -104 Z", c.body, c.line)
    ink.curve("M 0 -104 C -34 -100 -30 -56 -9 -32 L -16 -32 C -46 -56 -54 -104 0 -104 Z", c.dark)
    ink.curve("M 0 -104 C 18 -96 16 -54 5 -32 L -5 -32 C -16 -54 -18 -96 0 -104 Z", c.dark)
    ink.curve("M 0 -104 C 54 -104 46 -56 16 -32 L -16 -32 C -46 -56 -54 -104 0 -104 Z", colour("#ffffff", 0), c.line)
    ink.box(-10, -17, 20, 15, WOOD, colour("#5b3720"), 3)


def lighthouse(ink: Ink, c: Shades) -> None:
    """A striped tower with a lamp under a coloured roof."""
    ink.curve("M -21 0 L -13 -70 L 13 -70 L 21 0 Z", colour("#f7f5ee"), c.line)
    for low, high in ((0, -17), (-32, -47), (-58, -70)):
        left, right = 21 + low * 8 / 70, 21 + high * 8 / 70
        ink.polygon([(-left, low), (left, low), (right, high), (-right, high)], (c.base, c.dark))
    ink.curve("M -21 0 L -13 -70 L 13 -70 L 21 0 Z", colour("#ffffff", 0), c.line)
    ink.box(-17, -75, 34, 6, c.dark, c.line, 2)
    ink.box(-10, -89, 20, 14, (colour("#fff7c2"), colour("#ffd95a")), c.line)
    ink.curve("M -15 -88 Q -8 -104 0 -106 Q 8 -104 15 -88 Z", c.body, c.line)


def mushroom(ink: Ink, c: Shades) -> None:
    """A coloured cap with pale spots on a pale stalk."""
    ink.curve("M -13 -46 C -12 -24 -18 -10 -18 0 L 18 0 C 18 -10 12 -24 13 -46 Z",
              (colour("#fdf6e6"), colour("#e2d3b4")), colour("#9c8a68"))  # fmt: skip
    ink.curve("M -50 -42 C -48 -104 48 -104 50 -42 Q 0 -30 -50 -42 Z", c.body, c.line)
    ink.curve("M -50 -42 Q 0 -54 50 -42 Q 0 -30 -50 -42 Z", c.dark)
    spot = colour("#fffaf0") if c.base.saturation() > 40 else colour("#c4cede")
    for x, y, r in ((-26, -62, 7), (0, -74, 9), (26, -60, 7), (6, -56, 4.5)):
        ink.ellipse(x, y, r * 1.1, r, spot)


def star(ink: Ink, c: Shades) -> None:
    """A five-pointed star with a face."""
    points = [(r * sin(step * pi / 5), -50 - r * cos(step * pi / 5)) for step, r in enumerate((50, 23) * 5)]
    ink.polygon(points, c.body, c.line)
    for left, tip, right in zip(points[9::2] + points[1::2], points[0::2], points[1::2], strict=False):
        del left
        ink.polygon([(0, -50), tip, right], colour(c.dark.name(), 0.55))
    for x in (-8, 8):
        ink.ellipse(x, -55, 3, 4, NIGHT_BLUE)
    ink.stroke("M -7 -45 Q 0 -38 7 -45", NIGHT_BLUE, 2)


def butterfly(ink: Ink, c: Shades) -> None:
    """Four coloured wings, open."""
    for side in (-1, 1):
        ink.curve(f"M 0 -46 C {side * 14} -62 {side * 12} -12 {side * 32} -14 C {side * 48} -20 {side * 40} -44 0 -46 Z",
                  (c.base, c.dark), c.line)  # fmt: skip
        ink.curve(f"M 0 -50 C {side * 12} -88 {side * 40} -98 {side * 52} -86 C {side * 60} -68 {side * 44} -42 0 -46 Z",
                  c.body, c.line)  # fmt: skip
        ink.ellipse(side * 35, -72, 8, 8, c.dark)
        ink.ellipse(side * 35, -72, 4, 4, colour("#fffbe8"))
        ink.ellipse(side * 28, -28, 4.5, 4.5, colour("#fffbe8"))
        ink.stroke(f"M 0 -70 Q {side * 6} -88 {side * 15} -92", NIGHT_BLUE, 2)
    ink.ellipse(0, -48, 4.5, 25, NIGHT_BLUE)


PAINTERS: dict[str, Callable[[Ink, Shades], None]] = {
    painter.__name__: painter
    for painter in (
        house, tree, sailboat, flower, cat, fish,
        car, balloon, lighthouse, mushroom, star, butterfly,
    )
}  # fmt: skip
HOVERING = frozenset({"fish", "balloon", "star", "butterfly"})
AFLOAT = frozenset({"sailboat"})
