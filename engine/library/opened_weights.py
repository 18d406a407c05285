"""The weights of a model that was opened: which file each tensor lies in, under what name, and in which rows of it.

`single_file` writes this once it has judged a file, into a folder for each part in Easel's own cache; the tensors
themselves stay where they are, and are read one by one when they are wanted.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.errors import BadInput
from engine.formats.places import Place, Turn, turned
from engine.paths import cache

if TYPE_CHECKING:
    from torch import Tensor

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


def reader(weights: Weights) -> "Callable[[str], Tensor]":
    """Reads tensors by their names, as the files have them. Raises what safetensors raises for a damaged file."""
    from safetensors import safe_open

    files = [safe_open(file, "pt") for file in files_of(weights)]
    return lambda name: _tensor(files[weights.tensors[name].file], weights.tensors[name])


def read(weights: Weights) -> "Iterator[tuple[str, Tensor]]":
    """Every tensor by name, each read when it is asked for. Raises what safetensors raises for a damaged file."""
    read_one = reader(weights)
    for name in weights.tensors:
        yield name, read_one(name)


@lru_cache(maxsize=32)
def _decoded(file: Path, changed: int) -> Weights:
    """Of a file as it was at that time."""
    return msgspec.json.decode(file.read_bytes(), type=Weights)


def _tensor(file: object, each: Stored) -> "Tensor":
    import torch

    if each.turn == "identity":
        return torch.eye(each.shape[0])
    rows = slice(*each.rows) if each.rows else slice(None)
    found = file.get_slice(each.key)[rows] if each.rows else file.get_tensor(each.key)  # pyright: ignore[reportAttributeAccessIssue]
    if each.scale:
        scale = file.get_tensor(each.scale).to(torch.float32)  # pyright: ignore[reportAttributeAccessIssue]
        if scale.numel() > 1:
            scale = scale.flatten()[rows].reshape(-1, *[1] * (found.ndim - 1))
        found = found.to(torch.float32) * scale
    return turned(Place(each.key, each.rows, each.turn), found)
