"""What models are called on the disk: the endings their files may have, and the name that people know one by."""

import os
from pathlib import PurePath

SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".pt2", ".pkl", ".onnx", ".gguf")
"""The likeliest first. What a file is its first bytes say; so what is rarely a model, `.pt2` and `.pkl`, is looked at,
too, as ComfyUI does, and told kindly where it is none."""

SAFETENSORS = SUFFIXES[:2]
"""Of the files that models and their parts are read from where they lie."""

WEIGHTS = SUFFIXES[:-2]
"""Of the files that may hold weights that Easel reads."""


def name_of(path: PurePath | str) -> str:
    """A file's name without its ending; a folder's whole, for “v1.5” ends in nothing."""
    own = os.path.basename(path)  # noqa: PTH119  thousands are named at once, and Path takes its time
    stem, suffix = os.path.splitext(own)  # noqa: PTH122
    return stem if suffix.lower() in SUFFIXES else own
