"""What is darker than its surroundings, as ink on paper is: scribble and line art."""

import cv2
import numpy as np

from engine.tasks.preprocessors.surfaces import as_rgb

STROKE = 16.0
"""By how many levels of 255 a stroke is darker than what surrounds it; the annotator's 32 of twice the difference."""
FAINT = 8.0
"""Levels of 255 that are paper."""


def scribble(pixels: np.ndarray) -> np.ndarray:
    """XDoG (Winnemöller et al. 2012) with the annotator's numbers: a difference of blurs, its dark side as strokes."""
    return as_rgb(255 * (_darker(pixels, 0.5, 5.0) > STROKE).astype(np.uint8))


def line_art(pixels: np.ndarray) -> np.ndarray:
    """Grey lines, the middle one of those found half white (the annotator without a network, “lineart standard”)."""
    darker = _darker(pixels, 0.0, 6.0)
    found = darker[darker > FAINT]
    middle = max(float(np.median(found)) if found.size else 0.0, 16.0)
    return as_rgb(np.minimum(darker * 127 / middle, 255).astype(np.uint8))


def _darker(pixels: np.ndarray, fine: float, wide: float) -> np.ndarray:
    """By how much a pixel is darker than around it, float [h, w] from 0; two blurs of so many pixels compared.

    By brightness: the annotator takes the weakest of three channels, and loses dark blue on blue.
    """
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    near = cv2.GaussianBlur(values, (0, 0), fine) if fine else values
    return np.maximum(cv2.GaussianBlur(values, (0, 0), wide) - near, 0)
