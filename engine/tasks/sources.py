"""A person's picture as a source to draw from: upright, in RGB, whatever it was before."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from engine.errors import BadInput
from engine.pictures import opened

SMALLEST = 8
"""Pixels a side: below that there is nothing to see."""


def read_source(path: Path) -> Image.Image:
    """The picture in 8-bit RGB as a viewer shows it: turned as the camera was held, transparency on white.

    Sixteen bits are shortened to eight, of an animation the first picture is taken. Raises BadInput naming the file for
    one that is missing, damaged, too large, or too small to show anything.
    """
    with opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if min(upright.size) < SMALLEST:
            raise BadInput(
                f"“{path.name}” is only {upright.width} x {upright.height} pixels.", "Use a larger picture.", str(path)
            )
        return _rgb(upright)


def read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """The mask in 8-bit grey for a source of `size`, white where it is drawn anew.

    The transparency of a picture that has any is the mask, else its brightness; one of the same shape and another size
    is scaled. Raises BadInput naming the file where it marks nothing, or has another shape than the source.
    """
    with opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        alpha = upright.getchannel("A") if "A" in upright.getbands() else None
        mask = alpha if alpha is not None and _varies(alpha) else _rgb(upright).convert("L")
    shape, wanted = mask.width / mask.height, size[0] / size[1]
    if abs(shape / wanted - 1) > 0.01:
        raise BadInput(
            f"The mask “{path.name}” is {mask.width} x {mask.height} pixels, its source {size[0]} x {size[1]}.",
            "Use a mask of the source's shape.",
            where="mask",
        )
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.LANCZOS)
    if mask.getextrema()[1] < 128:  # pyright: ignore[reportOperatorIssue]
        raise BadInput(f"The mask “{path.name}” marks nothing.", "Paint white what is to be drawn anew.", where="mask")
    return mask


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _shortened(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        whole = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    return image.convert("RGB")


def _shortened(image: Image.Image) -> Image.Image:
    """Eight bits of sixteen, or of numbers from 0 to 1."""
    values = np.asarray(image)
    scaled = values * 255.0 if image.mode == "F" and values.max() <= 1 else values / 257.0
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))


def _varies(alpha: Image.Image) -> bool:
    low, high = alpha.getextrema()
    return low != high
