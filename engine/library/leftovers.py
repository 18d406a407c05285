"""What Easel made of model files, swept away once the files are gone: opened folders, safe copies, graphs."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from engine.library import conversions
from engine.library.catalogue import Catalogue
from engine.library.converted_pickles import copies
from engine.library.opened_weights import SOURCE, Source, home
from engine.library.recognise import PICKLED
from engine.paths import PART, cache

_log = logging.getLogger(__name__)


def sweep(catalogue: Catalogue) -> None:
    """Remove what was made of files that are gone, and opened folders that were left half made.

    What the library remembers is not gone, its drive may be away; nor is anything whose own folder is not there.
    """
    made_of: dict[str, list[Path]] = {}
    for folder in _folders(home()):
        if folder.name.endswith(PART):
            _remove_half(folder)
    for folder, source in (*_opened(), *_copied(), *_converted()):  # all, before what tells of copies goes itself
        if not os.path.lexists(source) and source.parent.is_dir():
            made_of.setdefault(str(source), []).append(folder)
    for entry in catalogue.entries_at(made_of):
        del made_of[entry.path]
    for file, folders in made_of.items():
        _log.info("%s is gone, and what was made of it", Path(file).name)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _opened() -> Iterator[tuple[Path, Path]]:
    """Folders that stand for files, and those files."""
    for folder in _folders(home()):
        if file := _file_of(folder):
            yield folder, _original(Path(file))


def _copied() -> Iterator[tuple[Path, Path]]:
    """Folders with copies, and the files that these are of."""
    for folder in _folders(copies()):
        if file := _file_of(folder):
            yield folder, _owner(Path(file))


def _converted() -> Iterator[tuple[Path, Path]]:
    """Folders of graphs, each with every file or folder that it cannot be made without."""
    for folder in _folders(cache("converted")):
        source = conversions.read(folder) if folder.suffix != PART else None
        for thing in _things(source) if source else ():
            yield folder, thing


def _things(source: conversions.Source) -> list[Path]:
    """Of an opened model its files; of one in diffusers' form its folder; of a net its folder or its file."""
    files = [Path(path) for path, _, _ in source.files]
    model = Path(source.model)
    if model.parent == home():
        return list(map(_original, files))
    if len({file.parent for file in files}) > 1:
        return [model]
    return [_original(file) if file.parent == model else file.parent for file in files]


def _owner(file: Path) -> Path:
    """The file; of one in a folder of diffusers' what of that is gone: the part's folder, or the model's."""
    if file.name not in PICKLED or file.parent.is_dir():
        return file
    return file.parent if file.parent.parent.is_dir() else file.parent.parent


def _original(file: Path) -> Path:
    """The file itself; of a safe copy the one that it was made of, or where the copy was, if that is gone already."""
    place = file.parent.parent
    if place.parent.resolve() != copies().resolve():
        return file
    return Path(_file_of(place) or place)


def _folders(inside: Path) -> list[Path]:
    return [each for each in inside.iterdir() if each.is_dir()] if inside.is_dir() else []


def _file_of(folder: Path) -> str:
    try:
        return msgspec.json.decode((folder / SOURCE).read_bytes(), type=Source).path
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _remove_half(folder: Path) -> None:
    """Of a process that still runs, it is being made."""
    owner = folder.name.removesuffix(PART).rpartition(".")[2]
    if not (owner.isdigit() and psutil.pid_exists(int(owner))):
        shutil.rmtree(folder, ignore_errors=True)
