"""What is installed of a kind: in Easel's own folders, in those of other programs, and in the starter pack."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from engine import paths
from engine.errors import EaselError
from engine.library.catalogue import Catalogue, file_of_catalogue
from engine.library.guess import Kind
from engine.library.roots import FOLDERS

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
"""How files that may hold weights end; what they are their first bytes tell."""
_log = logging.getLogger(__name__)


def shelved(kind: Kind) -> Iterator[Path]:
    """Every file and folder of a kind: the person's own first, then what other programs' folders have, then the
    starter's. Easel's own folders are looked into; of the others counts what the library knows of them.
    """
    own, starters = paths.adapters(FOLDERS[kind])
    yield from _inside(own)
    yield from _elsewhere(_stamp()).get(kind, ())
    yield from _inside(starters)


def named(kind: Kind, suffixes: tuple[str, ...] = WEIGHTS) -> dict[str, Path]:
    """The files of a kind, by name without its ending, in small letters; of two with one name the first counts."""
    found: dict[str, Path] = {}
    for path in shelved(kind):
        if path.suffix.lower() in suffixes and path.is_file():
            found.setdefault(path.stem.casefold(), path)
    return found


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _stamp() -> tuple[tuple[int, int], ...]:
    """Changes whenever the catalogue is written."""
    file = file_of_catalogue()
    found = [each.stat() for each in (file, file.with_name(f"{file.name}-wal")) if each.is_file()]
    return tuple((status.st_mtime_ns, status.st_size) for status in found)


@lru_cache(maxsize=1)
def _elsewhere(stamp: tuple[tuple[int, int], ...]) -> dict[str, list[Path]]:
    """What the library knows to lie outside Easel's own folders, by kind."""
    if not stamp:
        return {}
    try:
        catalogue = Catalogue()
    except EaselError as error:  # said on the Models screen; what lies in Easel's own folders is there all the same
        _log.info("%s", error)
        return {}
    try:
        found: dict[str, list[Path]] = {}
        ours = str(paths.home()), str(paths.STARTER.parent)
        for entry in catalogue.entries():
            if entry.state == "here" and not entry.path.startswith(ours):
                found.setdefault(entry.sort, []).append(Path(entry.path))
        return found
    finally:
        catalogue.close()
