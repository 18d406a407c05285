"""Files come into Easel's folders whole or not at all, never over another, and leave by the trash."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import paths
from engine.errors import BadInput, Cancelled, EaselError
from engine.library import intake
from engine.library.catalogue import Catalogue

SEPIA = paths.STARTER.parent / "lora" / "easel-sepia.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A LoRA with a card and a picture beside it."""
    folder = tmp_path / "downloads 下载"
    folder.mkdir()
    (folder / "sepia.preview.png").write_bytes(b"picture")
    (folder / "sepia.civitai.info").write_text("{}")
    (folder / "sepia two.txt").write_text("of another")
    return Path(shutil.copy(SEPIA, folder / "sepia.safetensors"))


def quiet(what: str, done: float) -> None:
    assert 0 <= done <= 1


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_copy_goes_where_its_kind_belongs_with_what_lies_beside_it(lora: Path, home: Path) -> None:
    told: list[float] = []
    (taken,) = intake.take_in([lora], "copy", lambda what, done: told.append(done))
    assert taken == (home / "lora" / "sepia.safetensors", None)
    assert taken.path.read_bytes() == lora.read_bytes()
    assert names(home / "lora") == ["sepia.civitai.info", "sepia.preview.png", "sepia.safetensors"]
    assert told[0] == 0
    assert told == sorted(told)
    assert lora.exists()


def test_a_move_leaves_nothing_behind(lora: Path, home: Path) -> None:
    (taken,) = intake.take_in([lora], "move", quiet)
    assert taken.path == home / "lora" / "sepia.safetensors"
    assert names(lora.parent) == ["sepia two.txt"]
    assert names(home / "lora") == ["sepia.civitai.info", "sepia.preview.png", "sepia.safetensors"]


@pytest.mark.parametrize("how", ["copy", "move"])
def test_nothing_is_overwritten(lora: Path, home: Path, how: str) -> None:
    (home / "lora").mkdir(parents=True)
    (home / "lora" / "sepia.safetensors").write_bytes(b"another one")
    (taken,) = intake.take_in([lora], "move" if how == "move" else "copy", quiet)
    assert taken.path == home / "lora" / "sepia-2.safetensors"
    assert (home / "lora" / "sepia.safetensors").read_bytes() == b"another one"
    assert (home / "lora" / "sepia-2.preview.png").exists()


def test_the_same_content_is_said_to_be_there(lora: Path, home: Path) -> None:
    (home / "lora").mkdir(parents=True)
    shutil.copy(lora, home / "lora" / "brown.safetensors")
    (taken,) = intake.take_in([lora], "move", quiet)
    assert "is in the library already, as “brown.safetensors”" in str(taken.trouble)
    assert lora.exists()
    assert names(home / "lora") == ["brown.safetensors"]


def test_one_bad_file_does_not_stop_the_rest(lora: Path, home: Path) -> None:
    page = lora.with_name("a page.safetensors")
    page.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    first, second, third = intake.take_in([lora.with_name("none.ckpt"), page, lora], "copy", quiet)
    assert "There is no file" in str(first.trouble)
    assert isinstance(second.trouble, BadInput)
    assert third.path.exists()
    assert "a page.safetensors" not in names(home / "lora")


def test_a_folder_of_files_and_a_model_folder(lora: Path, home: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, lora.parent / "tiny 模型")
    told = list(intake.take_in([lora.parent], "copy", quiet))
    assert sorted(each.path.relative_to(home).as_posix() for each in told) == [
        "lora/sepia.safetensors",
        "models/tiny 模型",
    ]
    whole = sorted(each.relative_to(tiny_model) for each in tiny_model.rglob("*"))
    model = home / "models" / "tiny 模型"
    assert sorted(each.relative_to(model) for each in model.rglob("*")) == whole
    (again,) = intake.take_in([tiny_model.rename(tiny_model.with_name("tiny 模型"))], "copy", quiet)
    tiny_model.with_name("tiny 模型").rename(tiny_model)
    assert again.trouble


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_cancel_leaves_nothing_half(lora: Path, home: Path, tiny_model: Path, is_folder: bool) -> None:
    def cancel(what: str, done: float) -> None:
        if done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(intake.take_in([tiny_model if is_folder else lora], "copy", cancel))
    assert [each for each in home.rglob("*") if each.is_file()] == []


def test_a_full_disk_is_told_before(lora: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(lora)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(EaselError, match=r"takes 0\.0 GB, and 0\.0 GB is free") as told:
        list(intake.take_in([lora], "copy", quiet))
    assert "Free some space" in told.value.advice
    assert names(home / "lora") == []


def test_a_file_that_changes_meanwhile_is_not_taken(lora: Path, home: Path) -> None:
    def write(what: str, done: float) -> None:
        if done > 0:
            os.utime(lora, ns=(1, 1))

    (taken,) = intake.take_in([lora], "copy", write)
    assert "changed while it was read" in str(taken.trouble)
    assert names(home / "lora") == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_file_is_used_where_it_lies(lora: Path, home: Path) -> None:
    catalogue = Catalogue()
    for _ in range(2):
        intake.use(lora, catalogue)
    assert names(home / "lora") == ["sepia.civitai.info", "sepia.preview.png", "sepia.safetensors"]
    assert (home / "lora" / "sepia.safetensors").resolve() == lora.resolve()
    assert catalogue.roots() == []
    intake.use(lora.parent, catalogue)
    assert catalogue.roots() == [str(lora.parent)]
    catalogue.close()


@pytest.fixture
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The system's trash, in a home of its own."""
    other = pytest.importorskip("send2trash.plat_other")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(other, "XDG_DATA_HOME", os.fsencode(tmp_path / "data"))
    monkeypatch.setattr(other, "HOMETRASH_B", os.fsencode(tmp_path / "data" / "Trash"))
    monkeypatch.setattr("send2trash.send2trash", other.send2trash)
    return lambda: names(tmp_path / "data" / "Trash" / "files")


@pytest.mark.skipif(sys.platform != "linux", reason="the trash of another system is not moved aside for a test")
def test_what_is_discarded_lies_in_the_trash(lora: Path, trash: Callable[[], list[str]]) -> None:
    intake.discard(lora)
    assert trash() == ["sepia.civitai.info", "sepia.preview.png", "sepia.safetensors"]
    assert names(lora.parent) == ["sepia two.txt"]
    with pytest.raises(BadInput, match="not there any more"):
        intake.discard(lora)


def test_what_belongs_to_easel_stays() -> None:
    with pytest.raises(BadInput, match="belongs to Easel itself"):
        intake.discard(SEPIA)
    assert SEPIA.exists()
