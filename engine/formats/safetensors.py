"""The header of a .safetensors file, read with limits; nothing is loaded and nothing is trusted."""

import json
import math
import re
import struct
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.formats.magic import Form, form_in, refusal
from engine.formats.steady import Damaged, steady

MAX_HEADER = 32 * 2**20
MAX_TENSORS = 50_000
MAX_NAME = 512
MAX_VALUE = 2**20
"""Characters of a line of metadata that are kept."""
MAX_DIMENSIONS = 16
SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes an element, by the format's own names."""
FOREIGN = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64", "C128", "I4", "U4")
"""Types that the format has, or other writers use, and Easel does not read."""
_OTHER_FORM = "Look for the same model in float16, bfloat16 or fp8."
_SMALL = 2**20
"""A header of so many bytes cannot hold more than memory takes, whatever stands in it."""
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[,\[{]', re.DOTALL)
_MAX_TOKENS = 24 * MAX_TENSORS
"""Strings, commas and brackets of as many tensors of four dimensions, with room for metadata."""


class Tensor(NamedTuple):
    """Where one tensor lies: bytes `begin` to `end` after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says of itself."""

    tensors: dict[str, Tensor]
    """By name. Names are any printable text, markup and “../” too: to be shown as text, never part of a path."""
    metadata: dict[str, str]
    """Values longer than MAX_VALUE are cut, with “…” at the end."""


def read_header(path: Path) -> Header:
    """The header, once it is sound and the file holds the bytes it says, no fewer, no more and no others.

    Format: https://github.com/huggingface/safetensors#format (8 bytes of length, JSON, data).
    Raises BadInput naming the file for anything else: what else it is, or what is wrong with it.
    """
    with steady(path) as (file, size):
        form = form_in(file, size)
        if form not in (Form.SAFETENSORS, Form.UNKNOWN):
            raise refusal(path, form)
        file.seek(0)
        head = file.read(8)
        if len(head) < 8:
            raise Damaged("it is cut off")
        (length,) = struct.unpack("<Q", head)
        if length > MAX_HEADER:
            raise Damaged("its header is not one of safetensors")
        text = file.read(length)
        if len(text) < length:
            raise Damaged("it is cut off")
        header = parsed(text)
        _fits(header.tensors, 8 + length, size)
    return header


def parsed(text: bytes) -> Header:
    """The header in `text`, its JSON. Raises Damaged where it is not sound in itself."""
    try:
        if not text.startswith(b"{"):
            raise ValueError("another beginning than the format asks for")
        if len(text) > _SMALL and _tokens(text) > _MAX_TOKENS:
            raise ValueError("too many of everything")
        entries = json.loads(text.decode(), object_pairs_hook=_no_twins)
        metadata = entries.pop("__metadata__", {})
        if len(entries) > MAX_TENSORS:
            raise ValueError("too many tensors")
        tensors = {_name(name): _tensor(entry) for name, entry in entries.items()}
        return Header(tensors, _metadata(metadata))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Damaged("its header is damaged") from error


def header_text(tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """The bytes before the data of a file with such types and shapes, one behind the other in this order."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * SIZES[dtype]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = msgspec.json.encode(entries)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _fits(tensors: dict[str, Tensor], begin: int, size: int) -> None:
    """Tensors lie one behind the other from `begin` to the end of the file, `size`, as the format demands."""
    place = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != place:
            raise Damaged("its tensors lie over one another, or leave gaps")
        place = tensor.end
    needed = begin + place
    if needed > size:
        raise Damaged(f"{needed - size:,} of its {needed:,} bytes are missing")
    if needed < size:
        raise Damaged(f"{size - needed:,} bytes follow its end that do not belong to it")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a name stands twice")
    return entries


def _tokens(text: bytes) -> int:
    """How many strings, commas and brackets there are, as far as it matters."""
    return sum(1 for _ in islice(_TOKEN.finditer(text), _MAX_TOKENS + 1))


def _name(name: str) -> str:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError("a name that is none")
    return name


def _tensor(entry: dict[str, Any]) -> Tensor:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = (begin, end, *shape)
    if {*map(type, numbers)} != {int} or min(numbers) < 0 or len(shape) > MAX_DIMENSIONS:
        raise ValueError("a size that is none")
    if dtype in FOREIGN:
        raise Damaged(f"its numbers are stored as {dtype}, a form that Easel does not read", _OTHER_FORM)
    if math.prod(side or 1 for side in shape) >= 2**60 or math.prod(shape) * SIZES[dtype] != end - begin:
        raise ValueError("a shape that does not fit its bytes")
    return Tensor(dtype, tuple(shape), begin, end)


def _metadata(said: object) -> dict[str, str]:
    if not isinstance(said, dict):
        raise ValueError("metadata that are none")
    for key, value in said.items():
        if not isinstance(value, str):
            raise ValueError("metadata that is not text")
        f"{key}{value}".encode()  # refuses halves of letters, which no file or window takes
    return {key: value if len(value) <= MAX_VALUE else value[:MAX_VALUE] + "…" for key, value in said.items()}
