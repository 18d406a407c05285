"""What makes a finished drawing a watercolour, pixels or an old print: done to its pixels, not to its shapes."""

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from resources.starter_recipe.world import Scene

PIXEL = 4
"""Side of a square of the pixel style."""


def finished(pixels: np.ndarray, scene: Scene, rng: Random) -> np.ndarray:
    """The drawing uint8 [h, w, 3] in the scene's style."""
    finish = _FINISHES.get(scene.style)
    return pixels if finish is None else finish(pixels, np.random.default_rng(rng.getrandbits(32)))


def _watercolour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Edges that run, pigment that settles unevenly, and bare paper around."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    rows += _cloudy(rng, height, width, 8) * 2.2
    columns += _cloudy(rng, height, width, 8) * 2.2
    run = pixels[rows.round().astype(int).clip(0, height - 1), columns.round().astype(int).clip(0, width - 1)]
    soft = np.asarray(Image.fromarray(run).filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255
    pooled = np.asarray(Image.fromarray(run).filter(ImageFilter.GaussianBlur(3.0)), np.float32) / 255
    edges = np.abs(soft - pooled).max(axis=2, keepdims=True)
    strength = 0.72 + 0.13 * _cloudy(rng, height, width, 14) + 0.05 * _cloudy(rng, height, width, 48)
    paint = 1 - (1 - soft) * strength[..., None] - edges * 0.35
    inset = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns])
    wet = ((inset + 2 * _cloudy(rng, height, width, 10) - 4) / 4).clip(0, 1)[..., None]
    return _bytes(paint * wet + np.array([0.985, 0.975, 0.95]) * (1 - wet))


def _pixel_art(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares of few colours."""
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((width // PIXEL, height // PIXEL), Image.Resampling.BOX)
    few = small.quantize(20, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return np.asarray(few.resize((width, height), Image.Resampling.NEAREST))


def _sepia(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An old print: one brown from dark to pale, darker towards the corners."""
    height, width = pixels.shape[:2]
    light = (pixels @ np.array([0.299, 0.587, 0.114]) / 255)[..., None]
    tone = np.array([0.17, 0.1, 0.06]) * (1 - light) + np.array([0.98, 0.9, 0.74]) * light
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    corners = (rows**2 + columns**2)[..., None] * rng.uniform(0.14, 0.2)
    return _bytes(tone * (1.03 - corners))


def _cloudy(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Smooth noise [h, w] in about -1 to 1, `cells` to the native width."""
    grid = rng.standard_normal((max(2, height * cells // 128), max(2, width * cells // 128))).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)).clip(-1.6, 1.6) / 1.6


def _bytes(picture: np.ndarray) -> np.ndarray:
    return (picture * 255).round().clip(0, 255).astype(np.uint8)


_FINISHES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "watercolour": _watercolour,
    "pixel": _pixel_art,
    "sepia": _sepia,
}
