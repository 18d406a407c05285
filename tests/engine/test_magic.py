"""What a file is by its bytes: every form of broken download has its own sentence."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save

from engine.errors import BadInput
from engine.formats.headers import header_of
from engine.formats.magic import WEIGHTS, Form, form_of, refusal

SOUND = save({"a": np.zeros(4, np.float32)})
UPSCALERS = Path(__file__).parents[1] / "data" / "upscalers"


def _zip(names: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _torch(value: object, new: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"))
    return stream.getvalue()


def _picture(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, form)
    return stream.getvalue()


def _npy(save_it: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    save_it(stream, np.zeros(3))
    return stream.getvalue()


def _script() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), stream)
    return stream.getvalue()


# A safetensors file whose last tensor is a whole zip: every reader of either form would take it.
_ZIP = _zip({"archive/data.pkl": b"N."})
_TWO_IN_ONE = save({"a": np.frombuffer(_ZIP, np.uint8)})

CASES = {
    "safetensors": (SOUND, Form.SAFETENSORS),
    "cut safetensors": (SOUND[:60], Form.SAFETENSORS),
    "safetensors with a lying length": (struct.pack("<Q", 2**62) + SOUND[8:], Form.SAFETENSORS),
    "torch": (_torch({"a": torch.ones(2)}), Form.TORCH_ZIP),
    "torch, cut": (_torch({"a": torch.ones(2)})[:-30], Form.CUT_ZIP),
    "old torch": (_torch({"a": torch.ones(2)}, new=False), Form.TORCH_OLD),
    "old torch with a zip behind": (_torch({"a": torch.ones(2)}, new=False) + _ZIP, Form.POLYGLOT),
    "safetensors with a zip at its end": (_TWO_IN_ONE, Form.POLYGLOT),
    "the same with a comment": (save({"a": np.frombuffer(_ZIP[:-2] + b"\2\0hi", np.uint8)}), Form.POLYGLOT),
    "ONNX": ((UPSCALERS / "free.onnx").read_bytes(), Form.ONNX),
    "TorchScript": (_script(), Form.TORCHSCRIPT),
    **{f"pickle {number}": (pickle.dumps({"a": 1}, number), Form.PICKLE) for number in range(6)},
    "pickle that runs": (b"cos\nsystem\n(S'exit 1'\ntR.", Form.PICKLE),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(64), Form.GGUF),
    "npy": (_npy(np.save), Form.OTHER_MODEL),
    "npz": (_npy(np.savez), Form.OTHER_MODEL),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(64), Form.OTHER_MODEL),
    "tar": (_tar(), Form.TAR),
    "zip": (_zip({"model/readme.txt": b"hello"}, zipfile.ZIP_DEFLATED), Form.ARCHIVE),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(64), Form.ARCHIVE),
    "rar": (b"Rar!\x1a\7\1\0" + bytes(64), Form.ARCHIVE),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(64), Form.ARCHIVE),
    "web page": (b"\n <!DOCTYPE html><html><head><title>Sign in</title>", Form.WEB_PAGE),
    "web page with a mark": (b"\xef\xbb\xbf<HTML lang=en>", Form.WEB_PAGE),
    "error of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', Form.WEB_PAGE),
    "JSON error": (b'{"error":"Invalid credentials in Authorization header"}', Form.JSON),
    "plain error": ("Entry not found: 文件".encode(), Form.TEXT),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", Form.LFS_POINTER),
    "PNG": (_picture("PNG"), Form.PICTURE),
    "JPEG": (_picture("JPEG"), Form.PICTURE),
    "WebP": (_picture("WEBP"), Form.PICTURE),
    "BMP": (_picture("BMP"), Form.PICTURE),
    "PDF": (b"%PDF-1.7\n" + bytes(64), Form.DOCUMENT),
    "program": (b"\x7fELF\2\1\1" + bytes(64), Form.PROGRAM),
    "empty": (b"", Form.EMPTY),
    "zeros": (bytes(5000), Form.UNFINISHED),
    "noise": (bytes(range(255, 100, -1)) * 4, Form.UNKNOWN),
}


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_the_bytes_tell_and_not_the_name(name: str, suffix: str, tmp_path: Path) -> None:
    content, form = CASES[name]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert form_of(path) is form
    if form not in WEIGHTS:
        with pytest.raises(BadInput, match=f"“model{suffix}”") as caught:
            header_of(path)
        assert caught.value.where == str(path)
        assert caught.value.cause.endswith(".")
        assert caught.value.advice.endswith(".")


def test_every_form_has_its_two_sentences() -> None:
    said = [refusal(Path("model.bin"), form) for form in Form]
    assert all(error.cause.startswith("“model.bin” ") and error.advice.endswith(".") for error in said)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no file “gone”"):
        form_of(tmp_path / "gone")
    with pytest.raises(BadInput, match="There is no file"):
        form_of(Path("a\0b"))
    with pytest.raises(BadInput, match="is no file|cannot be used"):
        form_of(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(BadInput, match=r"“pipe\.safetensors” is no file"):
        form_of(tmp_path / "pipe.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "closed.safetensors"
    path.write_bytes(SOUND)
    path.chmod(0)
    with pytest.raises(BadInput, match="permission denied"):
        form_of(path)
