"""Safe copies of PyTorch's files, by the real process that makes them."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from engine.errors import BadInput, Cancelled, EaselError
from engine.library import converted_pickles
from engine.library.converted_pickles import as_safetensors


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home 家"))
    yield tmp_path / "home 家"
    assert not list((tmp_path / "home 家").rglob("*.part"))


def _silent(_what: str, _done: float) -> None:
    pass


def test_a_copy_holds_what_torch_loads_and_is_made_once(tmp_path: Path) -> None:
    base = torch.rand(7, 300, 40)
    values = {
        "turned": base.permute(2, 0, 1),
        "half": torch.rand(3, 4).half(),
        "bf16": torch.rand(5).bfloat16(),
        "count": torch.tensor(3),
        "none": torch.ones(0, 4),
        "last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "whole": base,
        "tied": base,
    }
    for form in (True, False):
        path = tmp_path / f"猫 {form}.ckpt"
        torch.save({"state_dict": values, "epoch": 2}, path, _use_new_zipfile_serialization=form)
        before = path.read_bytes()
        told: list[float] = []
        copy = as_safetensors(path, lambda _, done, told=told: told.append(done))
        assert told
        assert all(0 <= done <= 1 for done in told)
        found = load_file(copy)
        assert set(found) == set(values)
        assert all(found[name].dtype == each.dtype and found[name].equal(each) for name, each in values.items())
        with safe_open(copy, "pt") as file:
            assert file.metadata() == {"format": "pt", "epoch": "2"}
        assert copy.stem == path.stem
        assert path.read_bytes() == before
        stamp = copy.stat().st_mtime_ns
        assert as_safetensors(path, _silent) == copy
        assert copy.stat().st_mtime_ns == stamp
        assert as_safetensors(copy, _silent) == copy


def test_a_changed_file_is_copied_anew_and_the_old_copy_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(2)}, path)
    first = as_safetensors(path, _silent)
    torch.save({"a": torch.ones(9)}, path)
    second = as_safetensors(path, _silent)
    assert load_file(second)["a"].shape == (9,)
    assert not first.exists()


def test_what_is_refused_is_refused_in_the_readers_words(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "evil.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"cposix\nsystem\n(X\4\0\0\0truetR.")
    with pytest.raises(BadInput, match=r"“evil\.ckpt” cannot be used: it asks for “posix\.system”") as caught:
        as_safetensors(path, _silent)
    assert caught.value.where == str(path)
    (tmp_path / "page.ckpt").write_text("<!doctype html>")
    with pytest.raises(BadInput, match="a web page, not a model"):
        as_safetensors(tmp_path / "page.ckpt", _silent)
    assert not list(home.rglob("*.safetensors"))


def test_a_cancel_ends_the_process_and_leaves_nothing(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(2)}, path)

    def called_off(_what: str, _done: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        as_safetensors(path, called_off)
    assert not list(home.rglob("*.safetensors"))


def test_too_little_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(2)}, path)
    monkeypatch.setattr(converted_pickles.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6})())
    with pytest.raises(EaselError, match="0.0 GB are free"):
        converted_pickles._write(path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_process_can_do_nothing_else(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess
from pathlib import Path
from engine import offline
offline.confine(Path({str(tmp_path / "copy")!r}))
def refused(act):
    try:
        act()
    except PermissionError:
        return True
assert refused(lambda: socket.create_connection(("127.0.0.1", 9)))
assert refused(lambda: subprocess.run(["true"]))
assert refused(lambda: os.system("true"))
assert refused(os.fork)
assert refused(lambda: open({str(tmp_path / "other")!r}, "w"))
assert refused(lambda: os.open({str(tmp_path / "other")!r}, os.O_CREAT | os.O_WRONLY))
assert refused(lambda: os.remove(__file__ if "__file__" in globals() else "x"))
Path({str(tmp_path / "copy")!r}).write_text("allowed")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy").read_text() == "allowed"
    assert not (tmp_path / "other").exists()
