import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from engine.errors import BadInput
from engine.formats.safetensors import read_header


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
