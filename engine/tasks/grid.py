"""Pictures side by side with titles, to compare what a setting does."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from engine.pictures import opened

LARGEST = 12_000
"""Pixels a side of a sheet; cells are made smaller to keep to it."""
_GAP = 8
_PAPER, _INK = "white", "black"


def sheet(files: Sequence[Path], columns: Sequence[str], rows: Sequence[str]) -> Image.Image:
    """The pictures, row by row, with a title over each column and, where there are any, beside each row.

    Raises BadInput for a picture that is gone or damaged.
    """
    width, height = _cell(files, len(columns), len(rows))
    size = max(12, min(width, height) // 16)
    font = ImageFont.load_default(size)
    left = max((_width(title, font) for title in rows), default=0)
    left = left + 2 * _GAP if left else _GAP
    top = size + 3 * _GAP
    whole = Image.new("RGB", (left + len(columns) * (width + _GAP), top + len(rows) * (height + _GAP)), _PAPER)
    pen = ImageDraw.Draw(whole)
    for place, title in enumerate(columns):
        pen.text((left + place * (width + _GAP) + width // 2, top // 2), _cut(title, width, font), _INK, font, "mm")
    for place, title in enumerate(rows):
        pen.text((_GAP, top + place * (height + _GAP) + height // 2), title, _INK, font, "lm")
    for place, file in enumerate(files):
        row, column = divmod(place, len(columns))
        with opened(file) as image:
            fitted = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        whole.paste(fitted, (left + column * (width + _GAP), top + row * (height + _GAP)))
    return whole


def _cell(files: Sequence[Path], columns: int, rows: int) -> tuple[int, int]:
    """The size of a cell: the first picture's, or smaller."""
    with opened(files[0]) as image:
        width, height = image.size
    scale = min(1.0, LARGEST / columns / width, LARGEST / rows / height)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _width(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return int(font.getlength(title)) if title else 0


def _cut(title: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of a title as has room."""
    while len(title) > 2 and _width(title, font) > width:
        title = title[:-2] + "…"
    return title
