"""The weights of a model that was opened: which file each tensor lies in, under what name, and in which rows of it.

`single_file` writes this once it has judged a file, into a folder for each part in Easel's own cache; the tensors
themselves stay where they are, and are read one by one when they are wanted.
"""

from functools import lru_cache
from pathlib import Path

import msgspec

from engine.errors import BadInput
from engine.formats.places import Turn
from engine.paths import cache

FILE = "weights.json"


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """One tensor of a part."""

    file: int
    """The place of its file among the part's."""
    key: str
    shape: tuple[int, ...]
    """As the part has it."""
    rows: tuple[int, int] | None = None
    turn: Turn = ""
    scale: str = ""
    """The name of what it must be multiplied with, one number or one a row, where it is stored in 8 bits."""


class Weights(msgspec.Struct, frozen=True):
    """All tensors of a part, by their names in diffusers or transformers."""

    files: tuple[str, ...]
    tensors: dict[str, Stored]


def home() -> Path:
    """Where opened models lie."""
    return cache("opened")


def stored(part: Path) -> Weights | None:
    """The weights of a part of an opened model; None for a folder that is not one.

    A folder elsewhere is never asked: whoever made it could name any file of this computer.
    """
    if part.parent.parent != home() or not (part / FILE).is_file():
        return None
    return _decoded(part / FILE, (part / FILE).stat().st_mtime_ns)


def files_of(weights: Weights) -> list[Path]:
    """The files that the weights lie in. Raises BadInput for one that is gone."""
    found = [Path(file) for file in weights.files]
    for file in found:
        if not file.is_file():
            raise BadInput(f"The model file “{file.name}” is not there any more.", "Put it back.", where=str(file))
    return found


@lru_cache(maxsize=32)
def _decoded(file: Path, changed: int) -> Weights:
    """Of a file as it was at that time."""
    return msgspec.json.decode(file.read_bytes(), type=Weights)
