"""What tests of models in one file have in common."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import paths
from tests.tiny_model import write_tokenizer
from tests.tiny_single import write_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, where CLIP's vocabulary is that of the small models."""
    write_tokenizer(tmp_path / "clip")
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "home 家"))
    monkeypatch.setattr(paths, "CLIP", tmp_path / "clip")
    return tmp_path / "home 家"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small model folder of a family, written once; not to be changed."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = write_folder(tmp_path_factory.mktemp("models") / family, family)
        return made[family]

    return folder
