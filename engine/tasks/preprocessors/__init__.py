"""Control images: what a ControlNet is shown of a picture.

Arrays are uint8 [h, w, 3] in and out, of one size; lines are white on black. The kinds and their usual numbers are
those of ControlNet's own annotators (https://github.com/lllyasviel/ControlNet), the palette the T2I-Adapter's.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from engine.errors import BadInput, closest
from engine.tasks.preprocessors.edges import canny, soft_edge, straight_lines
from engine.tasks.preprocessors.ink import line_art, scribble
from engine.tasks.preprocessors.normals import normals
from engine.tasks.preprocessors.surfaces import blurred, inverted, palette, unchanged


class Preprocessor(NamedTuple):
    """One way to a control image."""

    label: str
    """English, as a choice is called; the window translates it."""
    controls: tuple[str, ...]
    """The kinds of ControlNet it is meant for, as words of their names; none where any may be."""
    make: Callable[[np.ndarray], np.ndarray] | None = None
    """None where a model is needed."""
    needs: str = ""
    """That model."""
    example: str = ""
    """A model that would do."""
    gives: str = ""
    """What a person may give instead."""


PREPROCESSORS: dict[str, Preprocessor] = {
    "none": Preprocessor("None: a finished control image", (), unchanged),
    "invert": Preprocessor("Invert: black lines on white", ("lineart", "scribble"), inverted),
    "canny": Preprocessor("Canny edges", ("canny",), canny),
    "lines": Preprocessor("Straight lines", ("mlsd",), straight_lines),
    "scribble": Preprocessor("Scribble", ("scribble",), scribble),
    "line art": Preprocessor("Line art", ("lineart",), line_art),
    "soft edge": Preprocessor("Soft edge", ("softedge", "hed"), soft_edge),
    "palette": Preprocessor("Colour palette", ("color",), palette),
    "tile": Preprocessor("Tile", ("tile",), unchanged),
    "blur": Preprocessor("Blur", ("tile", "blur"), blurred),
    "normal from depth": Preprocessor("Normals, from a depth map", ("normal",), normals),
    "depth": Preprocessor(
        "Depth", ("depth",), needs="a depth model", example="Depth Anything V2 Small", gives="depth map"
    ),
    "pose": Preprocessor("Pose", ("openpose",), needs="a pose model", example="ViTPose Base", gives="pose picture"),
    "segmentation": Preprocessor(
        "Segmentation",
        ("seg",),
        needs="a segmentation model",
        example="UperNet with ConvNeXt Small",
        gives="segmentation map",
    ),
    "hed": Preprocessor("HED edges", ("softedge", "hed"), needs="an edge model", example="HED", gives="edge map"),
}
"""By the name that a setting or the command line gives."""


def control_image(kind: str, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """What the preprocessor of that name makes of a picture, RGB and of `size` (width, height), that of what is drawn.

    The picture is scaled (Lanczos) until it fills the size, and what then stands over is cut off on both sides alike.
    Raises BadInput for a kind that is not known, or that needs a model.
    """
    if kind not in PREPROCESSORS:
        raise BadInput(f"There is no preprocessor “{kind[:40]}”.", closest(kind, list(PREPROCESSORS)), where="controls")
    chosen = PREPROCESSORS[kind]
    if chosen.make is None:
        raise BadInput(
            f"The preprocessor “{kind}” needs {chosen.needs}; the library has none.",
            f"Add one (for example {chosen.example}, as a transformers folder), or give a finished {chosen.gives} and "
            "choose “none”.",
            where="controls",
        )
    fitted = ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS)
    return Image.fromarray(chosen.make(np.asarray(fitted)))
