"""Draws what lies behind the subject: the sky of the time, the ground of the place, and the weather over it."""

from dataclasses import dataclass
from math import sin
from random import Random

from resources.starter_recipe.ink import Fill, Ink, colour, mixed, path

SKIES = {
    "day": ("#5fb4f2", "#d3effc"),
    "sunset": ("#6b4d9c", "#ff9d5c"),
    "night": ("#0b1238", "#2c3f7c"),
}
VEILS = {"day": None, "sunset": colour("#ff7a3c", 0.20), "night": colour("#0a1440", 0.58)}
"""What the time lays over the ground."""
MIST = {"day": colour("#dfe5e8"), "sunset": colour("#e3c3bd"), "night": colour("#6f7b99")}
"""The colour of fog at each time."""
CLOUDS = {"day": colour("#8d9cab"), "sunset": colour("#7d5f84"), "night": colour("#2b3152")}
"""The colour of rain clouds at each time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The picture's size in units; one unit is one pixel, whatever the size."""

    width: float
    height: float

    @property
    def horizon(self) -> float:
        """Where the sky ends."""
        return self.height * 0.625

    @property
    def depth(self) -> float:
        """Height of the ground, below the horizon."""
        return self.height - self.horizon

    def across(self, spacing: float) -> range:
        """How often something fits beside itself, at least once."""
        return range(max(1, round(self.width / spacing)))


def sky(ink: Ink, frame: Frame, time: str, weather: str, rng: Random) -> None:
    """Fills the picture with the sky of `time`, its light and its clouds."""
    top, bottom = (colour(text) for text in SKIES[time])
    if weather == "fog":
        top, bottom = mixed(top, MIST[time], 0.55), mixed(bottom, MIST[time], 0.8)
    elif weather in ("rain", "snowfall"):
        top, bottom = mixed(top, CLOUDS[time], 0.5), mixed(bottom, CLOUDS[time], 0.4)
    ink.box(0, 0, frame.width, frame.horizon + 8, (top, bottom))
    side = frame.width * rng.choice((rng.uniform(0.11, 0.24), rng.uniform(0.76, 0.89)))
    _LIGHTS[time](ink, frame, side, rng)
    if weather == "clear" and time == "day":
        for step in frame.across(64):
            _cloud(ink, frame.width - side + step * 40 + rng.uniform(-16, 16), rng.uniform(12, 40), rng, "#ffffff")
    if weather in ("rain", "snowfall"):
        tone = mixed(CLOUDS[time], colour("#ffffff"), 0.25 if weather == "snowfall" else 0.0)
        for step in frame.across(26):
            _cloud(ink, step * 28 + rng.uniform(-8, 20), rng.uniform(6, 16), rng, tone.name(), 1.5)


def _cloud(ink: Ink, x: float, y: float, rng: Random, tone: str, grow: float = 1.0) -> None:
    scale = rng.uniform(0.7, 1.1) * grow
    for dx, dy, radius in ((-11, 2, 5), (-4, -1, 7), (4, 0, 6), (11, 2, 4.5)):
        ink.ellipse(x + dx * scale, y + dy * scale, radius * scale, radius * scale * 0.8, colour(tone, 0.92))


def _sun(ink: Ink, frame: Frame, x: float, rng: Random) -> None:
    y = frame.height * rng.uniform(0.11, 0.19)
    for radius, alpha in ((17, 0.18), (13, 0.3)):
        ink.ellipse(x, y, radius, radius, colour("#fff6c0", alpha))
    ink.ellipse(x, y, 9, 9, colour("#ffe268"))


def _low_sun(ink: Ink, frame: Frame, x: float, rng: Random) -> None:
    y = frame.horizon - rng.uniform(4, 12)
    for radius, alpha in ((30, 0.15), (22, 0.25)):
        ink.ellipse(x, y, radius, radius, colour("#ffe08a", alpha))
    ink.ellipse(x, y, 13, 13, colour("#fff0a8"))
    for _ in frame.across(43):
        left, height = rng.uniform(-0.1, 0.7) * frame.width, rng.uniform(0.15, 0.62) * frame.horizon
        ink.box(left, height, rng.uniform(24, 44), 3, colour("#ff8f8f", 0.55), radius=1.5)


def _moon(ink: Ink, frame: Frame, x: float, rng: Random) -> None:
    y = frame.height * rng.uniform(0.12, 0.2)
    for _ in frame.across(5):
        size = rng.uniform(0.5, 1.1)
        ink.ellipse(rng.uniform(0, frame.width), rng.uniform(0, frame.horizon - 8), size, size,
                    colour("#ffffff", rng.uniform(0.5, 1)))  # fmt: skip
    ink.ellipse(x, y, 15, 15, colour("#c9d8ff", 0.14))
    disc = path(
        f"M {x} {y - 10} C {x + 14} {y - 10} {x + 14} {y + 10} {x} {y + 10} C {x + 7} {y + 5} {x + 7} {y - 5} {x} {y - 10} Z"
    )
    ink.shape(disc, colour("#f6f3d2"))


_LIGHTS = {"day": _sun, "sunset": _low_sun, "night": _moon}


def ground(ink: Ink, frame: Frame, place: str, time: str, rng: Random) -> None:
    """Draws the ground of `place` under the light of `time`."""
    _GROUNDS[place](ink, frame, rng)
    veil = VEILS[time]
    if veil is not None:
        faint = colour(veil.name(), veil.alphaF() * 0.8)
        ink.box(0, frame.horizon - 2, frame.width, frame.depth + 2, (veil, faint))
    if place == "city":
        _windows(ink, frame, time, rng)


def mist(ink: Ink, frame: Frame, time: str, rng: Random) -> None:
    """Lays fog over all that is drawn so far."""
    tone = MIST[time].name()
    ink.box(0, 0, frame.width, frame.height, (colour(tone, 0.25), colour(tone, 0.5)))
    for _ in frame.across(26):
        height = rng.uniform(0.2, 0.85) * frame.height
        ink.box(rng.uniform(-0.3, 0.7) * frame.width, height, 70, 6, colour(tone, 0.55), radius=3)


def downpour(ink: Ink, frame: Frame, weather: str, rng: Random) -> None:
    """Draws rain or snow falling before everything."""
    drops = int(frame.width * frame.height / 300)
    for _ in range(drops):
        x, y = rng.uniform(0, frame.width), rng.uniform(0, frame.height)
        if weather == "rain":
            length = rng.uniform(6, 10)
            ink.stroke(f"M {x} {y} L {x - length * 0.35} {y + length}", colour("#e4f2ff", 0.75), 1.1)
        else:
            size = rng.uniform(1.2, 2.2)
            ink.ellipse(x, y, size, size, colour("#ffffff", 0.95))


def _hills(ink: Ink, frame: Frame, y: float, height: float, phase: float, fill: Fill) -> None:
    tops = " ".join(f"L {x} {y - height * sin(x / 26 + phase):.2f}" for x in range(0, int(frame.width) + 5, 4))
    ink.curve(f"M 0 {frame.height} {tops} L {frame.width + 4} {frame.height} Z", fill)


def _meadow(ink: Ink, frame: Frame, rng: Random) -> None:
    _hills(ink, frame, frame.horizon, 4, rng.uniform(0, 6), (colour("#a5d46a"), colour("#7cbf54")))
    _hills(ink, frame, frame.horizon + frame.depth * 0.25, 3, rng.uniform(0, 6), (colour("#83c653"), colour("#4f9e3f")))
    for _ in frame.across(9):
        x, y = rng.uniform(2, frame.width), frame.horizon + frame.depth * rng.uniform(0.38, 0.96)
        ink.stroke(f"M {x - 2} {y - 4} L {x} {y} L {x + 2} {y - 4.5}", colour("#3f8a35"), 1.1)


def _sea(ink: Ink, frame: Frame, rng: Random) -> None:
    ink.box(0, frame.horizon, frame.width, frame.depth, (colour("#58b5de"), colour("#1c62a6")))
    for row in range(5):
        for _ in frame.across(43):
            x = rng.uniform(-6, frame.width - 8)
            y = frame.horizon + frame.depth * (0.1 + row * 0.19) + rng.uniform(-2, 2)
            w = rng.uniform(7, 13)
            ink.stroke(f"M {x} {y} Q {x + w / 4} {y - 3} {x + w / 2} {y} Q {x + 3 * w / 4} {y - 3} {x + w} {y}",
                       colour("#d5f1fb", 0.75), 1.2)  # fmt: skip


def _desert(ink: Ink, frame: Frame, rng: Random) -> None:
    _hills(ink, frame, frame.horizon, 5, rng.uniform(0, 6), (colour("#eec985"), colour("#e0b169")))
    _hills(ink, frame, frame.horizon + frame.depth * 0.31, 4, rng.uniform(0, 6), (colour("#f3d494"), colour("#d9a65c")))
    x = frame.width * rng.choice((rng.uniform(0.08, 0.16), rng.uniform(0.84, 0.92)))
    y = frame.horizon + frame.depth * 0.25
    for text in (f"M {x} {y} L {x} {y - 24}", f"M {x} {y - 9} L {x - 6} {y - 9} L {x - 6} {y - 17}",
                 f"M {x} {y - 6} L {x + 6} {y - 6} L {x + 6} {y - 14}"):  # fmt: skip
        ink.stroke(text, colour("#4c8f57"), 4)


def _snow(ink: Ink, frame: Frame, rng: Random) -> None:
    _hills(ink, frame, frame.horizon, 4, rng.uniform(0, 6), (colour("#e3eef8"), colour("#cfdfef")))
    for near in (rng.uniform(0.05, 0.12), rng.uniform(0.17, 0.22), rng.uniform(0.81, 0.86), rng.uniform(0.89, 0.97)):
        x, y = near * frame.width, frame.horizon + rng.uniform(4, 9)
        for step in range(3):
            top, half = y - 22 + step * 6, 3.5 + step * 1.8
            ink.polygon([(x, top), (x - half, top + 9), (x + half, top + 9)], (colour("#f4fafd"), colour("#5f93a0")))
    _hills(ink, frame, frame.horizon + frame.depth * 0.29, 3, rng.uniform(0, 6), (colour("#ffffff"), colour("#d3e1f0")))


def _city(ink: Ink, frame: Frame, rng: Random) -> None:
    for left in range(-2, int(frame.width), 13):
        height = rng.uniform(20, 44)
        tone = colour(rng.choice(("#7c8798", "#8b93a6", "#6d7689")))
        ink.box(left, frame.horizon + 6 - height, 13.5, height, tone)
    ink.box(0, frame.horizon + 5, frame.width, frame.depth, (colour("#a2a7ad"), colour("#74797f")))
    for left in range(-8, int(frame.width), 24):
        ink.box(left + 4, frame.height - 10, 13, 2.6, colour("#eef0ee"), radius=1)


def _windows(ink: Ink, frame: Frame, time: str, rng: Random) -> None:
    glass = colour("#ffd873") if time == "night" else colour("#d6e4ee", 0.8)
    for left in range(-2, int(frame.width), 13):
        for top in (frame.horizon - 12, frame.horizon - 6, frame.horizon):
            for dx in (3, 8):
                if rng.random() < 0.75:
                    ink.box(left + dx, top, 2.6, 3.4, glass)


_GROUNDS = {"meadow": _meadow, "sea": _sea, "desert": _desert, "snow": _snow, "city": _city}
