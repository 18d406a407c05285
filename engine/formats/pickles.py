"""The weights in PyTorch's files (.ckpt, .pt, .pth, .bin), found without running what is pickled in them.

PyTorch's form since 2020 is a zip of stored entries: `<root>/data.pkl`, and the numbers under `<root>/data/<key>`; the
one before is five pickles and the numbers, one behind the other (torch.serialization, `_save` and `_legacy_save`).
"""

import math
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engine.formats.magic import Form, form_in, refusal
from engine.formats.pickle_stack import View, unpickled
from engine.formats.safetensors import MAX_NAME, MAX_TENSORS, MAX_VALUE, SIZES, Header, Tensor
from engine.formats.steady import Damaged, steady
from engine.formats.stored_zip import directory, places

MAX_PICKLE = 16 * 2**20
"""Bytes of the pickle that names the tensors; a checkpoint of Stable Diffusion XL has about 700,000."""
_MAX_DEPTH = 16
_MAX_PARTS = 500_000
_SPARE = 2**20
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TRAINING = (
    "optimizer",
    "optimizers",
    "optimizer_states",
    "optimizer_state_dict",
    "lr_schedulers",
    "callbacks",
    "loops",
)
"""What training goes on from; it is no part of the weights."""
_EMBEDDING = "string_to_param"
"""The one part of A1111's embeddings that holds weights."""


class Stored(NamedTuple):
    """A tensor in a file: type, shape, strides in elements, and where its first element lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    begin: int

    @property
    def numbers(self) -> int:
        """How many it has."""
        return math.prod(self.shape)

    @property
    def span(self) -> int:
        """Bytes from the beginning of its first element to the end of its last."""
        last = sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * SIZES[self.dtype] if self.numbers else 0

    @property
    def in_order(self) -> bool:
        """Whether its numbers lie one behind the other, as they are written elsewhere."""
        expected = 1
        for side, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if side != 1 and stride != expected:
                return not self.numbers
            expected *= side
        return True


class Pickled(NamedTuple):
    """What one of PyTorch's files holds."""

    tensors: dict[str, Stored]
    """By name; names of dicts within one another are joined by dots. {"state_dict": …} is taken for what is in it."""
    metadata: dict[str, str]
    """Plain values beside the weights, "step" and "name" of an embedding for instance."""

    @property
    def header(self) -> Header:
        """The header of a .safetensors file with the same tensors, in the same order."""
        tensors: dict[str, Tensor] = {}
        end = 0
        for name, stored in self.tensors.items():
            begin, end = end, end + stored.numbers * SIZES[stored.dtype]
            tensors[name] = Tensor(stored.dtype, stored.shape, begin, end)
        return Header(tensors, self.metadata)


def read_pickle(path: Path) -> Pickled:
    """Where the tensors in a file of PyTorch's lie. Nothing is imported, called or loaded.

    Raises BadInput naming the file where it is something else, damaged, beyond the limits, or asks for anything that
    no weights need.
    """
    with steady(path) as (file, size):
        form = form_in(file, size)
        if form not in (Form.TORCH_ZIP, Form.TORCH_OLD):
            raise refusal(path, form)
        root, begins = _in_zip(file, size) if form is Form.TORCH_ZIP else _in_old(file, size)
        return _found(root, begins, size)


Begins = dict[str, tuple[int, int]]
"""Where the numbers of every storage begin, by key, and how many bytes they are."""


def _in_zip(file: BinaryIO, size: int) -> tuple[Any, Begins]:
    found = places(file, directory(file, size))
    root = next(iter(found), "").partition("/")[0]
    if any(not name.startswith(f"{root}/") for name in found) or f"{root}/data.pkl" not in found:
        raise Damaged("it is no zip of PyTorch's")
    if any(name.lower().endswith((".pkl", ".pickle", ".py")) for name in found if name != f"{root}/data.pkl"):
        raise Damaged("it holds more pickles than the one of its weights", "Look for a .safetensors file of it.")
    if f"{root}/byteorder" in found and _content(file, found[f"{root}/byteorder"]) != b"little":
        raise Damaged("its numbers lie in an order that no machine of today reads", "Look for another file of it.")
    numbers = f"{root}/data/"
    begins = {name.removeprefix(numbers): place for name, place in found.items() if name.startswith(numbers)}
    return unpickled(BytesIO(_content(file, found[f"{root}/data.pkl"]))).root, begins


def _content(file: BinaryIO, place: tuple[int, int]) -> bytes:
    begin, size = place
    if size > MAX_PICKLE:
        raise Damaged("it has more parts than any model")
    file.seek(begin)
    return file.read(size)


def _in_old(file: BinaryIO, size: int) -> tuple[Any, Begins]:
    file.seek(0)
    stream = BytesIO(file.read(MAX_PICKLE))
    magic, protocol, system = (unpickled(stream).root for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(system, dict) or not system.get("little_endian"):
        raise Damaged("it is of a form that Easel does not read", "Look for a .safetensors file of it.")
    root, storages = unpickled(stream)
    keys = unpickled(stream).root
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or {*keys} != {*storages}:
        raise Damaged("what it holds is no list of weights")
    return root, _lined_up(file, stream.tell(), size, [(key, SIZES[storages[key].dtype]) for key in keys])


def _lined_up(file: BinaryIO, place: int, size: int, keys: list[tuple[str, int]]) -> Begins:
    """Storages one behind the other, each after its count of numbers in 8 bytes; `keys` come with bytes a number."""
    begins: Begins = {}
    for key, width in keys:
        file.seek(place)
        said = file.read(8)
        if len(said) < 8 or key in begins:
            raise Damaged("it is cut off or damaged")
        (count,) = struct.unpack("<q", said)
        begins[key] = (place + 8, max(0, count) * width)
        place += 8 + begins[key][1]
        if place > size:
            raise Damaged("it is cut off")
    if place != size:
        raise Damaged("it is cut off or damaged")
    return begins


def _views(root: Any) -> Iterator[tuple[tuple[str, ...], View]]:
    """Every tensor, and the keys that lead to it."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    parts = 0
    while waiting:
        keys, value = waiting.pop()
        if isinstance(value, View):
            yield keys, value
            continue
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        held = [((*keys, str(key)), each) for key, each in inner if isinstance(each, (dict, list, tuple))]
        parts += len(value)
        if parts > _MAX_PARTS or len(keys) > _MAX_DEPTH:
            raise Damaged("it has more parts than any model")
        waiting += reversed(held)


def _weights(root: Any) -> Any:
    """The part of what was pickled that holds the weights."""
    if isinstance(root, View):
        return {"tensor": root}
    if not isinstance(root, dict):
        return root if isinstance(root, (list, tuple)) else ()
    if isinstance(root.get("state_dict"), dict):
        return root["state_dict"]
    if _EMBEDDING in root:
        return {_EMBEDDING: root[_EMBEDDING]}
    return {key: value for key, value in root.items() if key not in _TRAINING}


def _found(root: Any, begins: Begins, size: int) -> Pickled:
    tensors: dict[str, Stored] = {}
    total = 0
    for keys, view in _views(_weights(root)):
        name = ".".join(keys)
        if name in tensors or not name or len(name) > MAX_NAME or not name.isprintable():
            raise Damaged("a name in it is none, or stands twice")
        tensors[name] = stored = _stored(view, begins)
        total += stored.numbers * SIZES[stored.dtype]
        if len(tensors) > MAX_TENSORS or total > 2 * size + _SPARE:  # tensors may share numbers, to a degree
            raise Damaged("it has more tensors than any model")
    if not tensors:
        raise Damaged("there are no weights in it", "Choose another file.")
    return Pickled(tensors, _metadata(root))


def _stored(view: View, begins: Begins) -> Stored:
    begin, size = begins.get(view.storage.key, (0, -1))
    width = SIZES[view.dtype]
    stored = Stored(view.dtype, view.shape, view.strides, begin + view.offset * width)
    if size != view.storage.numbers * SIZES[view.storage.dtype]:
        raise Damaged("it is cut off or damaged")
    if stored.span and view.offset * width + stored.span > size:
        raise Damaged("a tensor in it lies outside its numbers")
    return stored


def _metadata(root: Any) -> dict[str, str]:
    """The plain values at the top, but those that no sentence would hold."""
    if not isinstance(root, dict):
        return {}
    plain = {
        key: value for key, value in root.items() if isinstance(key, str) and type(value) in (str, int, float, bool)
    }
    said = {key: str(value) for key, value in plain.items() if not isinstance(value, int) or value.bit_length() < 64}
    return {
        key: value
        for key, value in said.items()
        if key.isprintable() and len(key) <= MAX_NAME and len(value) <= MAX_VALUE and _is_text(value)
    }


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
