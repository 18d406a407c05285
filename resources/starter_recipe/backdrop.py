"""Draws what lies behind the subject: the sky of the time and the ground of the place, on 128 x 128 units."""

from math import sin
from random import Random

from resources.starter_recipe.ink import Ink, colour, path

HORIZON = 80.0

SKIES = {
    "day": ("#5fb4f2", "#d3effc"),
    "sunset": ("#6b4d9c", "#ff9d5c"),
    "night": ("#0b1238", "#2c3f7c"),
    "fog": ("#c3ccd3", "#e3e7e8"),
}
VEILS = {
    "day": None,
    "sunset": colour("#ff7a3c", 0.20),
    "night": colour("#0a1440", 0.58),
    "fog": colour("#dfe5e8", 0.58),
}
"""What the time lays over the ground."""


def sky(ink: Ink, time: str, rng: Random) -> None:
    """Fills the picture with the sky of `time`, its light and its clouds."""
    top, bottom = SKIES[time]
    ink.box(0, 0, 128, HORIZON + 8, (colour(top), colour(bottom)))
    side = rng.choice((rng.uniform(14, 30), rng.uniform(98, 114)))
    SKY_LIGHTS[time](ink, side, rng)


def _sun(ink: Ink, x: float, rng: Random) -> None:
    y = rng.uniform(14, 24)
    for radius, alpha in ((17, 0.18), (13, 0.3)):
        ink.ellipse(x, y, radius, radius, colour("#fff6c0", alpha))
    ink.ellipse(x, y, 9, 9, colour("#ffe268"))
    for _ in range(2):
        _cloud(ink, 128 - x + rng.uniform(-16, 16), rng.uniform(12, 40), rng.uniform(0.7, 1.1))


def _cloud(ink: Ink, x: float, y: float, scale: float) -> None:
    for dx, dy, radius in ((-11, 2, 5), (-4, -1, 7), (4, 0, 6), (11, 2, 4.5)):
        ink.ellipse(x + dx * scale, y + dy * scale, radius * scale, radius * scale * 0.8, colour("#ffffff", 0.92))


def _low_sun(ink: Ink, x: float, rng: Random) -> None:
    y = HORIZON - rng.uniform(4, 12)
    for radius, alpha in ((30, 0.15), (22, 0.25)):
        ink.ellipse(x, y, radius, radius, colour("#ffe08a", alpha))
    ink.ellipse(x, y, 13, 13, colour("#fff0a8"))
    for _ in range(3):
        left, height = rng.uniform(-10, 90), rng.uniform(12, 50)
        ink.box(left, height, rng.uniform(24, 44), 3, colour("#ff8f8f", 0.55), radius=1.5)


def _moon(ink: Ink, x: float, rng: Random) -> None:
    y = rng.uniform(15, 25)
    for _ in range(26):
        size = rng.uniform(0.5, 1.1)
        ink.ellipse(rng.uniform(0, 128), rng.uniform(0, 72), size, size, colour("#ffffff", rng.uniform(0.5, 1)))
    ink.ellipse(x, y, 15, 15, colour("#c9d8ff", 0.14))
    disc = path(
        f"M {x} {y - 10} C {x + 14} {y - 10} {x + 14} {y + 10} {x} {y + 10} C {x + 7} {y + 5} {x + 7} {y - 5} {x} {y - 10} Z"
    )
    ink.shape(disc, colour("#f6f3d2"))


def _haze(ink: Ink, x: float, rng: Random) -> None:
    ink.ellipse(x, rng.uniform(16, 26), 9, 9, colour("#f6f6ee", 0.9))
    for _ in range(3):
        ink.box(rng.uniform(-30, 70), rng.uniform(20, 66), 64, 7, colour("#f4f6f6", 0.6), radius=3.5)


SKY_LIGHTS = {"day": _sun, "sunset": _low_sun, "night": _moon, "fog": _haze}


def ground(ink: Ink, place: str, time: str, rng: Random) -> None:
    """Draws the ground of `place` under the light of `time`."""
    GROUNDS[place](ink, rng)
    veil = VEILS[time]
    if veil is not None:
        ink.shape(_lower_half(), (colour(veil.name(), veil.alphaF()), colour(veil.name(), veil.alphaF() * 0.8)))
    if place == "city":
        _windows(ink, time, rng)
    if time == "fog":
        for _ in range(3):
            ink.box(rng.uniform(-30, 60), rng.uniform(72, 104), 80, 6, colour("#f2f4f4", 0.5), radius=3)


def _lower_half():
    return path(f"M 0 {HORIZON - 2} L 128 {HORIZON - 2} L 128 128 L 0 128 Z")


def _hills(ink: Ink, y: float, height: float, phase: float, fill) -> None:
    tops = " ".join(f"L {x} {y - height * sin(x / 26 + phase):.2f}" for x in range(0, 133, 4))
    ink.curve(f"M 0 128 {tops} L 132 128 Z", fill)


def _meadow(ink: Ink, rng: Random) -> None:
    _hills(ink, HORIZON, 4, rng.uniform(0, 6), (colour("#a5d46a"), colour("#7cbf54")))
    _hills(ink, HORIZON + 12, 3, rng.uniform(0, 6), (colour("#83c653"), colour("#4f9e3f")))
    for _ in range(14):
        x, y = rng.uniform(2, 126), rng.uniform(98, 126)
        ink.stroke(f"M {x - 2} {y - 4} L {x} {y} L {x + 2} {y - 4.5}", colour("#3f8a35"), 1.1)


def _sea(ink: Ink, rng: Random) -> None:
    ink.box(0, HORIZON, 128, 50, (colour("#58b5de"), colour("#1c62a6")))
    for row in range(5):
        for _ in range(3):
            x, y, w = rng.uniform(-6, 120), HORIZON + 5 + row * 9 + rng.uniform(-2, 2), rng.uniform(7, 13)
            ink.stroke(f"M {x} {y} Q {x + w / 4} {y - 3} {x + w / 2} {y} Q {x + 3 * w / 4} {y - 3} {x + w} {y}",
                       colour("#d5f1fb", 0.75), 1.2)  # fmt: skip


def _desert(ink: Ink, rng: Random) -> None:
    _hills(ink, HORIZON, 5, rng.uniform(0, 6), (colour("#eec985"), colour("#e0b169")))
    _hills(ink, HORIZON + 15, 4, rng.uniform(0, 6), (colour("#f3d494"), colour("#d9a65c")))
    x = rng.choice((rng.uniform(10, 20), rng.uniform(108, 118)))
    y = HORIZON + 12
    for text in (f"M {x} {y} L {x} {y - 24}", f"M {x} {y - 9} L {x - 6} {y - 9} L {x - 6} {y - 17}",
                 f"M {x} {y - 6} L {x + 6} {y - 6} L {x + 6} {y - 14}"):  # fmt: skip
        ink.stroke(text, colour("#4c8f57"), 4)


def _snow(ink: Ink, rng: Random) -> None:
    _hills(ink, HORIZON, 4, rng.uniform(0, 6), (colour("#e3eef8"), colour("#cfdfef")))
    for x in (rng.uniform(6, 16), rng.uniform(22, 28), rng.uniform(104, 110), rng.uniform(114, 124)):
        y = HORIZON + rng.uniform(4, 9)
        for step in range(3):
            top, half = y - 22 + step * 6, 3.5 + step * 1.8
            ink.polygon([(x, top), (x - half, top + 9), (x + half, top + 9)], (colour("#f4fafd"), colour("#5f93a0")))
    _hills(ink, HORIZON + 14, 3, rng.uniform(0, 6), (colour("#ffffff"), colour("#d3e1f0")))
    for _ in range(16):
        size = rng.uniform(0.7, 1.4)
        ink.ellipse(rng.uniform(0, 128), rng.uniform(0, 120), size, size, colour("#ffffff", 0.9))


def _city(ink: Ink, rng: Random) -> None:
    for left in range(-2, 128, 13):
        height = rng.uniform(20, 44)
        ink.box(left, HORIZON + 6 - height, 13.5, height, colour(rng.choice(("#7c8798", "#8b93a6", "#6d7689"))))
    ink.box(0, HORIZON + 5, 128, 50, (colour("#a2a7ad"), colour("#74797f")))
    for left in range(-8, 128, 24):
        ink.box(left + 4, 118, 13, 2.6, colour("#eef0ee"), radius=1)


def _windows(ink: Ink, time: str, rng: Random) -> None:
    glass = colour("#ffd873") if time == "night" else colour("#d6e4ee", 0.8)
    for left in range(-2, 128, 13):
        for top in (HORIZON - 12, HORIZON - 6, HORIZON):
            for dx in (3, 8):
                if rng.random() < 0.75:
                    ink.box(left + dx, top, 2.6, 3.4, glass)


GROUNDS = {"meadow": _meadow, "sea": _sea, "desert": _desert, "snow": _snow, "city": _city}
