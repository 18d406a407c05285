"""PyTorch's files: found in them what torch itself loads from them, and nothing in them is ever run."""

import collections
import io
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import BadInput
from engine.formats import pickle_stack
from engine.formats.headers import header_of
from engine.formats.pickles import Stored, read_pickle

TYPES = [
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16,
]  # fmt: skip


def _saved(path: Path, value: object, form: str = "zip", protocol: int = 2) -> Path:
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=form == "zip")
    return path


def _numbers(path: Path, stored: Stored) -> np.ndarray:
    """The tensor's bytes, in order, by plain indexing of the file."""
    width = {"F8_E4M3": 1, "F8_E5M2": 1, "BOOL": 1, "BF16": 2}.get(stored.dtype) or int(stored.dtype[1:]) // 8
    flat = np.frombuffer(path.read_bytes()[stored.begin : stored.begin + stored.span], f"u{width}")
    strides = [stride * width for stride in stored.strides]
    return np.lib.stride_tricks.as_strided(flat, stored.shape, strides).copy()


def _same(path: Path, stored: Stored, tensor: torch.Tensor) -> None:
    plain = tensor.detach().contiguous()
    if plain.ndim == 0:
        plain = plain.reshape(1)
    assert stored.shape == tuple(tensor.shape)
    assert _numbers(path, stored).tobytes() == plain.view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_type_lies_where_it_is_said_to(form: str, protocol: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    values = {str(dtype): (torch.rand(3, 5) * 9).to(dtype) for dtype in TYPES} | {"none": torch.ones(0, 4)}
    path = _saved(tmp_path / "all.ckpt", values, form, protocol)
    found = read_pickle(path).tensors
    assert list(found) == list(values)
    for name, tensor in values.items():
        _same(path, found[name], tensor)


@pytest.mark.parametrize("form", ["zip", "old"])
def test_views_turned_strided_tied_and_spread(form: str, tmp_path: Path) -> None:
    base = torch.arange(60.0).reshape(3, 4, 5)
    values = {
        "whole": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1:, ::2, 3],
        "spread": torch.ones(1).expand(4, 3),
        "last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "single": torch.tensor(7),
    }
    values["tied"] = values["whole"]
    path = _saved(tmp_path / "views.pt", values, form)
    found = read_pickle(path).tensors
    for name, tensor in values.items():
        _same(path, found[name], tensor)
    assert found["tied"] == found["whole"]
    assert [name for name, stored in found.items() if stored.in_order] == ["whole", "single", "tied"]


class _Lightning:
    """Stands under pytorch_lightning's name in the file."""


def test_checkpoints_give_the_weights_and_not_what_training_left(tmp_path: Path) -> None:
    linear = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(2)).sum().backward()
    optimizer.step()
    whole = {
        "state_dict": linear.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "callbacks": {torch.Size: {"best": np.float64(1.0)}},
        "epoch": 3,
        "global_step": 12345,
        "pytorch-lightning_version": "1.4.2",
        "seen": {1, 2},
        "counted": collections.Counter("aab"),
    }
    for form in ("zip", "old"):
        found = read_pickle(_saved(tmp_path / f"{form}.ckpt", whole, form))
        assert list(found.tensors) == ["weight", "bias"]
        assert found.metadata == {"epoch": "3", "global_step": "12345", "pytorch-lightning_version": "1.4.2"}
    without = read_pickle(_saved(tmp_path / "net.pth", {"params_ema": linear.state_dict(), "optimizer": {"a": base()}}))
    assert list(without.tensors) == ["params_ema.weight", "params_ema.bias"]


def base() -> torch.Tensor:
    return torch.ones(2)


def test_embeddings_of_every_kind(tmp_path: Path) -> None:
    vectors = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.rand(2, 768))})
    a1111 = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": vectors, "name": "cat", "step": 500}
    path = _saved(tmp_path / "cat.pt", a1111)
    found = read_pickle(path)
    assert found.metadata == {"name": "cat", "step": "500"}
    _same(path, found.tensors["string_to_param.*"], vectors["*"])
    for value, name in (({"<cat>": torch.rand(768)}, "<cat>"), (torch.rand(3, 768), "tensor"), ([base()], "0")):
        assert list(read_pickle(_saved(tmp_path / "x.bin", value)).tensors) == [name]


def test_a_tensor_with_attributes_and_parameters(tmp_path: Path) -> None:
    odd = torch.nn.Parameter(torch.rand(3))
    odd.note = "kept by torch, not by us"
    path = _saved(tmp_path / "odd.pt", {"a": odd, "b": torch.nn.ParameterList([odd]).state_dict()})
    found = read_pickle(path).tensors
    assert list(found) == ["a", "b.0"]
    _same(path, found["a"], odd)


def test_the_header_is_that_of_the_copy(tmp_path: Path) -> None:
    header = header_of(_saved(tmp_path / "a.ckpt", {"a": torch.ones(2, 3), "b": torch.ones(4).half(), "step": 1}))
    assert [(name, *tensor) for name, tensor in header.tensors.items()] == [
        ("a", "F32", (2, 3), 0, 24),
        ("b", "F16", (4,), 24, 32),
    ]
    assert header.metadata == {"step": "1"}


# ---------------------------------------------------------------- what wants to be run


def _zipped(path: Path, text: bytes, more: dict[str, bytes] | None = None, packed: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, content in {"archive/data.pkl": text, "archive/data/0": bytes(16), **(more or {})}.items():
            archive.writestr(name, content)
    return path


class _Runs:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def _hostile(canary: Path) -> dict[str, bytes]:
    touch = f"touch {canary}"
    write = f"open({str(canary)!r}, 'w').write('x')"
    plain = {
        "system": _Runs(os.system, touch),
        "eval": _Runs(eval, write),
        "exec": _Runs(exec, write),
        "open": _Runs(open, str(canary), "w"),
        "import": _Runs(__import__, "antigravity"),
        "getattr": _Runs(getattr, os.path.join, "__globals__"),
        "nested": _Runs(torch.storage._load_from_bytes, pickle.dumps(_Runs(os.system, touch))),  # pyright: ignore
        "load": _Runs(torch.load, str(canary)),
        "loads": _Runs(pickle.loads, pickle.dumps(_Runs(os.system, touch))),
        "numpy": _Runs(np.load, str(canary)),
        "lambda": _Runs(sys.exit, 1),
        "in a list": [1, {"a": _Runs(os.system, touch)}],
    }
    words = {
        "inst": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "inst, no string": b"(X\4\0\0\0trueios\nsystem\n.",
        "obj": b"(cos\nsystem\nX\4\0\0\0trueo.",
        "newobj": b"\x80\2cos\nsystem\nX\4\0\0\0true\x85\x81.",
        "newobj_ex": b"\x80\4\x8c\2os\x8c\6system\x93\x8c\4true\x85}\x92.",
        "stack global from memo": b"\x80\4\x8c\2os\x94\x8c\6system\x940h\0h\1\x93\x8c\4true\x85R.",
        "build": b"\x80\2ccollections\nOrderedDict\n)R}X\x0c\0\0\0__setstate__cos\nsystem\nsbX\4\0\0\0trueb.",
        "extension": b"\x80\2\x82\1X\4\0\0\0true\x85R.",
        "persid": b"\x80\2Pos.system\n.",
        "dotted": b"\x80\4\x8c\5torch\x8c\x0eserialization.os\x93.",
        "call of a type": b"\x80\2ctorch\nFloatStorage\nX\4\0\0\0true\x85R.",
        "rebuild by another": b"\x80\2ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nNX\4\0\0\0trueNtR.",
        "module storage": b"\x80\2(X\6\0\0\0modulecos\nsystem\nX\1\0\0\0aX\1\0\0\0btQ.",
        "name with spaces": b"\x80\2cos\nsystem evil\n.",
        "name with a line": b"\x80\4\x8c\4os\n\xc2\x9b\x8c\6system\x93.",
    }
    return {name: pickle.dumps(value, 2) for name, value in plain.items()} | words


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Path]:
    canary = tmp_path / "canary"
    yield canary
    assert not canary.exists()


NAMES = list(_hostile(Path("canary")))
_OLD = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["zip", "old", "plain"])
def test_what_wants_to_run_is_refused_and_does_not(name: str, form: str, untouched: Path, tmp_path: Path) -> None:
    text = _hostile(untouched)[name]
    path = tmp_path / "evil.ckpt"
    if form == "zip":
        _zipped(path, text)
    else:
        path.write_bytes((_OLD if form == "old" else b"") + text)
    with pytest.raises(BadInput, match=r"“evil\.ckpt”") as caught:
        header_of(path)
    assert caught.value.cause.isprintable()
    assert len(str(caught.value)) < 300


def test_the_name_that_it_asks_for_is_told(tmp_path: Path) -> None:
    path = _zipped(tmp_path / "evil.ckpt", pickle.dumps(_Runs(os.system, "true"), 2))
    with pytest.raises(BadInput, match=r"asks for “(posix|nt)\.system”, which is no part of a model's weights"):
        read_pickle(path)


def test_forms_that_easel_does_not_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TorchScript"):
        read_pickle(_zipped(tmp_path / "a.pt", b"N.", {"archive/constants.pkl": b"N."}))
    with pytest.raises(BadInput, match="more pickles than the one"):
        read_pickle(_zipped(tmp_path / "a.pt", b"N.", {"archive/other.pkl": b"N."}))
    with pytest.raises(BadInput, match="PyTorch does not pack"):
        read_pickle(_zipped(tmp_path / "a.pt", b"N.", packed=zipfile.ZIP_DEFLATED))
    with pytest.raises(BadInput, match="an order that no machine"):
        read_pickle(_zipped(tmp_path / "a.pt", b"N.", {"archive/byteorder": b"big"}))
    with pytest.raises(BadInput, match="ComplexFloatStorage|complex64"):
        read_pickle(_saved(tmp_path / "a.pt", {"a": torch.ones(2, dtype=torch.complex64)}))
    with pytest.raises(BadInput, match="a form that Easel does not read"):
        read_pickle(_saved(tmp_path / "a.pt", {"a": torch.ones(2, 2).to_sparse()}))
    with pytest.raises(BadInput, match="no weights in it"):
        read_pickle(_saved(tmp_path / "a.pt", {"step": 1}))
    with pytest.raises(BadInput, match="asks for “torch.nn.modules.linear.Linear”"):
        read_pickle(_saved(tmp_path / "a.pt", torch.nn.Linear(2, 2)))


# ---------------------------------------------------------------- what lies


@pytest.mark.parametrize("form", ["zip", "old"])
def test_every_truncation_is_told(form: str, tmp_path: Path) -> None:
    whole = _saved(tmp_path / "whole.pt", {"a": torch.ones(5), "b": torch.ones(2)}, form).read_bytes()
    cut = tmp_path / "cut.pt"
    for length in range(0, len(whole), 3):
        cut.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut\.pt"):
            read_pickle(cut)
    cut.write_bytes(whole + b"more")
    with pytest.raises(BadInput, match="cut off or damaged"):
        read_pickle(cut)


def _one(
    offset: bytes = b"K\0", shape: bytes = b"K\4\x85", strides: bytes = b"K\1\x85", count: bytes = b"K\4"
) -> bytes:
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu" + count + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"\x89}tR"
    return b"\x80\2}X\1\0\0\0a" + tensor + b"s."


def test_tensors_outside_their_numbers_are_refused(tmp_path: Path) -> None:
    assert read_pickle(_zipped(tmp_path / "sound.pt", _one())).tensors["a"].span == 16
    far = b"\x8a\x09" + (2**64).to_bytes(9, "little")
    for lie in (
        _one(offset=b"K\1"), _one(shape=b"K\5\x85"), _one(strides=b"K\2\x85"), _one(count=b"K\5"), _one(count=b"K\3"),
        _one(offset=b"J\xff\xff\xff\xff"), _one(shape=b"J\xff\xff\xff\xff\x85"), _one(offset=far),
        _one(shape=far + b"\x85"),
        _one(shape=b"\x88\x85"), _one(strides=b"K\1K\1\x86"), _one(count=b"N"),
        _one(shape=b"J\0\0\0\x7f\x85", strides=b"K\0\x85"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=r"“lie\.pt”"):
            read_pickle(_zipped(tmp_path / "lie.pt", lie))


def _patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def test_zips_whose_two_headers_disagree_or_overlap_are_refused(tmp_path: Path) -> None:
    def moved(content: bytearray) -> None:  # the second entry of the directory points at the first one's content
        second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
        content[second + 42 : second + 46] = bytes(4)

    def renamed(content: bytearray) -> None:
        content[30:46] = b"archive/data.pkx"

    def longer(content: bytearray) -> None:
        first = content.index(b"PK\1\2")
        content[first + 20 : first + 28] = struct.pack("<LL", 999, 999)

    def prefixed(content: bytearray) -> None:
        content[0:0] = b"PK\3\4"

    for change in (moved, renamed, longer, prefixed):
        with pytest.raises(BadInput, match=r"“lie\.pt”"):
            read_pickle(_patched(_zipped(tmp_path / "lie.pt", _one()), change))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\2" + b"]q\0" + b"(h\0h\0h\0h\0e" * 10 + b".",
        b"\x80\2]" + b"]q\0h\0h\0\x86" * 3 + b".",
        b"\x80\2(" + b"N" * 600_000 + b"t.",
        b"\x80\2" + b"]" * 490_000 + b"\x85" * 5 + b".",
        b"\x80\2)" + b"\x85" * 490_000 + b".",
        b"\x80\2]q\0(" + b"N" * 400_000 + b"e" + b"c__builtin__\nlist\nh\0\x85R0" * 20_000 + b".",
        b"\x80\2]q\0(" + b"N\x85" * 250_000 + b"e](" + b"h\0" * 200_000 + b"e.",
        b"\x80\2("
        + b"".join(b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") + b"N" for n in range(99_000))
        + b"d.",
        b"\x80\2\x8b\xff\xff\xff\x7f" + bytes(99) + b".",
        b"\x80\4\x8d" + b"\xff" * 7 + b"\x7fa.",
        b"\x80\2I" + b"9" * 5000 + b"\n.",
    ],
    ids=["itself", "twins", "words", "stack", "depth", "copies", "spread", "hashes", "long", "longer", "digits"],
)
def test_bombs_are_refused_in_little_time_and_memory(bomb: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"“bomb\.pt”"):
        read_pickle(_zipped(tmp_path / "bomb.pt", bomb))


def test_too_many_words_or_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path / "a.pt", {"a": torch.ones(2)})
    monkeypatch.setattr(pickle_stack, "MAX_WORDS", 20)
    with pytest.raises(BadInput, match="more parts than any model"):
        read_pickle(path)


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    for value in ({"a": {"b": base()}, "a.b": base()}, {"a\n": base()}, {"a" * 600: base()}, {"": base()}):
        with pytest.raises(BadInput, match="a name in it is none, or stands twice"):
            read_pickle(_saved(tmp_path / "a.pt", value))


def test_reading_imports_nothing_and_opens_one_file(tmp_path: Path) -> None:
    """Under the interpreter's own watch, in a fresh process."""
    import subprocess

    path = _saved(tmp_path / "a.ckpt", {"a": torch.ones(2)})
    evil = _zipped(tmp_path / "evil.ckpt", pickle.dumps(_Runs(os.system, "true"), 2))
    code = f"""
import sys
from pathlib import Path
from engine.errors import BadInput
from engine.formats.headers import header_of
seen = []
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments[0])) if arguments else (event,)))
header_of(Path({str(path)!r}))
try:
    header_of(Path({str(evil)!r}))
except BadInput:
    pass
assert {{event[0] for event in seen}} <= {{"open", "object.__getattr__"}}, seen
assert {{Path(event[1]).name for event in seen if event[0] == "open"}} - {{"3"}} == {{"a.ckpt", "evil.ckpt"}}, seen
print(sorted({{"torch", "numpy", "pickle", "zipfile"}} & {{*sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert "torch" not in done.stdout
    assert "numpy" not in done.stdout


def test_an_old_file_with_two_keys_of_one_name_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(2)}, stream, _use_new_zipfile_serialization=False)
    content = stream.getvalue()
    path = tmp_path / "old.pt"
    path.write_bytes(content.replace(b"e.", b"e.", 1)[:-8] + bytes(8))
    assert list(read_pickle(path).tensors) == ["a"]
    path.write_bytes(content[:-16] + struct.pack("<q", -1) + content[-8:])
    with pytest.raises(BadInput, match=r"“old\.pt”"):
        read_pickle(path)
