"""Which way the surfaces of a depth picture face."""

import cv2
import numpy as np

DEPTH = 0.5
"""How deep a scene is from black to white, as a share of the picture's shorter side; a depth picture does not say."""


def normals(depth: np.ndarray) -> np.ndarray:
    """Surface normals of a depth picture, near is bright, in the colours of ControlNet 1.1's normal maps.

    Its README: “blue is front, red is left, green is top”; 128 is neither. The same scene in another size gives the
    same colours. Eight bits of depth are coarse steps, so they are smoothed first.
    """
    side = min(depth.shape[:2])
    grey = cv2.cvtColor(depth, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.5 + side / 256)
    near = smooth * side * DEPTH
    left, top = (cv2.Sobel(near, cv2.CV_32F, *axes, ksize=3, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    facing = np.stack((left, top, np.ones_like(grey)), axis=2)
    facing /= np.linalg.norm(facing, axis=2, keepdims=True)
    return ((facing + 1) * 127.5).round().astype(np.uint8)
