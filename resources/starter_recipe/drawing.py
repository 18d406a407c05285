"""Draws a scene as an illustration, the training picture of the starter model."""

from random import Random

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter

from resources.starter_recipe import backdrop, finish
from resources.starter_recipe.backdrop import Frame
from resources.starter_recipe.ink import INKS, Ink, colour, shades
from resources.starter_recipe.subjects import AFLOAT, HOVERING, PAINTERS
from resources.starter_recipe.world import NOTHING, Scene

NATIVE_SIZE = 128
OVERSAMPLING = 2

Spot = tuple[float, float, float]
"""Where a thing stands: x and y as shares of the picture, and its height in hundreds of units."""


def draw(scene: Scene, seed: int, size: tuple[int, int] = (NATIVE_SIZE, NATIVE_SIZE)) -> np.ndarray:
    """An RGB picture of `scene`, uint8 [h, w, 3], of `size` (w, h); the seed moves what the scene leaves open."""
    rng = Random(seed)
    frame = Frame(*size)
    image = QImage(size[0] * OVERSAMPLING, size[1] * OVERSAMPLING, QImage.Format.Format_RGB888)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(OVERSAMPLING, OVERSAMPLING)
    ink = INKS[scene.style](painter)
    backdrop.sky(ink, frame, scene.time, scene.weather, rng)
    backdrop.ground(ink, frame, scene.place, scene.time, rng)
    if scene.weather == "fog":
        backdrop.mist(ink, frame, scene.time, rng)
    for thing, tone, spot in _things(scene, frame, rng):
        _draw_thing(ink, frame, scene.place, (thing, tone), spot, rng)
    if scene.weather in ("rain", "snowfall"):
        backdrop.downpour(ink, frame, scene.weather, rng)
    painter.end()
    return finish.finished(_pixels(image.scaled(*size, mode=Qt.TransformationMode.SmoothTransformation)), scene, rng)


def _things(scene: Scene, frame: Frame, rng: Random) -> list[tuple[str, str, Spot]]:
    """What stands where: one thing anywhere near the middle, several in a row, or a big and a small one."""
    room = rng.uniform(1.0, min(frame.width, frame.height) / NATIVE_SIZE)
    mine = scene.subject, scene.colour
    if scene.other != NOTHING:
        near, far = (0.33, 0.79) if scene.side == "left" else (0.67, 0.21)
        return [
            (scene.other, scene.other_colour, _spot(far, rng.uniform(0.38, 0.46) * room, rng, 0.78)),
            (*mine, _spot(near, rng.uniform(0.58, 0.68) * room, rng)),
        ]
    if scene.count == "two":
        return [(*mine, _spot(x, rng.uniform(0.5, 0.56) * room, rng)) for x in (0.27, 0.73)]
    if scene.count == "three":
        return [(*mine, _spot(x, rng.uniform(0.34, 0.4) * room, rng)) for x in (0.18, 0.5, 0.82)]
    return [(*mine, _spot(rng.uniform(0.34, 0.66), rng.uniform(0.64, 0.9) * room, rng))]


def _spot(x: float, scale: float, rng: Random, low: float = 0.82) -> Spot:
    return x + rng.uniform(-0.03, 0.03), rng.uniform(low, 0.885), scale


def _draw_thing(ink: Ink, frame: Frame, place: str, thing: tuple[str, str], spot: Spot, rng: Random) -> None:
    subject, tone = thing
    x, y, scale = spot
    lift = rng.uniform(8, 14) if subject in HOVERING else 0.0
    painter = ink.painter
    painter.save()
    painter.translate(x * frame.width, y * frame.height)
    painter.scale(scale, scale)
    _draw_footing(ink, subject, place)
    painter.translate(0, -lift / scale)
    PAINTERS[subject](ink, shades(tone, rng))
    painter.restore()


def _draw_footing(ink: Ink, subject: str, place: str) -> None:
    """The shadow of the subject; on the sea an islet for what cannot float."""
    if place == "sea" and subject not in HOVERING:
        if subject in AFLOAT:
            ink.ellipse(0, 3, 58, 6, colour("#e6f7fd", 0.7))
            return
        ink.ellipse(0, 5, 66, 13, colour("#e6f7fd", 0.75))
        ink.ellipse(0, 3, 60, 11, (colour("#f2dfa6"), colour("#cfae6b")))
    for grow, alpha in ((1.0, 0.12), (0.8, 0.14), (0.6, 0.14)):
        ink.ellipse(0, 2, 46 * grow, 7 * grow, colour("#10182c", alpha))


def _pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()
