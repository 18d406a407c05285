"""Adapters are found by name wherever the library knows them to lie: in other programs' folders, too."""

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
