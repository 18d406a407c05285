"""The header of a .safetensors file, read with limits; nothing is loaded and nothing is trusted."""

import json
import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import BadInput

MAX_HEADER = 32 * 2**20
MAX_TENSORS = 50_000
MAX_NAME = 512
SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes an element, by the format's own names."""


class Tensor(NamedTuple):
    """Where one tensor lies: bytes `begin` to `end` after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says of itself."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header, once it is sound and the file is as long as it says.

    Format: https://github.com/huggingface/safetensors#format (8 bytes of length, JSON, data).
    Raises BadInput naming the file for anything else, a truncated download above all.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(8)
            if len(head) < 8:
                raise _broken(path, "it is cut off")
            (length,) = struct.unpack("<Q", head)
            if length > MAX_HEADER:
                raise _broken(path, "its header is not one of safetensors")
            text = file.read(length)
    except OSError as error:
        raise _broken(path, (error.strerror or "unreadable").lower()) from error
    if len(text) < length:
        raise _broken(path, "it is cut off")
    tensors, metadata = _parsed(path, text)
    needed = 8 + length + max((tensor.end for tensor in tensors.values()), default=0)
    if size < needed:
        raise _broken(path, f"{needed - size:,} of its {needed:,} bytes are missing")
    return Header(tensors, metadata)


def _parsed(path: Path, text: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        entries = json.loads(text, object_pairs_hook=_no_twins)
        metadata = entries.pop("__metadata__", {})
        if len(entries) > MAX_TENSORS:
            raise ValueError("too many tensors")
        tensors = {_name(name): _tensor(entry) for name, entry in entries.items()}
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata that is not text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _broken(path, "its header is damaged") from error
    return tensors, metadata


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a name stands twice")
    return entries


def _name(name: str) -> str:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError("a name that is none")
    return name


def _tensor(entry: dict[str, Any]) -> Tensor:
    dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("a size that is none")
    if math.prod(shape) * SIZES[dtype] != end - begin:
        raise ValueError("a shape that does not fit its bytes")
    return Tensor(dtype, shape, begin, end)


def _broken(path: Path, why: str) -> BadInput:
    return BadInput(
        f"The model file “{path.name}” cannot be used: {why}.",
        "Download or copy it again.",
        where=str(path),
    )
