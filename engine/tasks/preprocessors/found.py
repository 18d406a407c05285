"""What models find in a picture as ControlNets are shown it: depths, kinds of things, a person's joints, edges."""

import cv2
import numpy as np

from engine.tasks.preprocessors.surfaces import as_rgb

KINDS_OF_THINGS = np.frombuffer(
    bytes.fromhex(
        "787878b4787806e6e650323204c8037878508c8c8ccc05ffe6e6e604fa07e005ffebff0796053d78784608ff33ff06528fff8cccff04"
        "ff3307cc46030066c83de6faff06330b66ffff0747ff09e00907e6dcdcdcff095c7009ff08ffd607ffe0ffb8060aff47ff290a07ffff"
        "e0ff086608ffff3d06ffc207ff7a0800ff14ff0829ff05990633ffeb0cffa0961400a3ff8c8c8cfa0a0f14ff001fff00ff1f00ffe000"
        "99ff000000ffff470000ebff00adff1f00ff0bc8c8ff520000fff5003dff00ff7000ff85ff0000ffa300ff6600c2ff00008fff33ff00"
        "0052ff00ff2900ffad0a00ffadff0000ff99ff5c00ff00ffff00f5ff0066ffad00ff0014ffb8b8001fff00ff3d0047ffff00cc00ffc2"
        "00ff52000aff0070ff3300ff00c2ff007aff00ffa3ff990000ff0aff70008fff005200ffa3ff00ffeb0008b8aa8500ff00ff5cb800ff"
        "ff001f00b8ff00d6ffff00705cff0000e0ff70e0ff46b8a0a300ff9900ff47ff00ff00a3ffcc00ff008f00ffeb85ff00ff00ebf500ff"
        "ff007afff5000abed4d6ff0000ccff1400ffffff000099ff0029ff00ffcc2900ff29ff00ad00ff00f5ff4700ff7a00ff00ffb8005cff"
        "b8ff000085ffffd60019c2c266ff005c00ff"
    ),
    np.uint8,
).reshape(150, 3)
"""The colours of ADE20K's 150 kinds of things, as the segmentation ControlNets have learnt them."""
_JOINTS = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""By place among OpenPose's 18 joints: the one of COCO's 17; the neck, which COCO lacks, is between the shoulders."""
_NECK, _SHOULDERS = 1, (2, 5)
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_SURE = 0.3
"""How sure a joint must be to be drawn."""


def depths(found: np.ndarray, size: tuple[int, int], *, near_is_large: bool) -> np.ndarray:
    """A depth map, near is bright, of (width, height) from what a model says of each place [h, w]."""
    wide = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    low, high = float(wide.min()), float(wide.max())
    share = (wide - low) / max(high - low, 1e-6)
    return as_rgb((255 * (share if near_is_large else 1 - share)).round().astype(np.uint8))


def things(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The colour of the likeliest kind of thing at each place, of (width, height) from scores [kinds, h, w]."""
    best = np.full(size[::-1], -np.inf, np.float32)
    kind = np.zeros(size[::-1], np.intp)
    for place, each in enumerate(scores):  # one at a time: 150 of them in the picture's size would be large
        wide = cv2.resize(each.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        kind[wide > best] = place
        np.maximum(best, wide, out=best)
    return KINDS_OF_THINGS[kind % len(KINDS_OF_THINGS)]


def person(joints: np.ndarray, sure: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """OpenPose's drawing of a person, of (width, height) from COCO's 17 joints [17, x and y] and how sure they are."""
    places = joints[np.maximum(_JOINTS, 0)]
    seen = sure[np.maximum(_JOINTS, 0)] >= _SURE
    places[_NECK], seen[_NECK] = places[list(_SHOULDERS)].mean(axis=0), seen[list(_SHOULDERS)].all()
    drawn = np.zeros((size[1], size[0], 3), np.uint8)
    thick = max(1, round(4 * min(size) / 512))
    for limb, (one, other) in enumerate(_LIMBS):
        if seen[one] and seen[other]:
            ends = places[[one, other]]
            middle, along = ends.mean(axis=0), ends[1] - ends[0]
            angle = float(np.degrees(np.arctan2(along[1], along[0])))
            axes = (int(np.linalg.norm(along) / 2), thick)
            outline = cv2.ellipse2Poly((int(middle[0]), int(middle[1])), axes, int(angle), 0, 360, 1)
            cv2.fillConvexPoly(drawn, np.asarray(outline), tuple(0.6 * each for each in _colour(limb)))
    for joint in np.flatnonzero(seen).tolist():
        cv2.circle(drawn, (int(places[joint][0]), int(places[joint][1])), thick, _colour(joint), -1)
    return drawn


def _colour(place: int) -> tuple[int, int, int]:
    """Of OpenPose's 18: the wheel of hues in steps of a third of 60 degrees, from red."""
    step, third = divmod(place, 3)
    rising, falling = 85 * third, 255 - 85 * third
    return [
        (255, rising, 0), (falling, 255, 0), (0, 255, rising), (0, falling, 255), (rising, 0, 255), (255, 0, falling),
    ][step]  # fmt: skip
