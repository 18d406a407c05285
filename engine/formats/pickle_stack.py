"""A pickle's words on a stack of plain values: nothing is imported, called or made but what stands on a list here."""

from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from engine.formats.pickle_words import words
from engine.formats.steady import Damaged

MAX_WORDS = 500_000
"""Of one pickle; a checkpoint of Stable Diffusion XL has about 100,000."""
_SMALL = 2**31
"""Whole numbers below it have hashes of their own: a million larger ones of one hash would fill hours."""
_FULL = "it has more parts than any model"
_ELSE = "what it holds is no list of weights"
_HARMFUL = "It may do harm in programs that run it: delete it, and look for a .safetensors file of it."

DTYPES = {
    "torch.FloatStorage": "F32", "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16",
    "torch.DoubleStorage": "F64", "torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8", "torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL",
    "torch.storage.UntypedStorage": "U8",
    "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64",
    "torch.int64": "I64", "torch.int32": "I32", "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8",
    "torch.bool": "BOOL", "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2",
    "torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64",
}  # fmt: skip
"""PyTorch's names of storages and of types, and those of safetensors."""

_FOREIGN = (
    "torch.QInt8Storage", "torch.QUInt8Storage", "torch.QInt32Storage", "torch.ComplexFloatStorage",
    "torch.ComplexDoubleStorage", "torch._utils._rebuild_qtensor", "torch._utils._rebuild_sparse_tensor",
    "torch.complex64", "torch.complex128", "torch._utils._rebuild_sparse_csr_tensor",
)  # fmt: skip

_SET_ASIDE = frozenset((
    "_codecs.encode", "argparse.Namespace", "copyreg._reconstructor", "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(f"omegaconf.{name}" for name in ("dictconfig.DictConfig", "listconfig.ListConfig", "base.ContainerMetadata",
                                       "base.Metadata", "nodes.AnyNode")),
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "torch.Tensor", "torch.device",
    "torch._utils._rebuild_device_tensor_from_numpy", "torch.nn.parameter.Parameter", "typing.Any",
    *(f"{module}.{name}" for module in ("builtins", "__builtin__")
      for name in ("bool", "bytearray", "bytes", "complex", "float", "int", "object", "slice", "str")),
))  # fmt: skip
"""Names that training codes leave beside the weights. What they would make is set aside unmade."""


class Name(NamedTuple):
    """A thing of Python's that the pickle asks for by name; it stays a name."""

    name: str


class Storage(NamedTuple):
    """Numbers in the file that tensors look at."""

    key: str
    dtype: str
    numbers: int
    """How many there are."""


class View(NamedTuple):
    """A tensor: a shape and strides, in elements, from an element of a storage."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Module(dict[Any, Any]):
    """A ParameterDict; its state is what it holds."""


ASIDE = Name("")
"""Stands for every thing that is set aside."""
_MARK = Name("(")


class Unpickled(NamedTuple):
    """What one pickle holds, in dicts, lists, tuples, plain values, Views and Names."""

    root: Any
    storages: dict[str, Storage]
    """All that it names, by key; those, too, that belong to what is set aside."""


def unpickled(stream: BinaryIO) -> Unpickled:
    """What one pickle holds. Raises Damaged.

    A list of what may stand in it decides, not one of what may not: anything else that the pickle asks for refuses it,
    by its name. `stream` is left behind the pickle's end.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    storages: dict[str, Storage] = {}
    try:
        for count, (word, argument) in enumerate(words(stream)):
            if count >= MAX_WORDS:
                raise Damaged(_FULL)
            if word == "STOP":
                break
            if word in _PLAIN:
                stack.append(argument)
            elif word in _MEMO_IN:
                memo[_place(memo, argument)] = stack[-1]
            elif word in _MEMO_OUT:
                stack.append(memo[argument])
            elif word in _CONSTANTS:
                stack.append(_CONSTANTS[word])
            elif word == "BINPERSID":
                stack.append(_known(_stored(stack.pop()), storages))
            else:
                _WORDS[word](stack, argument)
        (result,) = stack
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(_ELSE) from error
    return Unpickled(result, storages)


_PLAIN = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_MEMO_IN = ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT")
_MEMO_OUT = ("BINGET", "LONG_BINGET", "GET")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}


def _place(memo: dict[int, Any], said: int | None) -> int:
    if said is not None and not 0 <= said < _SMALL:
        raise Damaged(_ELSE)
    return len(memo) if said is None else said


def _marked(stack: list[Any]) -> list[Any]:
    """What stands above the last mark, taken off with the mark."""
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise Damaged(_ELSE)
    above = stack[place + 1 :]
    del stack[place:]
    return above


def _top(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise Damaged(_ELSE)
    above = stack[-count:]
    del stack[-count:]
    return above


def _put(target: Any, pairs: list[Any]) -> None:
    if isinstance(target, dict):
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, str) or (type(key) is int and 0 <= key < _SMALL):  # none stand under other keys
                target[key] = value
    elif target is not ASIDE:
        raise Damaged(_ELSE)


def _add(target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif target is not ASIDE:
        raise Damaged(_ELSE)


def _name(module: Any, name: Any) -> Name:
    """The name, once it is on a list. Raises Damaged for every other."""
    full = f"{module}.{name}"
    if not isinstance(module, str) or not isinstance(name, str):
        raise Damaged(_ELSE)
    if full in _FOREIGN:
        raise Damaged(f"its numbers are stored in a form that Easel does not read ({full})", "Look for another file.")
    if full not in _ALLOWED:
        shown = "".join(sign if sign.isprintable() else "?" for sign in full[:80])
        raise Damaged(f"it asks for “{shown}”, which is no part of a model's weights", _HARMFUL)
    return _ALLOWED[full]


def _apply(called: Any, arguments: Any) -> Any:
    if called is ASIDE:
        return ASIDE
    if not isinstance(called, Name) or not isinstance(arguments, tuple):
        raise Damaged(_ELSE)
    return _CALLS[called.name](*arguments)


def _state(stack: list[Any], _: Any) -> None:
    state = stack.pop()
    if isinstance(stack[-1], Module) and isinstance(state, dict):
        for held in ("_parameters", "_buffers"):
            _put(stack[-1], [each for pair in state.get(held, {}).items() for each in pair])


def _stored(identity: Any) -> Storage:
    """The storage that an identity of PyTorch's names: ("storage", type, key, place, count), older ones with a view."""
    word, kind, key, _place, count, *view = identity
    if word == "module":
        raise Damaged("it holds a program's parts, not only weights", _HARMFUL)
    if word != "storage" or not isinstance(kind, Name) or kind.name not in DTYPES or view not in ([], [None]):
        raise Damaged(_ELSE)
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise Damaged(_ELSE)
    return Storage(key, DTYPES[kind.name], count)


def _known(storage: Storage, storages: dict[str, Storage]) -> Storage:
    if storages.setdefault(storage.key, storage) != storage:
        raise Damaged(_ELSE)
    return storages[storage.key]


def _viewed(storage: Any, offset: Any, shape: Any, strides: Any, dtype: str = "") -> View:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise Damaged(_ELSE)
    numbers = (offset, *shape, *strides)
    if {*map(type, numbers)} != {int} or min(numbers) < 0 or len(shape) != len(strides) or len(shape) > 16:
        raise Damaged(_ELSE)
    return View(storage, dtype or storage.dtype, offset, shape, strides)


def _of_type(storage: Any, offset: Any, shape: Any, strides: Any, *others: Any) -> View:
    """_rebuild_tensor_v3: two things for training, then the type."""
    return _viewed(storage, offset, shape, strides, DTYPES[others[2].name])


def _tensor_in(data: Any, *_: Any) -> View:
    if not isinstance(data, View):
        raise Damaged(_ELSE)
    return data


def _rebuilt(rebuild: Any, _kind: Any, arguments: Any, _state: Any) -> View:
    """_rebuild_from_type_v2: a tensor of a class of its own, or with attributes; the tensor alone counts here."""
    if not isinstance(rebuild, Name) or not rebuild.name.startswith("torch._utils._rebuild_"):
        raise Damaged(_ELSE)
    return _tensor_in(_apply(rebuild, arguments))


def _filled(pairs: Any = ()) -> dict[Any, Any]:
    """A dict of a list of pairs, which is emptied, lest one list fill memory a thousand times over."""
    if isinstance(pairs, dict):
        return pairs
    made: dict[Any, Any] = {}
    for pair in pairs:
        _put(made, [*pair])
    if isinstance(pairs, list):
        pairs.clear()
    elif pairs != ():
        raise Damaged(_ELSE)
    return made


def _listed(items: Any = ()) -> list[Any]:
    if isinstance(items, list):
        return items
    if items != ():
        raise Damaged(_ELSE)
    return []


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _filled,
    "collections.Counter": _filled,
    "collections.defaultdict": lambda _factory=None, pairs=(): _filled(pairs),
    "torch.Size": lambda sizes=(): sizes,
    "torch.nn.modules.container.ParameterDict": lambda: Module(),
    "torch._utils._rebuild_tensor": _viewed,
    "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: _viewed(
        storage, offset, shape, strides
    ),
    "torch._utils._rebuild_tensor_v3": _of_type,
    "torch._utils._rebuild_parameter": _tensor_in,
    "torch._utils._rebuild_parameter_with_state": _tensor_in,
    "torch._tensor._rebuild_from_type_v2": _rebuilt,
    **{
        f"{module}.{name}": _listed
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "list", "tuple")
    },
    **{f"{module}.dict": _filled for module in ("builtins", "__builtin__")},
}
"""The only things that a pickle may call, and what stands for them here; they make plain values and Views."""
_ALLOWED = {**{name: Name(name) for name in (*_CALLS, *DTYPES)}, **dict.fromkeys(_SET_ASIDE, ASIDE)}

_WORDS: dict[str, Callable[[list[Any], Any], object]] = {
    "PROTO": lambda _stack, _: None,
    "FRAME": lambda _stack, _: None,
    "POP": lambda stack, _: stack.pop(),
    "POP_MARK": lambda stack, _: _marked(stack),
    "DUP": lambda stack, _: stack.append(stack[-1]),
    "EMPTY_LIST": lambda stack, _: stack.append([]),
    "EMPTY_SET": lambda stack, _: stack.append([]),
    "EMPTY_DICT": lambda stack, _: stack.append({}),
    "LIST": lambda stack, _: stack.append(_marked(stack)),
    "FROZENSET": lambda stack, _: stack.append(_marked(stack)),
    "TUPLE": lambda stack, _: stack.append(tuple(_marked(stack))),
    "TUPLE1": lambda stack, _: stack.append(tuple(_top(stack, 1))),
    "TUPLE2": lambda stack, _: stack.append(tuple(_top(stack, 2))),
    "TUPLE3": lambda stack, _: stack.append(tuple(_top(stack, 3))),
    "DICT": lambda stack, _: stack.append(_filled(_paired(_marked(stack)))),
    "APPEND": lambda stack, _: _add(stack[-2], _top(stack, 1)),
    "APPENDS": lambda stack, _: _above(stack, _add),
    "ADDITEMS": lambda stack, _: _above(stack, _add),
    "SETITEM": lambda stack, _: _put(stack[-3], _top(stack, 2)),
    "SETITEMS": lambda stack, _: _above(stack, _put),
    "GLOBAL": lambda stack, said: stack.append(_name(*said.split(" "))),
    "STACK_GLOBAL": lambda stack, _: stack.append(_name(*_top(stack, 2))),
    "INST": lambda stack, said: stack.append(_apply(_name(*said.split(" ")), tuple(_marked(stack)))),
    "OBJ": lambda stack, _: stack.append(_object(_marked(stack))),
    "NEWOBJ": lambda stack, _: stack.append(_apply(*_top(stack, 2))),
    "NEWOBJ_EX": lambda stack, _: stack.append(_apply(*_top(stack, 3)[:2])),
    "REDUCE": lambda stack, _: stack.append(_apply(*_top(stack, 2))),
    "BUILD": _state,
}


def _paired(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _object(items: list[Any]) -> Any:
    return _apply(items[0], tuple(items[1:]))


def _above(stack: list[Any], into: Callable[[Any, list[Any]], None]) -> None:
    items = _marked(stack)
    into(stack[-1], items)
