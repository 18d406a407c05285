"""The directory of a zip file and where its entries lie, read with limits; for zips that pack nothing, as PyTorch's.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, with its 64-bit extension.
"""

import struct
from typing import BinaryIO, NamedTuple

from engine.formats.steady import Damaged

MAX_ENTRIES = 60_000
MAX_DIRECTORY = 16 * 2**20
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED = 0x2041
"""Flags of an entry that is encrypted, in any of three ways."""


class Entry(NamedTuple):
    """What the directory says of one entry."""

    name: str
    stored: bool
    """Neither packed nor encrypted."""
    size: int
    begin: int
    """Of its local header, from the file's beginning."""


class Directory(NamedTuple):
    """What a zip says that it holds."""

    entries: list[Entry]
    begin: int
    """Of the directory itself, which lies behind all entries."""


def directory(file: BinaryIO, size: int) -> Directory:
    """Every entry in a zip file of `size` bytes. Raises Damaged where it is cut off, damaged or beyond the limits.

    The file must end with the zip's end record, without a comment behind it.
    """
    count, length, begin, end = _end(file, size)
    if count > MAX_ENTRIES or length > MAX_DIRECTORY:
        raise Damaged("it has more entries than any model")
    if begin + length != end:
        raise Damaged("its directory is not where it should be")
    file.seek(begin)
    text = file.read(length)
    entries: list[Entry] = []
    place = 0
    for _ in range(count):
        entry, place = _entry(text, place)
        entries.append(entry)
        if entry.begin + entry.size > begin:
            raise Damaged("its directory is damaged")
    if place != length or len({entry.name for entry in entries}) != count:
        raise Damaged("its directory is damaged")
    return Directory(entries, begin)


def places(file: BinaryIO, listed: Directory) -> dict[str, tuple[int, int]]:
    """First byte and size of each entry's content, by name.

    Raises Damaged for entries that are packed, lie over one another, or whose two headers disagree.
    """
    found: dict[str, tuple[int, int]] = {}
    free = 0
    for entry in sorted(listed.entries, key=lambda entry: entry.begin):
        if not entry.stored:
            raise Damaged("it is packed, and PyTorch does not pack")
        if entry.begin < free or (not found and entry.begin):
            raise Damaged("its entries lie over one another, or something lies before them")
        begin = _content(file, entry)
        free = begin + entry.size
        found[entry.name] = (begin, entry.size)
    if free > listed.begin:
        raise Damaged("its entries lie over its directory")
    return found


def _end(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """How many entries there are; bytes in the directory, where they begin, and where its end record begins."""
    if size < _END.size:
        raise Damaged("it is cut off")
    file.seek(size - _END.size)
    magic, disk, disk_2, here, count, length, begin, comment = _END.unpack(_exactly(file, _END.size))
    if magic != b"PK\5\6" or comment:
        raise Damaged("it is cut off")
    end = size - _END.size
    far = _far_end(file, end)
    if far:
        (disk, disk_2, here, count, length, begin), end = far
    if disk or disk_2 or here != count or begin + length > size:
        raise Damaged("its directory is damaged")
    return count, length, begin, end


def _far_end(file: BinaryIO, end: int) -> tuple[tuple[int, ...], int] | None:
    """The same from the record of 64 bits, where there is one."""
    place = end - _LOCATOR.size
    if place < 0:
        return None
    file.seek(place)
    magic, _, begin, _ = _LOCATOR.unpack(_exactly(file, _LOCATOR.size))
    if magic != b"PK\6\7":
        return None
    if begin + _END_64.size != place:
        raise Damaged("its directory is damaged")
    file.seek(begin)
    magic, _, _, _, *numbers = _END_64.unpack(_exactly(file, _END_64.size))
    if magic != b"PK\6\6":
        raise Damaged("its directory is damaged")
    return tuple(numbers), begin


def _entry(text: bytes, place: int) -> tuple[Entry, int]:
    if len(text) < place + _CENTRAL.size:
        raise Damaged("its directory is damaged")
    fields = _CENTRAL.unpack_from(text, place)
    magic, _, _, flags, method = fields[:5]
    packed, size, name_length, extra_length, comment_length = fields[8:13]
    begin = fields[-1]
    name_end = place + _CENTRAL.size + name_length
    extra_end = name_end + extra_length
    if magic != b"PK\1\2" or extra_end + comment_length > len(text):
        raise Damaged("its directory is damaged")
    size, packed, begin = _widened(text[name_end:extra_end], size, packed, begin)
    name = text[place + _CENTRAL.size : name_end].decode("utf-8", "backslashreplace")
    stored = method == 0 and not flags & _ENCRYPTED and packed == size
    return Entry(name, stored, size, begin), extra_end + comment_length


def _widened(extra: bytes, *numbers: int) -> tuple[int, ...]:
    """The numbers, those that did not fit their 32 bits from the extra field."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(length, len(extra) - place - 4) // 8}Q", extra, place + 4))
            return tuple(next(wide, number) if number == _FULL_32 else number for number in numbers)
        place += 4 + length
    return numbers


def _content(file: BinaryIO, entry: Entry) -> int:
    """Where an entry's bytes begin, once its local header agrees with the directory."""
    file.seek(entry.begin)
    fields = _LOCAL.unpack(_exactly(file, _LOCAL.size))
    magic, _, flags, method = fields[:4]
    packed, size, name_length, extra_length = fields[7:]
    name = _exactly(file, name_length).decode("utf-8", "backslashreplace")
    told = {packed, size} <= {entry.size, _FULL_32} or (flags & 8 and packed == size == 0)
    if magic != b"PK\3\4" or method or flags & _ENCRYPTED or name != entry.name or not told:
        raise Damaged("its entries are not what its directory says")
    return entry.begin + _LOCAL.size + name_length + extra_length


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise Damaged("it is cut off")
    return content
