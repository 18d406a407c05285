"""Drawing a part of a picture: what of it the model sees, and how the part comes back without touching the rest."""

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; the last two not included."""


class Part(NamedTuple):
    """What the model is given of a source, in the size it draws; and what puts its picture back."""

    source: Image.Image
    mask: Image.Image
    whole: Image.Image
    whole_mask: Image.Image
    box: Box
    feather: int

    def back(self, drawn: Image.Image) -> Image.Image:
        """The whole source with the drawn part in it. Every pixel outside the mask is the source's own, bit for bit."""
        left, top, right, bottom = self.box
        new = np.asarray(drawn.resize((right - left, bottom - top), Image.Resampling.LANCZOS), np.float32)
        pixels = np.array(self.whole)
        share = _shares(np.asarray(self.whole_mask), self.feather)[top:bottom, left:right, None]
        old = pixels[top:bottom, left:right]
        pixels[top:bottom, left:right] = np.where(share > 0, (old + share * (new - old)).round(), old).astype(np.uint8)
        return Image.fromarray(pixels)


def part(source: Image.Image, mask: Image.Image, size: tuple[int, int], *, padding: int | None, feather: int) -> Part:
    """What to draw in `size`: all of the source, or with `padding` the mask and so many pixels around it.

    The mask is an 8-bit grey picture of the source's size, white where it is drawn anew; the new picture fades in over
    `feather` pixels inside of it.
    """
    box = (0, 0, *source.size) if padding is None else _around(mask, size, padding)
    seen, hole = (each.crop(box).resize(size, Image.Resampling.LANCZOS) for each in (source, mask))
    return Part(seen, hole.point([255 * (value >= 128) for value in range(256)]), source, mask, box, feather)


def _around(mask: Image.Image, size: tuple[int, int], padding: int) -> Box:
    """The box of the mask with padding, of the shape of `size` as far as the picture goes."""
    rows, columns = np.nonzero(np.asarray(mask) >= 128)
    spans = [(int(each.min()) - padding, int(each.max()) + 1 + padding) for each in (columns, rows)]
    width, height = (high - low for low, high in spans)
    shape = size[0] / size[1]
    wanted = (max(width, round(height * shape)), max(height, round(width / shape)))
    (left, right), (top, bottom) = (
        _fitted(span, length, limit) for span, length, limit in zip(spans, wanted, mask.size, strict=True)
    )
    return left, top, right, bottom


def _fitted(span: tuple[int, int], length: int, limit: int) -> tuple[int, int]:
    """A span of that length around the middle of another, moved into 0 to `limit`, shorter where it must be."""
    length = min(length, limit)
    low = min(max((span[0] + span[1] - length) // 2, 0), limit - length)
    return low, low + length


def _shares(mask: np.ndarray, feather: int) -> np.ndarray:
    """How much of the new picture is seen, float [h, w]: none outside the mask, all `feather` pixels inside."""
    inside = (mask >= 128).astype(np.uint8)
    if not feather:
        return inside.astype(np.float32)
    framed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.minimum(distance / feather, 1.0) if (framed == 0).any() else inside.astype(np.float32)
