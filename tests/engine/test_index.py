"""Models by their names, wherever the library knows them to lie: real folders, a real catalogue."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library import index
from engine.library.catalogue import Catalogue
from engine.library.hashes import hash_next
from engine.library.roots import roots
from engine.library.scan import scan
from engine.messages import Describe, Entry
from engine.offers import can_draw, is_called, meant, offers
from engine.paths import STARTER


@pytest.fixture
def home(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家 home"))
    return tmp_path / "家 home"


@pytest.fixture
def comfy(home: Path, tmp_path: Path) -> Path:
    """Another program's folder of models."""
    for folder in ("checkpoints", "diffusers"):
        (tmp_path / "ComfyUI 画" / "models" / folder).mkdir(parents=True)
    return tmp_path / "ComfyUI 画"


@pytest.fixture
def put(tiny_model: Path) -> Callable[[Path], Path]:
    """Puts a small model at a path."""
    return lambda target: Path(shutil.copytree(tiny_model, target))


def known(added: Path, do: Callable[[Catalogue], object] = lambda _: None) -> None:
    """Have the library look through a folder, too; then `do`."""
    catalogue = Catalogue()
    catalogue.add_root(added)
    for _ in scan(catalogue, roots(catalogue.roots())):
        pass
    do(catalogue)
    catalogue.close()


Put = Callable[[Path], Path]


def test_a_model_of_another_program_is_found_by_each_of_its_names(comfy: Path, put: Put) -> None:
    folder = put(comfy / "models" / "diffusers" / "Dream v1.5")
    with pytest.raises(index.Unknown, match="no model named"):
        index.find("dream v1.5")
    hashes: list[str] = []

    def say(catalogue: Catalogue) -> None:
        catalogue.describe(Describe(path=str(folder), name="我的 Größe"))
        while entry := hash_next(catalogue):
            hashes.extend([entry.sha256] if entry.path == str(folder) else [])

    known(comfy, say)
    for name in ("dream v1.5", " Dream V1.5 ", "我的 GRÖSSE", hashes[0][:10], str(folder)):
        card = index.find(name)
        assert (card.name, card.path, card.family) == ("Dream v1.5", str(folder), "sd1")
    assert index.find("diffusers/Dream v1.5").name == "diffusers/Dream v1.5"
    assert index.find(r"models\diffusers\Dream v1.5").path == str(folder)
    with pytest.raises(index.Unknown, match="Did you mean “Dream v1.5”"):
        index.find("Dreams v1.5")
    with pytest.raises(index.Unknown):
        index.find("checkpoints/Dream v1.5")


def test_two_of_one_name_are_told_apart_and_two_copies_are_one(comfy: Path, home: Path, put: Put) -> None:
    folders = [put(comfy / "models" / kind / "same") for kind in ("checkpoints", "diffusers")]
    known(comfy)
    with pytest.raises(BadInput, match="name of 2 models. Say which: “checkpoints/same” or “diffusers/same”"):
        index.find("Same")
    assert index.find("diffusers/same").path == str(folders[1])
    known(comfy, lambda catalogue: [None for _ in iter(lambda: hash_next(catalogue), None)])
    assert index.find("same").path == str(folders[0])
    own = put(home / "models" / "same")  # the library has not seen it yet
    (own / "model_index.json").write_text((own / "model_index.json").read_text() + " ")
    with pytest.raises(BadInput, match="“models/same”"):
        index.find("same")


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_in_easels_folder_is_no_second_model(comfy: Path, home: Path, put: Put) -> None:
    folder = put(comfy / "models" / "diffusers" / "linked")
    (home / "models").mkdir(parents=True)
    (home / "models" / "linked").symlink_to(folder)
    known(comfy)
    assert Path(index.find("linked").path).resolve() == folder.resolve()


def test_why_a_known_model_cannot_be_used_is_told(comfy: Path, put: Put) -> None:
    put(comfy / "models" / "diffusers" / "far")
    (comfy / "models" / "checkpoints" / "page.safetensors").write_text("<html>")
    known(comfy)
    with pytest.raises(BadInput, match=r"“page” is broken.*web page"):
        index.find("page")
    comfy.rename(comfy.with_name("away"))
    known(comfy)
    with pytest.raises(BadInput, match="“far” is not to be reached now.*Plug in the drive"):
        index.find("far")


@pytest.mark.parametrize("name", ["", " ", "a\0b", "x" * 5000, "\udcff", "~nobody-here/x", "/", "..", "a/../b", ".pt"])
def test_names_that_no_model_has(comfy: Path, name: str) -> None:
    known(comfy)
    with pytest.raises(index.Unknown):
        index.find(name)


def _entry(path: str, name: str = "", **more: object) -> Entry:
    stem = Path(path).name.removesuffix(".safetensors").removesuffix(".sft")
    return Entry(path=path, name=name or stem, sort="checkpoint", family="sd1", **more)  # pyright: ignore[reportArgumentType]


def test_no_two_are_called_or_shown_the_same() -> None:
    given = [
        _entry("/a/x/dup.safetensors"), _entry("/b/x/dup.safetensors"), _entry("/b/y/dup.safetensors"),
        _entry("/b/y/dup.sft"), _entry("/c/one.safetensors", "Title"), _entry("/c/two.safetensors", "Title"),
        _entry("/c/alone.safetensors", "dup"), _entry("/d/v1.5"), _entry("/d/Alone v2.safetensors", starred=True),
        _entry(str(STARTER), "Easel Starter"), _entry("/d/model", "model"),
    ]  # fmt: skip
    offered = offers(given)
    assert {each.value for each in offered} == {
        "a/x/dup", "b/x/dup", "y/dup.safetensors", "y/dup.sft", "one", "two", "alone", "v1.5", "Alone v2",
        "Easel Starter", "model",
    }  # fmt: skip
    assert [each.label for each in offered][:3] == ["Easel Starter", "Alone v2", "dup · a/x"]
    assert {each.label for each in offered} >= {"Title · one", "Title · two", "dup · alone", "dup · y/dup.sft", "v1.5"}
    assert len({each.label for each in offered}) == len(given)
    for each in offered:
        assert [other.entry for other in offered if meant(offered, each.value) is other] == [each.entry]
        if each.value != "Easel Starter":
            assert [other.path for other in given if is_called(other, each.value)] == [each.entry.path]
    assert meant(offered, "dup") is None
    assert meant(offered, "/b/y/dup.sft").value == "y/dup.sft"  # pyright: ignore[reportOptionalMemberAccess]


def test_thousands_of_one_name_are_told_apart_in_no_time() -> None:
    given = [_entry(f"/m/{number % 50}/{number}/model.safetensors") for number in range(5000)]
    begun = time.process_time()
    offered = offers(given)
    assert time.process_time() - begun < 1  # a tenth of it on an idle machine
    assert {each.value for each in offered} == {f"{number}/model" for number in range(5000)}


@pytest.mark.parametrize(
    ("changes", "is_offered"),
    [
        ({}, True), ({"state": "missing"}, True), ({"sort": "denoiser"}, True), ({"state": "broken"}, False),
        ({"state": "foreign"}, False), ({"family": "Wan"}, False), ({"family": ""}, False),
        ({"is_pickle": True}, True), ({"sort": "lora"}, False),
    ],
)  # fmt: skip
def test_only_what_easel_runs_is_offered(changes: dict[str, object], is_offered: bool) -> None:
    entry = Entry(**{"path": "/a", "name": "a", "sort": "checkpoint", "family": "flux"} | changes)  # pyright: ignore[reportArgumentType]
    assert can_draw(entry) is is_offered
