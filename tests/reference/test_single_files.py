"""A picture from one file against the same picture from the folder that the file was made from."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.library import single_file
from engine.settings import GenerateSettings
from tests.drawing import difference, drawn
from tests.tiny_model import write_tokenizer
from tests.tiny_single import write_file, write_folder


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of its own, where CLIP's vocabulary is that of the small models."""
    folder = tmp_path_factory.mktemp("single files")
    write_tokenizer(folder / "clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "EASEL_HOME", str(folder / "home"))
        patch.setattr(single_file, "CLIP", folder / "clip")
        yield folder


def _asked(model: Path) -> GenerateSettings:
    return GenerateSettings(
        prompt="a red house", model=str(model), seed=1, width=64, height=64, steps=2, scheduler="Euler"
    )


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    return write_folder(home / "home" / "models" / "sd1", "sd1")


@pytest.fixture(scope="module")
def file(home: Path, folder: Path) -> Path:
    return write_file(folder, home / "sd1 file.safetensors", "sd1")


def test_torch_draws_the_same(folder: Path, file: Path) -> None:
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0


def test_openvino_draws_the_same(folder: Path, file: Path) -> None:
    assert difference(drawn(_asked(file), "openvino"), drawn(_asked(folder))) <= 1


def test_both_text_encoders_of_xl_are_the_same(home: Path) -> None:
    folder = write_folder(home / "home" / "models" / "xl", "sdxl")
    file = write_file(folder, home / "xl file.safetensors", "sdxl")
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0
