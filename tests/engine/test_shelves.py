"""Adapters are found by name wherever the library knows them to lie: in other programs' folders, too."""

import os
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library.adapters import needed
from engine.library.catalogue import Catalogue
from engine.library.index import find
from engine.library.named import file_at
from engine.library.roots import roots
from engine.library.scan import scan
from engine.library.shelves import named
from engine.settings import GenerateSettings, LoraUse
from tests.weights import LORA, weights

LORAS = Path(__file__).parents[1] / "data" / "lora"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家 home"))
    return tmp_path / "家 home"


def _known(added: Path) -> None:
    catalogue = Catalogue()
    catalogue.add_root(added)
    for _ in scan(catalogue, roots(catalogue.roots())):
        pass
    catalogue.close()


def test_a_lora_in_another_programs_folder_is_called_by_its_name(home: Path, tmp_path: Path) -> None:
    webui = tmp_path / "webui 网页"
    folder = webui / "models" / "Lora" / "characters"
    folder.mkdir(parents=True)
    (webui / "models" / "Stable-diffusion").mkdir()
    source = next(LORAS.rglob("*.safetensors"))
    shutil.copy(source, folder / "Painted.safetensors")
    asked = GenerateSettings(loras=(LoraUse(name="painted"),))
    with pytest.raises(BadInput, match="no LoRA named"):
        needed(asked, find("Easel Starter"))
    _known(webui)
    assert needed(asked, find("Easel Starter")).loras[0].path == str(folder / "Painted.safetensors")
    (home / "lora").mkdir(parents=True)
    shutil.copy(source, home / "lora" / "painted.safetensors")
    assert needed(asked, find("Easel Starter")).loras[0].path == str(home / "lora" / "painted.safetensors")


def test_of_two_with_one_name_the_folder_before_it_says_which_and_a_drive_that_is_away_is_told(
    home: Path, tmp_path: Path
) -> None:
    source = next(LORAS.rglob("*.safetensors"))
    for folder in ("people 人", "places"):
        (tmp_path / "loras" / folder).mkdir(parents=True)
        shutil.copy(source, tmp_path / "loras" / folder / "last.safetensors")
    _known(tmp_path / "loras")

    def found(name: str) -> str:
        return needed(GenerateSettings(prompt=f"x <lora:{name}:1>"), find("Easel Starter")).loras[0].path

    assert found("last") == str(tmp_path / "loras" / "people 人" / "last.safetensors")
    for name in ("places/last", "loras/Places/last", "places/last.safetensors"):
        assert found(name) == str(tmp_path / "loras" / "places" / "last.safetensors")
    with pytest.raises(BadInput, match="no LoRA named"):
        found("elsewhere/last")
    (tmp_path / "loras").rename(tmp_path / "away")
    _known(tmp_path / "loras")
    with pytest.raises(BadInput, match="“places/last” cannot be used now. The folder .* Plug in the drive"):
        found("places/last")


def test_the_starters_are_there_without_a_library(home: Path) -> None:
    assert "easel-sepia" in named("lora")
    assert not (home / "library.sqlite").exists()


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000, "/", "../../etc/passwd", "none.safetensors"])
def test_names_that_no_file_has(name: str) -> None:
    assert file_at(name) is None


def test_folders_in_easels_own_are_looked_into(home: Path) -> None:
    source = next(LORAS.rglob("*.safetensors"))
    (home / "lora" / "people" / "old").mkdir(parents=True)
    shutil.copy(source, home / "lora" / "people" / "old" / "anna.safetensors")
    (home / "lora" / "loop").symlink_to(home / "lora", target_is_directory=True)
    for name in ("anna", "old/anna"):
        asked = GenerateSettings(prompt=f"a <lora:{name}:1>")
        assert Path(needed(asked, find("Easel Starter")).loras[0].path).name == "anna.safetensors"


def test_a_folder_whose_name_only_begins_like_easels_own_is_another(home: Path) -> None:
    other = home.with_name(f"{home.name}-models")
    other.mkdir()
    shutil.copy(next(LORAS.rglob("*.safetensors")), other / "prefixed.safetensors")
    _known(other)
    assert named("lora")["prefixed"] == other / "prefixed.safetensors"


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_what_bears_no_text_for_a_name_is_left_out(home: Path) -> None:
    (home / "lora").mkdir(parents=True)
    shutil.copy(next(LORAS.rglob("*.safetensors")), home / "lora" / os.fsdecode(b"e\xff.safetensors"))
    assert all(name.isprintable() for name in named("lora"))


def test_of_two_with_one_name_the_one_for_the_models_family_is_meant(home: Path, tmp_path: Path) -> None:
    (home / "lora").mkdir(parents=True)
    for folder, width in ((home / "lora", 2048), (tmp_path / "others", 768)):
        shapes = {name: (1, width) if "lora_down" in name else shape for name, shape in LORA.items()}
        weights(folder / "both.safetensors", shapes)
    _known(tmp_path / "others")
    asked = GenerateSettings(prompt="a <lora:both:1>")
    assert needed(asked, find("Easel Starter")).loras[0].path == str(tmp_path / "others" / "both.safetensors")
