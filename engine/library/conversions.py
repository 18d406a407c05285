"""What has been converted for OpenVINO, as the conversions say themselves, and still holds."""

import logging
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from engine.messages import Entry
from engine.paths import cache

RECIPE = 5
"""Raised when graphs are made otherwise, so that old ones are made again."""
NOTE = "source.json"
"""The file in a folder of graphs, and in that of an opened single file, that says what it was made of."""
_log = logging.getLogger(__name__)


class Source(Struct, frozen=True, kw_only=True):
    """What a folder of graphs was made of."""

    model: str
    """The path of the model's folder."""
    precisions: tuple[str, ...]
    """What the graphs serve for."""
    files: tuple[tuple[str, int, int], ...]
    """Path, bytes and time of change in nanoseconds of every file of weights."""
    openvino: str
    """The version that made them."""
    recipe: int = 0
    """What RECIPE was."""


class _Opened(Struct, frozen=True):
    """What an opened single file says of itself, as far as it is asked here."""

    path: str


def source_of(model: Path, precisions: tuple[str, ...], files: list[Path]) -> Source:
    """The note for graphs that are made now."""
    stamps = [(str(file), status.st_size, status.st_mtime_ns) for file in files for status in (file.stat(),)]
    return Source(
        model=str(model), precisions=precisions, files=tuple(stamps), openvino=version("openvino"), recipe=RECIPE
    )


def read(folder: Path) -> Source | None:
    """What a folder of graphs was made of; None where it does not say."""
    try:
        return msgspec.json.decode((folder / NOTE).read_bytes(), type=Source)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.info("%s is not readable (%s)", folder / NOTE, type(error).__name__)
        return None


def is_outdated(source: Source) -> bool:
    """Whether a file that it was made of is another one now, or what makes it is; one that is away may come again."""
    return (source.openvino, source.recipe) != (version("openvino"), RECIPE) or any(
        stamp is not None and stamp != (size, mtime_ns)
        for stamp, size, mtime_ns in ((_stamp(path), size, mtime_ns) for path, size, mtime_ns in source.files)
    )


def converted() -> dict[str, tuple[str, ...]]:
    """By a model's path: the precisions that it is converted to, from weights that have not changed since."""
    found: dict[str, tuple[str, ...]] = {}
    for folder in sorted(note.parent for note in cache("converted").glob(f"*/{NOTE}")):
        source = read(folder) if folder.suffix != ".part" else None
        if source and not is_outdated(source):
            model = _file_behind(source.model)
            found[model] = (*found.get(model, ()), *source.precisions)
    return found


def with_conversions(entries: Iterable[Entry]) -> list[Entry]:
    """The entries with what they are converted to."""
    known = converted()
    return [structs.replace(each, converted=known[each.path]) if each.path in known else each for each in entries]


def _file_behind(model: str) -> str:
    """The file that an opened folder stands for; else the folder itself."""
    folder = Path(model)
    if folder.parent != cache("opened"):
        return model
    try:
        return msgspec.json.decode((folder / NOTE).read_bytes(), type=_Opened).path
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return model


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
