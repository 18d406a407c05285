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

_LORA = Path(__file__).parents[1] / "data" / "lora"


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


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sd3", "flux"])
def test_torch_draws_the_same(home: Path, family: str) -> None:
    folder = write_folder(home / "home" / "models" / family, family)
    file = write_file(folder, home / f"{family}.safetensors", family)
    if family == "sd2":  # only the file's name would tell
        file = file.rename(home / "sd2-v.safetensors")
        file.with_suffix(".yaml").write_text("model:\n  params:\n    parameterization: 'v'\n")
    assert difference(drawn(_asked(file)), drawn(_asked(folder))) == 0


def test_openvino_draws_the_same(home: Path) -> None:
    folder = write_folder(home / "sd1 again", "sd1")
    file = write_file(folder, home / "openvino.safetensors", "sd1")
    assert difference(drawn(_asked(file), "openvino"), drawn(_asked(folder), "openvino")) == 0
