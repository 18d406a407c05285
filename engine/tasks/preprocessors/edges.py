"""Where a picture changes: canny, soft edges, straight lines."""

import cv2
import numpy as np

from engine.tasks.preprocessors.surfaces import as_rgb

CANNY_LOW, CANNY_HIGH = 100, 200
SHORTEST_LINE = 1 / 16
"""Of the shorter side: what is a line in a room or of a house, and no bit of a curve."""
STRONGEST = 99.5
"""The percentile of steepness that is white; some pixels are always far steeper than any edge."""


def canny(pixels: np.ndarray) -> np.ndarray:
    """Canny's edges with the annotator's thresholds, one pixel wide."""
    return as_rgb(cv2.Canny(pixels, CANNY_LOW, CANNY_HIGH))


def soft_edge(pixels: np.ndarray) -> np.ndarray:
    """The steepness of a smoothed picture, the strongest edge as white: HED's look without its network."""
    sigma = 0.75 + min(pixels.shape[:2]) / 340  # strokes grow with the picture, as those of a network do
    smooth = cv2.GaussianBlur(pixels, (0, 0), sigma).astype(np.float32)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axes) for axes in ((1, 0), (0, 1)))
    steep = np.hypot(across, down).max(axis=2)
    white = max(float(np.percentile(steep, STRONGEST)), 1.0)
    return as_rgb((255 * np.minimum(steep / white, 1)).astype(np.uint8))


def straight_lines(pixels: np.ndarray) -> np.ndarray:
    """Straight edges of some length, as wireframes of rooms and houses have them: what MLSD's network finds.

    The line segment detector of Grompone von Gioi et al. (2012), as OpenCV has it.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    drawn = np.zeros(grey.shape, np.uint8)
    found = cv2.createLineSegmentDetector().detect(grey)[0] if min(grey.shape) > 1 else None
    segments = np.zeros((0, 4)) if found is None else np.asarray(found).reshape(-1, 4)
    length = np.hypot(segments[:, 0] - segments[:, 2], segments[:, 1] - segments[:, 3])
    for left, top, right, bottom in segments[length >= min(grey.shape) * SHORTEST_LINE].round().astype(int).tolist():
        cv2.line(drawn, (left, top), (right, bottom), 255, 1, cv2.LINE_AA)
    return as_rgb(drawn)
