"""The words of a pickle, one by one; they are read, never done."""

import pickletools
from collections.abc import Iterator
from typing import Any, BinaryIO

from engine.formats.steady import Damaged

_WORDS = {ord(word.code): (word.name, word.arg.reader if word.arg else None) for word in pickletools.opcodes}
_UNREAD = ("STRING", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
"""Words that PyTorch never writes: texts of Python 2's first protocol, numbers that stand for code, outer buffers."""


def words(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Each word's name, as in the standard library's pickletools, and what is written behind it; up to STOP.

    Raises Damaged for what is no pickle. Whoever calls sees to it that the stream is of a size that memory takes.
    """
    while True:
        code = stream.read(1)
        name, reader = _WORDS.get(code[0] if code else -1, ("", None))
        if not name or name in _UNREAD:
            raise Damaged("what it holds is no list of weights")
        try:
            argument = reader(stream) if reader else None
        except (ValueError, OverflowError, IndexError) as error:
            raise Damaged("it is cut off or damaged") from error
        yield name, argument
        if name == "STOP":
            return
