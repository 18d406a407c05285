"""A picture enlarged by any factor: by a network in tiles without seams, or by Lanczos alone."""

from collections.abc import Callable
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from engine.errors import BadInput, EaselError, OutOfMemory, for_want_of_memory
from engine.upscalers.upscaler import Upscaler

MAX_PIXELS = 2**28
"""Of a result, four times what Easel reads; in RGB 800 MB."""
SMALLEST = 64
"""Pixels of a tile's side below which halving does not help."""

_STEP = 1e-6
"""As wide as a ramp is where nothing is shared."""

OnTile = Callable[[int, int], None]
"""Told after each tile: how many are done, of how many. They begin anew when memory made the tiles smaller."""


class Tiling(NamedTuple):
    """Pixels of a tile's side and of what two neighbours share at least, before enlarging.

    A quarter of the shared pixels at each end is thrown away, for there a network sees the tile's border; the half
    between is blended. A network that looks no further than the quarter leaves no trace of the tiles.
    """

    side: int = 256
    overlap: int = 32


class Upscaled(NamedTuple):
    """The enlarged picture, uint8 [h, w, channels], and what to say of how it was made."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


class _Piece(NamedTuple):
    """Where a tile lies along one side of the picture, and how much it counts where in the result."""

    start: int
    """In the picture's pixels; negative in the reflected border."""
    low: int
    high: int
    shares: np.ndarray
    """[high - low], in 0 to 1; with its neighbours' they add up to 1."""


def upscale(
    pixels: np.ndarray, factor: float, upscaler: Upscaler | None, on_tile: OnTile, tiling: Tiling | None = None
) -> Upscaled:
    """uint8 [h, w, 3 or 4] enlarged by `factor`, sides rounded; without an upscaler by Lanczos alone.

    The network runs once, and Lanczos makes up the difference between its scale and `factor`; alpha is left to Lanczos.
    `on_tile` may raise Cancelled. Raises BadInput for a factor that makes too much or nothing of the picture,
    OutOfMemory where even small tiles do not fit, EaselError where the network gives no numbers.
    """
    size = _target(pixels, factor)
    if upscaler is None:
        return Upscaled(lanczos(pixels, size))
    colours, notes = _enlarged_somehow(pixels[..., :3], upscaler, size[0], on_tile, tiling or Tiling())
    colours = lanczos(colours, size)
    if pixels.shape[2] == 3:
        return Upscaled(colours, notes)
    return Upscaled(np.dstack((colours, lanczos(pixels[..., 3], size))), notes)


def lanczos(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w] or [h, w, channels] in another size (width, height). Colours count as much as they are seen."""
    image = Image.fromarray(pixels)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.LANCZOS))


def _target(pixels: np.ndarray, factor: float) -> tuple[int, int]:
    """Width and height."""
    height, width = pixels.shape[:2]
    if not 0 < factor <= MAX_PIXELS or width * height * factor**2 > MAX_PIXELS:
        raise BadInput(
            f"{width} x {height} pixels cannot be enlarged {factor:g} times.",
            f"The result may have up to {MAX_PIXELS // 10**6} million pixels.",
            where="factor",
        )
    return max(1, round(width * factor)), max(1, round(height * factor))


def _enlarged_somehow(
    pixels: np.ndarray, upscaler: Upscaler, width: int, on_tile: OnTile, tiling: Tiling
) -> tuple[np.ndarray, tuple[str, ...]]:
    """`_enlarged`, with the tile halved as often as memory demands; and what to say of that."""
    side, notes = tiling.side, ()
    while True:
        try:
            return _enlarged(pixels, upscaler, width, on_tile, Tiling(side, tiling.overlap)), notes
        except OutOfMemory:
            if upscaler.size or side // 2 < SMALLEST:
                raise
        side //= 2
        notes = (f"Memory ran short, so the picture was enlarged in tiles of {side} pixels.",)


def _enlarged(pixels: np.ndarray, upscaler: Upscaler, width: int, on_tile: OnTile, tiling: Tiling) -> np.ndarray:
    """By the network's scale in height, and to `width` pixels: Lanczos works on rows first, so that can be done here.

    Row by row of tiles: only one row is held in floating point, and nothing whole in the network's own size.
    """
    scale = upscaler.scale
    sides = [
        _side(length, fixed, upscaler.multiple, tiling)
        for length, fixed in zip(pixels.shape[:2], upscaler.size or (None, None), strict=True)
    ]
    rows, columns = (
        _pieces(length, side, scale, tiling.overlap) for length, side in zip(pixels.shape[:2], sides, strict=True)
    )
    result = np.empty((pixels.shape[0] * scale, width, 3), np.uint8)
    carried = np.zeros((0, pixels.shape[1] * scale, 3), np.float32)
    done = 0
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        strip = np.zeros((row.high - row.low, *carried.shape[1:]), np.float32)
        for column in columns:
            tile = _run(upscaler, _cut(pixels, (row.start, column.start), sides))
            strip[:, column.low : column.high] += _part(tile, row, column, scale) * column.shares[:, None]
            done += 1
            on_tile(done, len(rows) * len(columns))
        strip *= row.shares[:, None, None]
        strip[: len(carried)] += carried
        finished, carried = np.split(strip, [(after.low if after else row.high) - row.low])
        levels = (finished * 255).round().astype(np.uint8)
        result[row.low : row.low + len(finished)] = lanczos(levels, (width, len(finished)))
    return result


def _side(length: int, fixed: int | None, multiple: int, tiling: Tiling) -> int:
    """Of the tiles along a side of the picture: no larger than so many tiles need, so that little is drawn twice."""
    if fixed:
        return fixed
    whole = length + 2 * (tiling.overlap // 4)
    count = max(1, ceil((whole - tiling.overlap) / (tiling.side - tiling.overlap)))
    return multiple * ceil((whole + (count - 1) * tiling.overlap) / count / multiple)


def _pieces(length: int, side: int, scale: int, overlap: int) -> list[_Piece]:
    """Tiles of `side` spread evenly along `length` pixels, with a border of reflections at both ends."""
    overlap = min(overlap, side // 2)
    border = overlap // 4
    whole = length + 2 * border
    count = max(1, ceil((whole - overlap) / (side - overlap)))
    starts = [round(number * (whole - side) / max(1, count - 1)) - border for number in range(count)]
    seen = (np.arange(length * scale) + 0.5) / scale  # where each pixel of the result lies in the picture
    seams = [(before + side + start) / 2 for before, start in pairwise(starts)]
    # Each tile sets in where its neighbour fades, in a linear ramp around the middle of what they share.
    rises = [((seen - seam) / max(_STEP, overlap / 2) + 0.5).clip(0, 1) for seam in seams]
    shares = [one - other for one, other in pairwise([np.ones_like(seen), *rises, np.zeros_like(seen)])]
    return [_piece(start, share) for start, share in zip(starts, shares, strict=True)]


def _piece(start: int, share: np.ndarray) -> _Piece:
    counting = np.flatnonzero(share)
    low, high = int(counting[0]), int(counting[-1]) + 1
    return _Piece(start, low, high, share[low:high].astype(np.float32))


def _cut(pixels: np.ndarray, corner: tuple[int, int], sides: list[int]) -> np.ndarray:
    """One tile [side, side, 3], reflected where it reaches over the border, again and again if it must."""
    return pixels[np.ix_(*(_reflected(*each) for each in zip(corner, sides, pixels.shape[:2], strict=True)))]


def _reflected(start: int, side: int, length: int) -> np.ndarray:
    period = max(1, 2 * (length - 1))
    place = np.arange(start, start + side) % period
    return np.minimum(place, period - place)


def _part(tile: np.ndarray, row: _Piece, column: _Piece, scale: int) -> np.ndarray:
    """What of an enlarged tile counts."""
    top, left = row.low - row.start * scale, column.low - column.start * scale
    return tile[top : top + row.high - row.low, left : left + column.high - column.low]


def _run(upscaler: Upscaler, tile: np.ndarray) -> np.ndarray:
    """One tile uint8 [h, w, 3] through the network: float32 in 0 to 1."""
    given = torch.from_numpy(tile).permute(2, 0, 1)[None].float() / 255
    try:
        enlarged = upscaler(given)[0].permute(1, 2, 0).numpy()
    except (RuntimeError, MemoryError) as error:
        if not for_want_of_memory(error):
            raise
        raise OutOfMemory(
            f"There is too little memory for the upscaler “{upscaler.name}”.",
            "Close other programs, or use a smaller upscaler.",
        ) from error
    if not np.isfinite(enlarged).all():
        raise EaselError(
            f"The upscaler “{upscaler.name}” gave no picture: its numbers overflowed.",
            "Choose the precision “fp32”, or another upscaler.",
        )
    return enlarged.clip(0, 1)
