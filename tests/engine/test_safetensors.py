import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save_file

from engine.errors import BadInput
from engine.formats import safetensors
from engine.formats.safetensors import FOREIGN, header_text, read_header


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.safetensors"
    save_file(
        {"a.weight": np.zeros((3, 4), np.float32), "b": np.ones(7, np.float16), "none": np.zeros((0, 2), np.int64)},
        path,
        metadata={"format": "pt", "说明": "猫"},
    )
    return path


def _raw(path: Path, header: bytes | str, data: bytes = b"", length: int | None = None) -> Path:
    text = header.encode() if isinstance(header, str) else header
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_reads_what_the_safetensors_library_wrote(sound: Path) -> None:
    header = read_header(sound)
    with safe_open(sound, "np") as reference:
        assert set(header.tensors) == set(reference.keys())
        assert header.metadata == reference.metadata()
        for name, tensor in header.tensors.items():
            assert list(tensor.shape) == reference.get_slice(name).get_shape()
            assert tensor.dtype == reference.get_slice(name).get_dtype()


def test_every_truncation_is_told(sound: Path, tmp_path: Path) -> None:
    whole = sound.read_bytes()
    for length in range(len(whole)):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut\.safetensors"):
            read_header(cut)


_ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    "header",
    [
        "not json",
        "[]",
        "{" * 100_000,
        f'{{"a":{_ENTRY},"a":{_ENTRY}}}',
        '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}',
        '{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        '{"a":{"dtype":"F32","shape":[1]}}',
        f'{{"":{_ENTRY}}}',
        f'{{"a\\u0000b":{_ENTRY}}}',
        f'{{"__metadata__":{{"n":1}},"a":{_ENTRY}}}',
        f'{{"__metadata__":[],"a":{_ENTRY}}}',
        f'{{"__metadata__":{{"n":"1","n":"2"}},"a":{_ENTRY}}}',
        f'{{"__metadata__":{{"n":"\\ud800"}},"a":{_ENTRY}}}',
        f'{{"a\\ud800":{_ENTRY}}}',
        f'{{"a\u202eb":{_ENTRY}}}',
        f'{{"a":{_ENTRY[:-1]},"x":{"[" * 9000}}}}}',
        '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":"1","data_offsets":[0,4]}}',
        '{"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}',
        '{"a":{"dtype":"F32","shape":[0,5555555555555555555555555555],"data_offsets":[0,0]}}',
        '{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}',
        '{"a":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,4]}}',
        f'{{"{"a" * 513}":{_ENTRY}}}',
        f'{{"a":{_ENTRY}}}\n{{}}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: str | bytes) -> None:
    with pytest.raises(BadInput, match="its header is damaged"):
        read_header(_raw(tmp_path / "bad.safetensors", header, bytes(4)))


def test_a_header_of_absurd_length_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="header is not one"):
        read_header(_raw(tmp_path / "bad.safetensors", "{}", length=2**63))


def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({str(number): entry for number in range(50_001)})
    with pytest.raises(BadInput, match="damaged"):
        read_header(_raw(tmp_path / "bad.safetensors", header))


def _of(*tensors: tuple[str, str, list[int], int, int]) -> str:
    return json.dumps(
        {name: {"dtype": dtype, "shape": shape, "data_offsets": [a, b]} for name, dtype, shape, a, b in tensors}
    )


def test_bytes_that_no_tensor_or_two_tensors_have_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    one = ("a", "U8", [4], 0, 4)
    for other in (("b", "U8", [4], 2, 6), ("b", "U8", [4], 0, 4), ("b", "U8", [2], 6, 8), ("b", "U8", [0], 9, 9)):
        with pytest.raises(BadInput, match="lie over one another, or leave gaps"):
            read_header(_raw(path, _of(one, other), bytes(8)))
    with pytest.raises(BadInput, match="3 bytes follow its end that do not belong to it"):
        read_header(_raw(path, _of(one), bytes(7)))
    with pytest.raises(BadInput, match="its header is damaged|no model"):
        read_header(_raw(path, " " + _of(one), bytes(4)))


@pytest.mark.parametrize("name", ["../../etc/passwd", "<script>alert(1)</script>", "C:\\a", "说明.weight", "a" * 512])
def test_odd_names_are_kept_as_the_text_they_are(name: str, tmp_path: Path) -> None:
    header = read_header(_raw(tmp_path / "odd.safetensors", _of((name, "U8", [4], 0, 4)), bytes(4)))
    assert list(header.tensors) == [name]


def test_sides_of_zero_and_no_tensors_are_sound(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    assert read_header(_raw(path, "{}")).tensors == {}
    found = read_header(
        _raw(path, _of(("b", "F32", [0, 9], 4, 4), ("a", "U8", [4], 0, 4), ("c", "U8", [2], 4, 6)), bytes(6))
    )
    assert found.tensors["b"].shape == (0, 9)


@pytest.mark.parametrize("dtype", FOREIGN)
def test_forms_that_easel_does_not_read_are_named(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"stored as {dtype}, a form that Easel does not read"):
        read_header(_raw(tmp_path / "new.safetensors", _of(("a", dtype, [8], 0, 4)), bytes(4)))


def test_long_metadata_are_cut_where_they_are_shown(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": {"notes": "猫" * 2_000_000, "author": "<b>me</b>"}})
    said = read_header(_raw(tmp_path / "long.safetensors", header)).metadata
    assert said["notes"] == "猫" * 2**20 + "…"
    assert said["author"] == "<b>me</b>"


def test_a_million_tensors_are_refused_before_they_fill_memory(tmp_path: Path) -> None:
    text = "{" + ",".join(f'"{number:x}":0' for number in range(2_400_000)) + "}"
    with pytest.raises(BadInput, match="its header is damaged"):
        read_header(_raw(tmp_path / "many.safetensors", text))


def test_a_file_that_changes_meanwhile_is_told(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = safetensors.parsed

    def touched(text: bytes) -> safetensors.Header:
        os.utime(sound, ns=(1, 1))
        return parsed(text)

    monkeypatch.setattr(safetensors, "parsed", touched)
    with pytest.raises(BadInput, match=r"“sound\.safetensors” changed while it was read"):
        read_header(sound)


def test_a_header_that_we_write_is_read_by_the_library_and_by_us(tmp_path: Path) -> None:
    tensors = {"a.weight": ("BF16", (3, 5)), "b": ("U8", ()), "说明": ("F32", (0, 2))}
    path = tmp_path / "ours.safetensors"
    path.write_bytes(header_text(tensors, {"format": "pt", "a": 'x"\\'}) + bytes(31))
    ours = read_header(path)
    assert {name: (each.dtype, each.shape) for name, each in ours.tensors.items()} == tensors
    with safe_open(path, "np") as reference:
        assert reference.metadata() == ours.metadata
    for length in range(len(path.read_bytes()) - 1, 0, -7):
        with pytest.raises(SafetensorError):
            deserialize(path.read_bytes()[:length])
