"""What is installed of a kind: in Easel's own folders, in those of other programs, and in the starter pack."""

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from engine import paths
from engine.errors import BadInput, EaselError
from engine.formats.suffixes import SUFFIXES, name_of
from engine.library.catalogue import Catalogue, file_of_catalogue
from engine.library.guess import Kind
from engine.library.roots import FOLDERS, roots
from engine.messages import Entry
from engine.offers import is_called

_log = logging.getLogger(__name__)
_DEEPEST = 4
"""Folders in folders; a link may lead back."""


class Known(NamedTuple):
    """A file or folder that the library has seen."""

    sort: str
    """Its kind."""
    family: str
    """Empty for what nobody knows."""
    state: str
    """As an Entry has it."""
    trouble: str
    """The same."""


def shelved(kind: Kind) -> Iterator[Path]:
    """Every file and folder of a kind: the person's own first, then what other programs' folders have, then the
    starter's. Easel's own folders are looked into; of the others counts what the library knows of them.

    What bears bytes for a name that are no text is left out: nothing could call it.
    """
    own, starters = paths.adapters(FOLDERS[kind])
    elsewhere = (
        path
        for path, each in known().items()
        if each.sort == kind
        and each.state == "here"
        and not path.is_relative_to(own)
        and not path.is_relative_to(starters)
    )
    yield from filter(_is_text, chain(_inside(own), elsewhere, _inside(starters)))


def known() -> dict[Path, Known]:
    """Everything that the library remembers, in Easel's own folders and in others, as the person has it known."""
    return _remembered(_stamp())[0]


def added() -> list[Path]:
    """The folders of models behind those that the person added, and Easel's own."""
    return [root.folder for root in roots(_remembered(_stamp())[1])]


def named(kind: Kind) -> dict[str, Path]:
    """The files of a kind, by name without its ending, in small letters; of two with one name the first counts."""
    found: dict[str, Path] = {}
    for path in shelved(kind):
        if is_file(path):
            found.setdefault(name_of(path).casefold(), path)
    return found


def is_file(path: Path) -> bool:
    """Whether a path is that of a file that may be a model."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def called(
    kind: Kind, name: str, where: str, is_one: Callable[[Path], bool] = is_file, family: str = ""
) -> Path | None:
    """What a name means, of a kind: of two with one name one for that family, the first, or the one in the folders
    before the name.

    None where there is none. Raises BadInput for one that the library knows, and that cannot be used now.
    """
    wanted = name.strip().casefold()
    found = [path for path in shelved(kind) if _is_called(path, name) and is_one(path)]
    if found:
        return min(found, key=lambda path: (name_of(path).casefold() != wanted, _is_for_another(path, family)))
    for path, each in known().items():
        if each.sort == kind and each.state != "here" and _is_called(path, name):
            raise BadInput(f"“{name[:80]}” cannot be used now.", each.trouble, where)
    return None


def _is_called(path: Path, name: str) -> bool:
    return is_called(Entry(path=str(path), name=path.name), name)


def _is_for_another(path: Path, family: str) -> bool:
    """Whether the library knows it to be made for another family than this one."""
    entry = known().get(path)
    return family != "" and entry is not None and entry.family not in ("", family)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _inside(folder: Path, depth: int = 0) -> Iterator[Path]:
    """By name, and of one name the likeliest first; what lies in folders comes behind them."""
    for path in sorted(folder.iterdir(), key=_likeliest) if folder.is_dir() else ():
        yield path
        if depth < _DEEPEST and path.is_dir() and not (path / "config.json").is_file():
            yield from _inside(path, depth + 1)


def _likeliest(path: Path) -> tuple[str, int]:
    suffix = path.suffix.lower()
    return name_of(path), SUFFIXES.index(suffix) if suffix in SUFFIXES else -1


def _stamp() -> tuple[tuple[int, int], ...]:
    """Changes whenever the catalogue is written."""
    file = file_of_catalogue()
    found = [each.stat() for each in (file, file.with_name(f"{file.name}-wal")) if each.is_file()]
    return tuple((status.st_mtime_ns, status.st_size) for status in found)


@lru_cache(maxsize=1)
def _remembered(stamp: tuple[tuple[int, int], ...]) -> tuple[dict[Path, Known], list[str]]:
    """What the catalogue has, and the folders that were added."""
    if not stamp:
        return {}, []
    try:
        catalogue = Catalogue()
    except EaselError as error:  # said on the Models screen; what lies in Easel's own folders is there all the same
        _log.info("%s", error)
        return {}, []
    try:
        entries = catalogue.entries()
        found = {Path(each.path): Known(each.sort, each.family, each.state, each.trouble) for each in entries}
        return found, catalogue.roots()
    finally:
        catalogue.close()
