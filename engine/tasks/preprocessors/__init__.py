"""Control images: what a ControlNet is shown of a picture.

Arrays are uint8 [h, w, 3] in and out, of one size; lines are white on black. The kinds and their usual numbers are
those of ControlNet's own annotators (https://github.com/lllyasviel/ControlNet), the palette the T2I-Adapter's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from engine.controls import KINDS, missing
from engine.errors import BadInput, closest
from engine.tasks.preprocessors.edges import canny, soft_edge, straight_lines
from engine.tasks.preprocessors.ink import line_art, scribble
from engine.tasks.preprocessors.models import by_model
from engine.tasks.preprocessors.normals import normals
from engine.tasks.preprocessors.surfaces import blurred, inverted, palette, unchanged

WITHOUT_MODEL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": unchanged,
    "invert": inverted,
    "canny": canny,
    "lines": straight_lines,
    "scribble": scribble,
    "line art": line_art,
    "soft edge": soft_edge,
    "palette": palette,
    "tile": unchanged,
    "blur": blurred,
    "normal from depth": normals,
}
"""Of engine.controls.KINDS those that need no model."""


def control_image(kind: str, picture: Image.Image, size: tuple[int, int], model: str = "") -> Image.Image:
    """What the preprocessor of that name makes of a picture, RGB and of `size` (width, height), that of what is drawn.

    The picture is scaled (Lanczos) until it fills the size, and what then stands over is cut off on both sides alike.
    `model` is the folder or file of one, where the kind needs it.
    Raises BadInput for a kind that is not known, and for a model that is missing or damaged.
    """
    if kind not in KINDS:
        raise BadInput(f"There is no preprocessor “{kind[:40]}”.", closest(kind, list(KINDS)), where="controls")
    if KINDS[kind].needs and not model:
        raise missing(kind)
    pixels = np.asarray(ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS))
    made = by_model(kind, pixels, Path(model)) if KINDS[kind].needs else WITHOUT_MODEL[kind](pixels)
    return Image.fromarray(made)
