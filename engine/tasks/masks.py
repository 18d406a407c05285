"""Drawing a part of a picture: what of it the model sees, and how the part comes back without touching the rest.

A mask is an 8-bit grey picture, white where a picture is drawn anew: a pixel belongs to it from 128 on.
"""

from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from engine.errors import BadInput

INSIDE = 128
"""The level from which a pixel belongs to a mask."""
MAX_PIXELS = 89_000_000
"""Of a frame; what Easel reads of a file."""
COARSE = 8
"""Pixels a side that are one while the new part of a frame is blurred."""
NOISE = 12.0
"""Levels of 255 of noise in the new part of a frame, so that a model finds something to make a picture of."""

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
        new = np.asarray(drawn.convert("RGB").resize((right - left, bottom - top), Image.Resampling.LANCZOS))
        pixels = np.array(self.whole)
        share = feathered(self.whole_mask, self.feather)[top:bottom, left:right]
        pixels[top:bottom, left:right] = stitched(pixels[top:bottom, left:right], new, share)
        return Image.fromarray(pixels)


class Frame(NamedTuple):
    """A picture in a larger frame, for `part`: with `feather` as its feather, what is drawn fades into the source."""

    source: Image.Image
    mask: Image.Image
    feather: int


def part(source: Image.Image, mask: Image.Image, size: tuple[int, int], *, padding: int | None, feather: int) -> Part:
    """What to draw in `size`: all of the source, or with `padding` the mask and so many pixels around it.

    The mask has the source's size and marks something; the new picture fades in over `feather` pixels inside of it.
    What the model draws anew is every pixel that has some of the mask in it, were it a thousandth.
    """
    box = (0, 0, *source.size) if padding is None else _around(mask, size, padding)
    marked = (np.asarray(mask.crop(box)) >= INSIDE).astype(np.float32)
    hole = 255 * (cv2.resize(marked, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    seen = source.crop(box).resize(size, Image.Resampling.LANCZOS)
    return Part(seen, Image.fromarray(hole), source, mask, box, feather)


def outpainted(source: Image.Image, left: int, top: int, right: int, bottom: int, overlap: int = 16) -> Frame:
    """The 8-bit RGB source in a frame that is larger by so many pixels (0 or more) on each side, and the mask for it.

    What is new begins as the source's edge, blurred and with some noise, the same each time. `overlap` pixels of the
    source (at most a quarter of its shorter side) are drawn again, too, so that no seam is seen; all others come back
    from `Part.back` bit for bit. Raises BadInput where nothing is added, something less than nothing, or too much.
    """
    sides = left, top, right, bottom
    width, height = source.width + left + right, source.height + top + bottom
    if min(sides) < 0 or not any(sides):
        raise BadInput("Nothing is added around the picture.", "Use 0 or more pixels a side, and more than 0 for one.")
    if width * height > MAX_PIXELS:
        raise BadInput(f"{width:,} x {height:,} pixels are too many.", "Add less around the picture.")
    overlap = min(overlap, min(source.size) // 4)
    kept = np.full((source.height, source.width), 0, np.uint8)
    kept[_after(top, overlap) : _before(bottom, overlap), _after(left, overlap) : _before(right, overlap)] = 255
    mask = 255 - cv2.copyMakeBorder(kept, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return Frame(Image.fromarray(_filled(np.asarray(source), sides)), Image.fromarray(mask), overlap)


def _after(added: int, overlap: int) -> int:
    return overlap if added else 0


def _before(added: int, overlap: int) -> int | None:
    return -overlap if added and overlap else None


def _filled(pixels: np.ndarray, sides: tuple[int, int, int, int]) -> np.ndarray:
    """The pixels with something like them on each side (left, top, right, bottom)."""
    left, top, right, bottom = sides
    height, width = pixels.shape[:2]
    wide = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_REPLICATE)
    full = (wide.shape[1], wide.shape[0])
    small = cv2.resize(wide, tuple(max(side // COARSE, 1) for side in full), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(small, (0, 0), max(max(sides) / COARSE / 8, 1.0))
    smooth = cv2.resize(coarse, full, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(smooth.shape, np.float32)
    filled = (smooth + NOISE * noise).clip(0, 255).round().astype(np.uint8)
    filled[top : top + height, left : left + width] = pixels
    return filled


def grown(mask: Image.Image, pixels: int) -> Image.Image:
    """The mask and every pixel not farther than `pixels` (0 or more) from it, black and white."""
    inside = np.asarray(mask) >= INSIDE
    if not inside.any():
        return Image.fromarray(255 * inside.astype(np.uint8))
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return Image.fromarray(255 * (distance <= pixels).astype(np.uint8))


def feathered(mask: Image.Image, pixels: int) -> np.ndarray:
    """How much of the new picture is seen, float32 [h, w]: 0 outside the mask, 1 from `pixels` inside of it on.

    The picture's own edge is no edge of the mask.
    """
    inside = (np.asarray(mask) >= INSIDE).astype(np.uint8)
    if not pixels or inside.all():
        return inside.astype(np.float32)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.minimum(distance / pixels, 1.0)


def stitched(old: np.ndarray, new: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The old pixels [h, w, c] with a share [h, w] of the new; uint8 or uint16, both alike.

    Where the share is 0 the old ones stay bit for bit: float32 holds 16 bits exactly.
    """
    mixed = old + share[..., None] * (new.astype(np.float32) - old)
    return mixed.round().astype(old.dtype)


def _around(mask: Image.Image, size: tuple[int, int], padding: int) -> Box:
    """The box of the mask with padding, of the shape of `size` as far as the picture goes."""
    rows, columns = np.nonzero(np.asarray(mask) >= INSIDE)
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
