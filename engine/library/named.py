"""Things that are named by their path rather than by the name they are installed under."""

from collections.abc import Callable
from pathlib import Path

from engine.formats.suffixes import SUFFIXES


def folder_at(name: str) -> Path | None:
    """The folder of a component in diffusers' form at that path; None where there is none."""
    return _at(name, lambda path: (path / "config.json").is_file())


def file_at(name: str) -> Path | None:
    """The file at that path, if it may be a model; None where there is none."""
    return _at(name, lambda path: path.suffix.lower() in SUFFIXES and path.is_file())


def _at(name: str, is_one: Callable[[Path], bool]) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path.resolve() if is_one(path) else None
    except (OSError, ValueError, RuntimeError):  # a name that no path can have; the home of nobody
        return None
