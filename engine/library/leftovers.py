"""What Easel made of model files, swept away once the files are gone."""

import logging
import os
import shutil
from pathlib import Path

import msgspec
import psutil

from engine.library.catalogue import Catalogue
from engine.library.opened_weights import SOURCE, Source, home
from engine.paths import PART

_log = logging.getLogger(__name__)


def sweep(catalogue: Catalogue) -> None:
    """Remove opened folders whose files are gone, and those that were left half made.

    What the library remembers is not gone, its drive may be away; nor is anything whose own folder is not there.
    """
    if not home().is_dir():
        return
    made_of: dict[str, list[Path]] = {}
    for folder in home().iterdir():
        if folder.name.endswith(PART):
            _remove_half(folder)
        elif (file := _file_of(folder)) and not os.path.lexists(file) and Path(file).parent.is_dir():
            made_of.setdefault(file, []).append(folder)
    for entry in catalogue.entries_at(made_of):
        del made_of[entry.path]
    for file, folders in made_of.items():
        _log.info("%s is gone, and what was made of it", Path(file).name)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


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
