"""The models that make control images: which of them are installed, and what is missing where none is."""

from collections.abc import Iterator
from pathlib import Path

from engine import paths
from engine.controls import KINDS, missing
from engine.errors import EaselError
from engine.formats.safetensors import read_header
from engine.library.recognise import read_json

FOLDER = "preprocessor"
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
    for folder in paths.adapters(FOLDER):
        for config in sorted(folder.glob("*/config.json")):
            try:
                named = read_json(config).get("architectures")
            except EaselError:  # a damaged folder is no model
                continue
            if isinstance(named, list) and len(named) == 1 and named[0] in KINDS[kind].classes:
                yield config.parent


def _edge_files() -> Iterator[Path]:
    for folder in paths.adapters(FOLDER):
        for path in sorted(folder.glob("*.safetensors")):
            try:
                if _EDGES in read_header(path).tensors:
                    yield path
            except EaselError:  # a damaged file is no model
                continue
