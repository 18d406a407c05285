"""The models that make control images: which of them are installed, and what is missing where none is."""

from collections.abc import Iterator
from pathlib import Path

from engine.controls import KINDS, missing
from engine.errors import EaselError
from engine.formats.safetensors import read_header
from engine.formats.suffixes import SAFETENSORS
from engine.library.recognise import read_json
from engine.library.shelves import shelved

_EDGES = "block5.projection.weight"
"""A tensor of HED's network, the only one that is a file of its own."""


def model_for(kind: str) -> str:
    """The folder or the file of the model that makes control images of a kind; empty for a kind that needs none.

    Raises BadInput where it is missing.
    """
    if kind not in KINDS or not KINDS[kind].needs:
        return ""
    path = next(_networks(kind) if KINDS[kind].classes else _edge_files(), None)
    if path is None:
        raise missing(kind)
    return str(path)


def _networks(kind: str) -> Iterator[Path]:
    for folder in shelved("preprocessor"):
        if not (folder / "config.json").is_file():
            continue
        try:
            named = read_json(folder / "config.json").get("architectures")
        except EaselError:  # a damaged folder is no model
            continue
        if isinstance(named, list) and len(named) == 1 and named[0] in KINDS[kind].classes:
            yield folder


def _edge_files() -> Iterator[Path]:
    for path in shelved("preprocessor"):
        if path.suffix.lower() not in SAFETENSORS or not path.is_file():
            continue
        try:
            if _EDGES in read_header(path).tensors:
                yield path
        except EaselError:  # a damaged file is no model
            continue
