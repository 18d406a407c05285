import json
import shutil
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library.recognise import recognise


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "my model 模型"))


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_that_diffusers_wrote_is_recognised(model: Path) -> None:
    found = recognise(model)
    assert (found.family.name, found.native_size, found.size_multiple) == ("sd1", 64, 16)
    assert found.size_bytes == sum(file.stat().st_size for file in model.glob("*/*.safetensors"))


@pytest.mark.parametrize(
    "file",
    [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(model: Path, file: str) -> None:
    (model / file).unlink()
    with pytest.raises(BadInput, match=file.rpartition("/")[2].replace(".", r"\.")):
        recognise(model)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_truncated_file_is_told(model: Path, part: str) -> None:
    path = next((model / part).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadInput, match=r"1,000 of its .* bytes are missing"):
        recognise(model)


@pytest.mark.parametrize("garbage", ["", "{", "[]", "null", "[" * 50_000])
def test_a_garbled_configuration_is_told(model: Path, garbage: str) -> None:
    (model / "unet" / "config.json").write_text(garbage)
    with pytest.raises(BadInput, match=r"unet/config\.json"):
        recognise(model)


def test_another_family_is_refused_kindly(model: Path) -> None:
    _change(model / "unet" / "config.json", cross_attention_dim=1536)
    with pytest.raises(BadInput, match="of a kind that Easel does not run. It runs: Stable Diffusion 1.x"):
        recognise(model)


def test_a_class_that_does_not_belong_is_refused(model: Path) -> None:
    index = json.loads((model / "model_index.json").read_text())
    index["unet"] = ["my_code", "Backdoor"]
    (model / "model_index.json").write_text(json.dumps(index))
    (model / "unet" / "my_code.py").write_text("raise SystemExit('run')")
    with pytest.raises(BadInput, match="names Backdoor as its unet.*never runs code"):
        recognise(model)


@pytest.mark.parametrize("blocks", [None, [], "many", [1] * 30])
def test_a_model_without_a_size_is_told(model: Path, blocks: object) -> None:
    _change(model / "vae" / "config.json", block_out_channels=blocks)
    with pytest.raises(BadInput, match="does not say its size"):
        recognise(model)
