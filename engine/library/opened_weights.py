"""The weights of a model that was opened: which file each tensor lies in, under what name, and in which rows of it.

`single_file` writes this once it has judged a file, into a folder for each part in Easel's own cache; the tensors
themselves stay where they are, and are read one by one when they are wanted.
"""

import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec

from engine.errors import BadInput, EaselError
from engine.formats.places import Config, Turn
from engine.paths import cache, ready, sync

FILE = "weights.json"
SOURCE = "source.json"


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


class Source(msgspec.Struct, frozen=True):
    """What an opened folder was made from."""

    path: str
    files: dict[str, tuple[int, int]]
    """Every file that the result depends on, its size and the nanosecond it was changed; zeros for none."""
    lenders: str = ""
    """A checksum of all that could have lent a part, where one was looked for; else empty."""


def home() -> Path:
    """Where opened models lie."""
    return cache("opened")


def stamp(path: Path) -> tuple[int, int]:
    """The size of a file and the nanosecond it was changed; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:  # it is not there, or not yet
        return 0, 0
    return status.st_size, status.st_mtime_ns


def source_of(folder: Path) -> Source | None:
    """What an opened folder was made from, if all files of it are as they were; else None."""
    try:
        source = msgspec.json.decode((folder / SOURCE).read_bytes(), type=Source)
    except (OSError, msgspec.DecodeError):
        return None
    return source if all(stamp(Path(file)) == before for file, before in source.files.items()) else None


def put(folder: Path, source: Source, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder under another name, then let it appear whole. Raises EaselError for a full disk."""
    ready(folder.parent)
    making = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        write(making)
        put_json(making / SOURCE, source)
        if folder.is_dir():
            shutil.rmtree(folder)
        making.replace(folder)
        sync(folder.parent)
    except OSError as error:
        if source_of(folder) is None:  # else another process was faster
            raise EaselError(
                f"The model “{Path(source.path).name}” could not be opened ({error.strerror}).",
                "Free some space.",
                str(folder),
            ) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def put_part(folder: Path, config: Config, weights: Weights) -> None:
    """Write a part into a folder that is being made."""
    put_json(folder / "config.json", config)
    put_json(folder / FILE, weights)


def put_json(path: Path, what: object) -> None:
    """Write a small file into a folder that is being made."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(what))


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
