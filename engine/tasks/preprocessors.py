"""Control images: what a ControlNet is shown of a picture. Arrays are uint8 [h, w, 3] in and out, lines white on black.

The kinds and their usual numbers are those of ControlNet's own annotators (https://github.com/lllyasviel/ControlNet).
"""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageOps

from engine.errors import BadInput, closest

Pixels = np.ndarray
CANNY_LOW, CANNY_HIGH = 100, 200
XDOG_DARK = 16.0
"""By how many levels of 255 a stroke is darker than what surrounds it."""
COLOUR_BLOCK = 64
"""Pixels a side of one colour of a palette."""


def control_image(kind: str, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """What the preprocessor of that name makes of a picture, of the size that is drawn; its edges are cut to the shape.

    Raises BadInput for a kind that is not known, or that needs a model.
    """
    if kind in _NEED_A_MODEL:
        raise BadInput(
            f"The preprocessor “{kind}” needs a model that Easel does not have yet.",
            "Give a finished control image, and “none” as its kind.",
            where="controls",
        )
    if kind not in PREPROCESSORS:
        known = sorted((*PREPROCESSORS, *_NEED_A_MODEL))
        raise BadInput(f"There is no preprocessor “{kind[:40]}”.", closest(kind, known), where="controls")
    fitted = ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS)
    return Image.fromarray(PREPROCESSORS[kind](np.asarray(fitted)))


def _canny(pixels: Pixels) -> Pixels:
    return _white(cv2.Canny(pixels, CANNY_LOW, CANNY_HIGH))


def _straight_lines(pixels: Pixels) -> Pixels:
    """Straight edges of some length, as wireframes of rooms and houses have them; MLSD's job, by Hough's transform."""
    edges = cv2.Canny(pixels, CANNY_LOW / 2, CANNY_HIGH / 2)
    side = min(edges.shape)
    found = cv2.HoughLinesP(edges, 1, np.pi / 180, threshold=side // 16 + 8, minLineLength=side // 10, maxLineGap=4)
    drawn = np.zeros(edges.shape, np.uint8)
    for line in [] if found is None else found.reshape(-1, 4):
        cv2.line(drawn, tuple(map(int, line[:2])), tuple(map(int, line[2:])), 255, 1, cv2.LINE_AA)
    return _white(drawn)


def _scribble(pixels: Pixels) -> Pixels:
    """XDoG (Winnemöller et al. 2012): a difference of blurs, its dark side as thick strokes."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    difference = cv2.GaussianBlur(grey, (0, 0), 0.5) - cv2.GaussianBlur(grey, (0, 0), 5.0)
    return _white(255 * (difference < -XDOG_DARK).astype(np.uint8))


def _soft_edge(pixels: Pixels) -> Pixels:
    """The steepness of a smoothed picture, the strongest edge as white: HED's look without its network."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.5).astype(np.float32)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axes) for axes in ((1, 0), (0, 1)))
    steep = np.hypot(across, down).max(axis=2)
    return _white((255 * np.minimum(steep / max(float(np.percentile(steep, 99.5)), 1.0), 1)).astype(np.uint8))


def _line_art(pixels: Pixels) -> Pixels:
    """Where a pixel is darker than what surrounds it, as ink on paper is."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    darker = np.maximum(cv2.GaussianBlur(grey, (0, 0), 6.0) - grey, 0)
    return _white(np.minimum(darker * 255 / max(float(darker.max()), 16.0), 255).astype(np.uint8))


def _palette(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    few = (max(width // COLOUR_BLOCK, 1), max(height // COLOUR_BLOCK, 1))
    small = cv2.resize(pixels, few, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def _blur(pixels: Pixels) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), min(pixels.shape[:2]) / 64 + 0.5)


def _normals(depth: Pixels) -> Pixels:
    """Surface normals of a depth picture, near is bright: x, y and z in -1 to 1 as red, green and blue."""
    grey = cv2.cvtColor(depth, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axes, ksize=3) for axes in ((1, 0), (0, 1)))
    normals = np.stack((-across, down, np.full_like(grey, 1 / 8)), axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return ((normals + 1) * 127.5).round().astype(np.uint8)


def _white(grey: np.ndarray) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=2)


PREPROCESSORS: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda pixels: pixels,
    "invert": lambda pixels: 255 - pixels,
    "canny": _canny,
    "lines": _straight_lines,
    "scribble": _scribble,
    "line art": _line_art,
    "soft edge": _soft_edge,
    "palette": _palette,
    "tile": lambda pixels: pixels,
    "blur": _blur,
    "normal from depth": _normals,
}
"""Those that need no model."""
_NEED_A_MODEL = ("depth", "pose", "segmentation", "hed")
