"""Draws a scene as a flat illustration, the training picture of the starter model."""

import ctypes
import sys
from random import Random

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPainter

from resources.starter_recipe import backdrop
from resources.starter_recipe.ink import Ink, colour, shades
from resources.starter_recipe.subjects import AFLOAT, HOVERING, PAINTERS
from resources.starter_recipe.world import Scene

NATIVE_SIZE = 128
OVERSAMPLING = 2

if sys.version_info < (3, 12):
    # PySide6 6.12 releases one reference to None in every call that returns None, as if None were
    # immortal, which it is only from Python 3.12 on: a few thousand calls would end the process.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 60


def draw(scene: Scene, seed: int, size: int = NATIVE_SIZE) -> np.ndarray:
    """An RGB picture of `scene`, uint8, size x size x 3; the seed moves what the scene leaves open."""
    rng = Random(seed)
    image = QImage(size * OVERSAMPLING, size * OVERSAMPLING, QImage.Format.Format_RGB888)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(*(image.width() / 128,) * 2)
    ink = Ink(painter)
    backdrop.sky(ink, scene.time, rng)
    backdrop.ground(ink, scene.place, scene.time, rng)
    _draw_subject(ink, scene, rng)
    painter.end()
    return _pixels(image.scaled(size, size, mode=Qt.TransformationMode.SmoothTransformation))


def _draw_subject(ink: Ink, scene: Scene, rng: Random) -> None:
    x, y, scale = rng.uniform(56, 72), rng.uniform(105, 113), rng.uniform(0.74, 0.88)
    lift = rng.uniform(8, 14) if scene.subject in HOVERING else 0.0
    painter = ink.painter
    painter.save()
    painter.translate(x, y)
    painter.scale(scale, scale)
    _draw_footing(ink, scene, hovering=lift > 0)
    painter.translate(0, -lift / scale)
    PAINTERS[scene.subject](ink, shades(scene.colour, rng))
    painter.restore()


def _draw_footing(ink: Ink, scene: Scene, *, hovering: bool) -> None:
    """The shadow of the subject; on the sea an islet for what cannot float."""
    if scene.place == "sea" and not hovering:
        if scene.subject in AFLOAT:
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
