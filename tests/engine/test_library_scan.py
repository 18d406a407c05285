import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.library.catalogue import Catalogue
from engine.library.roots import roots
from engine.library.scan import changed, scan
from engine.messages import Describe
from tests.tiny_controlnet import write_tiny_controlnet
from tests.weights import LORA, added, joined, look, names, weights


@pytest.fixture
def library(tmp_path: Path) -> Iterator[tuple[Catalogue, Path]]:
    """An empty catalogue that looks into one empty folder."""
    folder = tmp_path / "models 模型 🎨"
    folder.mkdir()
    catalogue = Catalogue(tmp_path / "home" / "library.sqlite")
    catalogue.add_root(folder)
    yield catalogue, folder
    catalogue.close()


Library = tuple[Catalogue, Path]


def _spoil(path: Path) -> None:
    """Other bytes under the same size and time: whoever reads the file again will say that it is broken."""
    about = path.stat()
    with path.open("r+b") as file:
        file.write(b"\xff" * 16)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_files_are_recognised_whatever_their_names_are(library: Library) -> None:
    catalogue, folder = library
    weights(folder / "很好 的 LoRA 🐱.safetensors", LORA)
    weights(folder / "a" / "b c" / "teal.SAFETENSORS")
    found = look(catalogue)
    assert found.done
    assert found.files == 2
    by_name = {entry.name: entry for entry in found.changed}
    assert (by_name["很好 的 LoRA 🐱"].sort, by_name["很好 的 LoRA 🐱"].family) == ("lora", "sd1")
    assert by_name["teal"].sort == "embedding"
    assert by_name["teal"].rests_on
    assert by_name["teal"].root == str(folder)
    assert sorted(catalogue.entries(), key=lambda entry: entry.name) == sorted(
        found.changed, key=lambda entry: entry.name
    )


def test_a_second_scan_reads_only_what_changed(library: Library) -> None:
    catalogue, folder = library
    for number in range(5):
        weights(folder / f"{number}.safetensors")
    look(catalogue)
    for path in folder.iterdir():
        _spoil(path)
    os.utime(folder / "3.safetensors")
    again = look(catalogue)
    assert again.files == 5
    assert [(entry.name, entry.state) for entry in again.changed] == [("3", "broken")]


def test_what_lies_beside_a_file_is_read_when_it_changes(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "v1.5 pony.safetensors", LORA)
    assert look(catalogue).changed[0].preview == ""
    card = path.with_name("v1.5 pony.civitai.info")
    card.write_text(json.dumps({"trainedWords": ["猫 girl"], "model": {"name": "Pony"}}), encoding="utf-8")
    (told,) = look(catalogue).changed
    assert told.trigger_words == ("猫 girl",)
    path.with_name("v1.5 pony.preview.png").write_bytes(b"\x89PNG")
    (shown,) = look(catalogue).changed
    assert Path(shown.preview).name == "v1.5 pony.preview.png"
    card.unlink()
    assert look(catalogue).changed[0].trigger_words == ()
    assert look(catalogue).changed == ()


def test_a_deleted_file_is_gone_and_back_with_what_was_said_of_it(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "a.safetensors")
    look(catalogue)
    catalogue.describe(Describe(path=str(path), notes="好"))
    path.unlink()
    assert look(catalogue).gone == (str(path),)
    assert catalogue.entries() == []
    weights(path)
    assert look(catalogue).changed[0].notes == "好"


def test_an_unplugged_folder_is_missing_and_comes_back_unread(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "sub" / "a.safetensors")
    look(catalogue)
    folder.rename(folder.with_name("away"))
    (missing,) = look(catalogue).changed
    assert missing.state == "missing"
    assert str(folder) in missing.trouble
    assert "Plug in" in missing.trouble
    assert look(catalogue).changed == ()
    assert [entry.state for entry in catalogue.entries()] == ["missing"]
    folder.with_name("away").rename(folder)
    _spoil(path)
    (back,) = look(catalogue).changed
    assert (back.state, back.sort, back.trouble) == ("here", "embedding", "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_drive_that_leaves_its_folder_behind_is_missing(library: Library) -> None:
    catalogue, folder = library
    drive = folder / "drive"
    drive.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", drive], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        weights(drive / "a.safetensors")
        weights(drive / "deep" / "b.safetensors")
        look(catalogue)
    finally:
        subprocess.run(["umount", drive], check=True)
    missing = look(catalogue)
    assert missing.gone == ()
    assert [entry.state for entry in missing.changed] == ["missing", "missing"]
    assert str(drive) in missing.changed[0].trouble


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named_and_its_files_stay(library: Library) -> None:
    catalogue, folder = library
    weights(folder / "closed" / "a.safetensors")
    weights(folder / "b.safetensors")
    look(catalogue)
    (folder / "closed").chmod(0)
    try:
        (missing,) = look(catalogue).changed
        assert missing.state == "missing"
        assert "permission" in missing.trouble
        assert str(folder / "closed") in missing.trouble
    finally:
        (folder / "closed").chmod(0o700)


def test_links_are_followed_but_never_in_circles(library: Library, tmp_path: Path) -> None:
    catalogue, folder = library
    weights(tmp_path / "elsewhere" / "a.safetensors")
    weights(folder / "b.safetensors")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "same.safetensors").symlink_to(folder / "b.safetensors")
    found = look(catalogue)
    assert names(found.changed) == ["a", "b"]


def test_a_link_that_leads_nowhere_is_missing(library: Library, tmp_path: Path) -> None:
    catalogue, folder = library
    away = weights(tmp_path / "drive" / "a.safetensors")
    (folder / "a.safetensors").symlink_to(away)
    (folder / "b.safetensors").symlink_to(tmp_path / "nothing")
    assert {entry.name: entry.state for entry in look(catalogue).changed} == {"a": "here", "b": "missing"}
    away.rename(tmp_path / "moved")
    (lost,) = look(catalogue).changed
    assert (lost.name, lost.state, lost.sort) == ("a", "missing", "embedding")
    assert "link" in lost.trouble
    assert look(catalogue).changed == ()
    assert not changed(catalogue, added(catalogue))
    (tmp_path / "moved").rename(away)
    assert [(entry.name, entry.state) for entry in look(catalogue).changed] == [("a", "here")]


def test_a_model_folder_is_one_entry(library: Library, tiny_model: Path) -> None:
    catalogue, folder = library
    shutil.copytree(tiny_model, folder / "tiny 模型")
    weights(folder / "tiny 模型" / "emb.safetensors")
    (model,) = [entry for entry in look(catalogue).changed if entry.name != "emb"]
    assert (model.path, model.sort, model.family) == (str(folder / "tiny 模型"), "checkpoint", "sd1")
    assert model.size_bytes > 100_000
    assert look(catalogue).changed == ()
    (folder / "tiny 模型" / "vae" / "config.json").unlink()
    (broken,) = look(catalogue).changed
    assert broken.state == "broken"
    assert "vae/config.json" in broken.trouble


def test_a_components_folder_is_one_entry(library: Library, tiny_model: Path) -> None:
    catalogue, folder = library
    write_tiny_controlnet(tiny_model, folder / "canny")
    shutil.copy(
        folder / "canny" / "diffusion_pytorch_model.safetensors",
        folder / "canny" / "diffusion_pytorch_model.fp16.safetensors",
    )
    weights(folder / "canny" / "emb.safetensors")
    found = {entry.name: entry for entry in look(catalogue).changed}
    assert {name: entry.sort for name, entry in found.items()} == {"canny": "controlnet", "emb": "embedding"}


def test_a_foreign_model_folder_is_named(library: Library) -> None:
    catalogue, folder = library
    (folder / "video" / "unet").mkdir(parents=True)
    (folder / "video" / "model_index.json").write_text('{"_class_name": "StableVideoDiffusionPipeline"}')
    (folder / "video" / "unet" / "config.json").write_text('{"_class_name": "UNetSpatioTemporalConditionModel"}')
    (entry,) = look(catalogue).changed
    assert entry.state == "foreign"
    assert "does not run" in entry.trouble


BROKEN = {
    "page.safetensors": (b"<!DOCTYPE html><html>403</html>", "web page"),
    "empty.safetensors": (b"", "empty"),
    "pointer.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "git-lfs"),
    "zip.ckpt": (b"PK\x03\x04 and no more", "cut off"),
    "cut.safetensors": (b"\x40\0\0\0\0\0\0\0{", "cut off"),
    "<b>name.safetensors": (b"MZ and so on", "program"),
}


def test_broken_files_say_what_is_wrong_and_the_others_go_on(library: Library) -> None:
    catalogue, folder = library
    for name, (content, _) in BROKEN.items():
        (folder / name).write_bytes(content)
    weights(folder / "sound.safetensors")
    (folder / "gguf.gguf").write_bytes(b"GGUF\3\0\0\0")
    os.mkfifo(folder / "pipe.safetensors")
    found = {Path(entry.path).name: entry for entry in look(catalogue).changed}
    assert found.keys() == BROKEN.keys() | {"sound.safetensors", "gguf.gguf"}
    assert found["sound.safetensors"].state == "here"
    assert found["gguf.gguf"].state == "foreign"
    for name, (_, words) in BROKEN.items():
        assert found[name].state == "broken"
        assert words in found[name].trouble


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_told(library: Library) -> None:
    catalogue, folder = library
    weights(Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.safetensors")))
    weights(folder / "b.safetensors")
    assert sorted(entry.state for entry in look(catalogue).changed) == ["broken", "here"]
    assert look(catalogue).changed == ()


def test_what_is_downloaded_is_looked_at_again(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "a.safetensors")
    mark = folder / "a.safetensors.aria2"
    mark.touch()
    (entry,) = look(catalogue).changed
    assert entry.state == "broken"
    assert "downloaded" in entry.trouble
    mark.unlink()
    assert look(catalogue).changed[0].state == "here"
    assert path.exists()


def test_a_file_that_is_being_written_is_looked_at_again(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "a.safetensors")
    is_done = threading.Event()

    def touch() -> None:
        for second in range(10**9):
            if is_done.is_set():
                return
            os.utime(path, (second, second))

    writer = threading.Thread(target=touch)
    writer.start()
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            look(catalogue)
            (found,) = catalogue.entries()
            if found.state == "broken":
                break
    finally:
        is_done.set()
        writer.join()
    assert found.state == "broken"
    assert "written" in found.trouble
    os.utime(path)
    assert not changed(catalogue, added(catalogue))
    os.utime(path, (0, 0))
    assert changed(catalogue, added(catalogue))
    weights(path)
    assert look(catalogue).changed[0].state == "here"


def test_it_stops_between_files_and_goes_on_later(library: Library) -> None:
    catalogue, folder = library
    for number in range(10):
        weights(folder / f"{number}.safetensors")
    asked = iter([False] * 4 + [True] * 100)
    first = joined(scan(catalogue, added(catalogue), lambda: next(asked)))
    assert not first.done
    assert (first.files, len(first.changed), first.gone) == (4, 4, ())
    rest = look(catalogue)
    assert len(rest.changed) == 6
    stopped = joined(scan(catalogue, added(catalogue), lambda: True))
    assert (stopped.changed, stopped.gone) == ((), ())


def test_a_folder_that_is_used_no_more_takes_its_entries_along(library: Library) -> None:
    catalogue, folder = library
    path = weights(folder / "a.safetensors")
    look(catalogue)
    catalogue.remove_root(folder)
    assert joined(scan(catalogue, [])).gone == (str(path),)
    assert path.exists()


def test_watching_notices_files_folders_and_drives(library: Library, tmp_path: Path) -> None:
    catalogue, folder = library
    weights(folder / "sub" / "a.safetensors")
    look(catalogue)
    assert not changed(catalogue, added(catalogue))
    weights(folder / "sub" / "b.safetensors")
    assert changed(catalogue, added(catalogue))
    look(catalogue)
    assert not changed(catalogue, added(catalogue))
    catalogue.add_root(tmp_path / "drive")
    assert not changed(catalogue, added(catalogue))
    (tmp_path / "drive").mkdir()
    assert changed(catalogue, added(catalogue))
    look(catalogue)
    shutil.rmtree(tmp_path / "drive")
    assert changed(catalogue, added(catalogue))
    look(catalogue)
    assert not changed(catalogue, added(catalogue))


def test_a_folder_in_two_roots_is_looked_through_once(library: Library) -> None:
    catalogue, folder = library
    weights(folder / "Lora" / "a.safetensors")
    catalogue.add_root(folder / "Lora")
    assert [entry.root for entry in look(catalogue).changed] == [str(folder / "Lora")]
    assert not changed(catalogue, added(catalogue))


@pytest.mark.usefixtures("shared_home")
def test_easels_own_folders_are_scanned(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "library.sqlite")
    scanned = joined(scan(catalogue, roots(catalogue.roots())))
    catalogue.close()
    found = {entry.name: entry for entry in scanned.changed}
    assert found["Easel Starter"].family == "sd1"
    assert found["easel-lines"].sort == "controlnet"
    assert found["easel-lines"].family == "sd1"
    assert found["tiny"].sort == "checkpoint"
