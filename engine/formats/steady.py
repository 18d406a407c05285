"""A file opened for reading that may be anything: refused in a sentence where it is damaged, or changes meanwhile."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.errors import BadInput

AGAIN = "Download or copy it again."
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait, else


class Damaged(Exception):
    """The content is not what its form asks for, or no weights: why, as the end of a sentence, and what to do."""

    def __init__(self, why: str, advice: str = AGAIN) -> None:
        super().__init__(why)
        self.why = why
        self.advice = advice


@contextmanager
def steady(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file, open for reading, and its size in bytes.

    Raises BadInput naming it where it is missing, no plain file or not readable, where the block raises Damaged, and
    where the file changed before the block ended.
    """
    try:
        with os.fdopen(_opened(path), "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise BadInput(f"“{path.name}” is no file.", "Choose a model file.", where=str(path))
            try:
                yield file, before.st_size
            except Damaged as error:
                _same(path, before, os.fstat(file.fileno()))
                raise BadInput(
                    f"The model file “{path.name}” cannot be used: {error.why}.", error.advice, where=str(path)
                ) from error
            _same(path, before, os.fstat(file.fileno()))
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise BadInput(
            f"The model file “{path.name}” cannot be used: {why}.",
            "Allow reading it, or copy it to another place.",
            where=str(path),
        ) from error


def _opened(path: Path) -> int:
    try:
        return os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # the last: a name that no file can have
        raise BadInput(f"There is no file “{path.name}”.", "Check the name.", where=str(path)) from error


def _same(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise BadInput(
            f"“{path.name}” changed while it was read.", "Wait until it is whole, then try again.", where=str(path)
        )
