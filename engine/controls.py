"""The kinds of control image, each declared once: what is made of a picture so that another is drawn along it."""

from typing import NamedTuple

from engine.errors import BadInput


class Kind(NamedTuple):
    """One way to a control image."""

    label: str
    """English, as a choice is called; the window translates it."""
    nets: tuple[str, ...] = ()
    """The kinds of ControlNet or T2I-Adapter it is meant for, as words of their names; none where any may be."""
    union: int | None = None
    """Its place among the control types of a Union ControlNet (xinsir's for Stable Diffusion XL, and its ProMax)."""
    flux: int | None = None
    """Its place among those of a Union ControlNet for FLUX.1 (InstantX's, and Shakker Labs' Pro)."""
    needs: str = ""
    """The model it needs, in words; empty where none."""
    example: str = ""
    """A model that would do."""
    gives: str = ""
    """What a person may give instead."""
    classes: tuple[str, ...] = ()
    """Classes of transformers that are such a model; none where it is a file of its own."""


KINDS: dict[str, Kind] = {
    "none": Kind("None: a finished control image"),
    "invert": Kind("Invert: black lines on white", ("lineart", "scribble", "sketch"), 3),
    "canny": Kind("Canny edges", ("canny",), 3, 0),
    "lines": Kind("Straight lines", ("mlsd",), 3),
    "scribble": Kind("Scribble", ("scribble", "sketch"), 2),
    "line art": Kind("Line art", ("lineart",), 3),
    "soft edge": Kind("Soft edge", ("softedge", "hed", "pidi", "sketch"), 2),
    "palette": Kind("Colour palette", ("color", "palette")),
    "tile": Kind("Tile", ("tile",), 6, 1),
    "blur": Kind("Blur", ("tile", "blur"), 6, 3),
    "normal from depth": Kind("Normals, from a depth map", ("normal",), 4),
    "depth": Kind(
        "Depth", ("depth", "zoe", "midas"), 1, 2,
        needs="a depth model", example="Depth Anything V2 Small", gives="depth map",
        classes=("DepthAnythingForDepthEstimation", "DPTForDepthEstimation"),
    ),
    "pose": Kind(
        "Pose", ("openpose", "pose"), 0, 4, needs="a pose model", example="ViTPose Base", gives="pose picture",
        classes=("VitPoseForPoseEstimation",),
    ),
    "segmentation": Kind(
        "Segmentation", ("seg",), 5,
        needs="a segmentation model", example="UperNet with ConvNeXt Small", gives="segmentation map",
        classes=("UperNetForSemanticSegmentation", "SegformerForSemanticSegmentation"),
    ),
    "hed": Kind("HED edges", ("softedge", "hed", "sketch"), 2, needs="an edge model", example="HED", gives="edge map"),
}  # fmt: skip
"""By the name that a setting or the command line gives."""
LINES = ("canny", "lines", "scribble", "line art", "soft edge", "hed", "none", "invert")
"""The kinds that a ControlNet for lines of every kind understands."""


def missing(kind: str) -> BadInput:
    """The error where the model for a kind of control image is not installed."""
    chosen = KINDS[kind]
    form = "a transformers folder" if chosen.classes else "a .safetensors file"
    return BadInput(
        f"The preprocessor “{kind}” needs {chosen.needs}; the library has none.",
        f"Add one to Easel's folder “preprocessor” (for example {chosen.example}, as {form}), or give a finished "
        f"{chosen.gives} and choose “none”.",
        where="controls",
    )
