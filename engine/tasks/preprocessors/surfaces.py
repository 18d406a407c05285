"""Colours and surfaces as a ControlNet is shown them: palette, blur, inverted or unchanged."""

import cv2
import numpy as np

COLOUR_BLOCK = 64
"""Pixels a side of one colour of a palette."""


def as_rgb(grey: np.ndarray) -> np.ndarray:
    """The same in three channels: uint8 [h, w] as [h, w, 3]."""
    return np.repeat(grey[..., None], 3, axis=2)


def unchanged(pixels: np.ndarray) -> np.ndarray:
    """The picture as it is: already a control image, or one for a ControlNet that adds detail to tiles."""
    return pixels


def inverted(pixels: np.ndarray) -> np.ndarray:
    """The negative: white lines on black of a drawing on paper."""
    return 255 - pixels


def palette(pixels: np.ndarray) -> np.ndarray:
    """The colours by blocks of 64 pixels, each one the mean of what it covers (T2I-Adapter's “color”).

    A side that is no multiple of 64 is cut into as many equal blocks as there would be whole ones, at least one.
    """
    height, width = pixels.shape[:2]
    few = (max(width // COLOUR_BLOCK, 1), max(height // COLOUR_BLOCK, 1))
    small = cv2.resize(pixels, few, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def blurred(pixels: np.ndarray) -> np.ndarray:
    """Composition and colours without detail."""
    return cv2.GaussianBlur(pixels, (0, 0), min(pixels.shape[:2]) / 64 + 0.5)
