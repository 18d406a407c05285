"""Where things are kept, and how a file gets there whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import EaselError

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
STARTER = RESOURCES / "starter" / "model"
CLIP = RESOURCES / "tokenizers" / "clip"
"""CLIP's vocabulary, which ships with Easel."""
PART = ".part"
"""The suffix of a file that is still being written."""


def program() -> list[str]:
    """The command that starts Easel again, from source or frozen."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, str(RESOURCES.parent / "main.py")]


def home() -> Path:
    """The folder of everything Easel writes but the pictures; `EASEL_HOME` moves it."""
    chosen = os.environ.get("EASEL_HOME")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("Easel", appauthor=False)


def pictures() -> Path:
    """Where pictures go unless the person says otherwise."""
    if os.environ.get("EASEL_HOME"):
        return home() / "pictures"
    from platformdirs import user_pictures_path

    return user_pictures_path() / "Easel"


def models() -> Path:
    """Easel's own folder of models."""
    return home() / "models"


def adapters(kind: str) -> tuple[Path, Path]:
    """Where the adapters of a kind lie: the person's own, and the starter's.

    Kinds are "lora", "controlnet", "t2i_adapter", "ip_adapter", "embeddings", and so on.
    """
    return home() / kind, STARTER.parent / kind


def cache(kind: str) -> Path:
    """A folder whose loss costs time only."""
    return home() / "cache" / kind


def ready(folder: Path) -> Path:
    """The folder, made if need be and open to writing. Raises EaselError with what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EaselError(
            f"Easel cannot write in the folder “{folder}” ({_reason(error)}).",
            "Choose another folder, or allow writing there.",
            where=str(folder),
        ) from error
    return folder


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that takes its place, synced, when the block ends well."""
    part = target.with_name(f".{target.name}.{os.getpid()}{PART}")
    try:
        yield part
        sync(part)
        part.replace(target)
        sync(target.parent)
    except OSError as error:
        raise unwritten(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def publish(part: Path, folder: Path, stem: str) -> Path:
    """Give a finished, synced `part` the first free name in `folder`: stem, stem-2, stem-3; never replaces a file.

    The suffix is the one before `.part`. Linking fails where the name is taken, so two programs that
    publish at once get two names.
    """
    suffix = Path(part.name.removesuffix(PART)).suffix
    number = 1
    while True:
        target = folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
        try:
            _take(part, target)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise unwritten(target, error) from error
        else:
            sync(folder)
            return target


def _take(part: Path, target: Path) -> None:
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links (exFAT, some network drives)
        if target.exists():
            raise FileExistsError(target) from None
        part.rename(target)
        return
    part.unlink()


def clear_leftovers(folder: Path, suffix: str) -> None:
    """Remove the half-written files `.easel-PID-….part` of that kind whose programs are gone."""
    import psutil

    for part in folder.glob(f".easel-*-*{suffix}{PART}"):
        owner = part.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no handle to a folder that can be flushed
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritten(target: Path, error: OSError) -> EaselError:
    """The sentence for a file that could not be written."""
    import errno

    if error.errno == errno.ENOSPC:
        advice = "Free some space, or choose a folder on another disk."
    else:
        advice = "Choose another folder, or allow writing there."
    return EaselError(f"“{target.name}” could not be written ({_reason(error)}).", advice, where=str(target))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
