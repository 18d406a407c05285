"""A SentencePiece model, as T5's `spiece.model` is one: its pieces of words and its table of letters.

Source: https://github.com/google/sentencepiece, `src/sentencepiece_model.proto`, and the wire format of
https://protobuf.dev/programming-guides/encoding: fields as a number and a kind, then a value.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import BadInput

MAX_BYTES = 64 * 2**20

_PIECES, _TRAINING, _NORMALISING = 1, 2, 3
_TEXT, _SCORE = 1, 2
_KIND_OF_MODEL, _UNIGRAM = 3, 1
_CHARSMAP = 2
_VARINT, _EIGHT, _MANY, _FOUR = 0, 1, 2, 5
_SIZES = {_EIGHT: 8, _FOUR: 4}

Field = tuple[int, int | bytes]
"""A field's number and value: a whole number, or the bytes of anything else."""


class Pieces(NamedTuple):
    """What a tokenizer is made of."""

    scores: list[tuple[str, float]]
    """Every piece with the logarithm of how likely it is, in the order of their ids."""
    charsmap: bytes | None
    """The table of letters that stand for others, if there is one."""


def read_pieces(path: Path) -> Pieces:
    """The pieces in the file. Raises BadInput naming it where it is damaged, or of another kind than unigram."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        return _pieces(path.read_bytes())
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise BadInput(
            f"“{path.parent.name}/{path.name}” of the model holds no pieces of words.",
            "Copy the model folder again.",
            where=str(path),
        ) from error


def _pieces(model: bytes) -> Pieces:
    scores: list[tuple[str, float]] = []
    charsmap = b""
    for number, value in _fields(model):
        if number == _PIECES:
            scores.append(_piece(value))
        elif number == _NORMALISING:
            charsmap = _bytes(dict(_fields(_bytes(value))).get(_CHARSMAP, b""))
        elif number == _TRAINING and dict(_fields(_bytes(value))).get(_KIND_OF_MODEL, _UNIGRAM) != _UNIGRAM:
            raise ValueError("a model of another kind")
    if not scores:
        raise ValueError("no pieces")
    return Pieces(scores, charsmap or None)


def _piece(value: int | bytes) -> tuple[str, float]:
    fields = dict(_fields(_bytes(value)))
    (score,) = struct.unpack("<f", _bytes(fields.get(_SCORE, bytes(4))))
    if not math.isfinite(score):
        raise ValueError("a score that is none")
    return _bytes(fields[_TEXT]).decode() if _TEXT in fields else "", score


def _fields(message: bytes) -> Iterator[Field]:
    """Every field of a message, in order. Raises IndexError and ValueError for bytes that are none."""
    at = 0
    while at < len(message):
        key, at = _whole_number(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _whole_number(message, at)
            yield key >> 3, value
            continue
        if kind == _MANY:
            size, at = _whole_number(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError("a field of another kind")
        if size > len(message) - at:
            raise ValueError("cut off")
        yield key >> 3, message[at : at + size]
        at += size


def _whole_number(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number that does not end")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value
