"""Adapters in PyTorch's files: drawn with as from .safetensors files, the originals left alone, nothing in them run."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.adapters.embedding import read_embedding
from engine.errors import BadInput, Cancelled
from engine.library.adapters import needed
from engine.library.index import find
from engine.messages import Adapters, ChosenImagePrompt, ChosenLora
from engine.settings import GenerateSettings, LoraUse
from engine.tasks.unpickled import unpickled
from engine.upscalers import compact
from engine.upscalers.reading import read_upscaler

DATA = Path(__file__).parents[1] / "data"


def _silent(_what: str, _done: float) -> None:
    """Told, and says nothing."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家 home"))
    return tmp_path / "家 home"


def _pickled(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(load_file(source), target)
    return target


def test_every_file_becomes_one_of_safetensors_and_stays_where_it_is(home: Path, tmp_path: Path) -> None:
    source = next((DATA / "lora").rglob("*.safetensors"))
    old = _pickled(source, tmp_path / "风格 style.pt")
    before = old.read_bytes()
    asked = Adapters(
        loras=(ChosenLora(path=str(old), weight=1.0, text_encoder_weight=1.0),),
        nets=(str(old), str(tmp_path)),
        image_prompts=(ChosenImagePrompt(image="a", adapter=str(old), encoder="b", weight=1.0),),
        upscaler="",
    )
    found = unpickled(asked, _silent)
    assert found.nets[1] == str(tmp_path)
    assert found.upscaler == ""
    theirs = load_file(source)
    for path in (found.loras[0].path, found.nets[0], found.image_prompts[0].adapter):
        ours = load_file(path)
        assert Path(path).suffix == ".safetensors"
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert old.read_bytes() == before
    assert unpickled(found, _silent) == found


def test_a_pickled_upscaler_enlarges_as_its_safetensors_file(home: Path, tmp_path: Path) -> None:
    network = compact.SRVGGNetCompact(compact.Config(channels=3, width=4, convs=1, scale=3)).eval()
    torch.save({"params_ema": network.state_dict()}, tmp_path / "x3.pth")
    safe = unpickled(Adapters(upscaler=str(tmp_path / "x3.pth")), _silent).upscaler
    pixels = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(read_upscaler(Path(safe))(pixels), network(pixels))


@pytest.mark.parametrize("form", ["a1111", "diffusers"])
def test_pickled_embeddings(home: Path, tmp_path: Path, form: str) -> None:
    vectors = torch.randn(3, 768)
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors)})
    whole: dict[str, Any] = {"string_to_token": {"*": 265}, "string_to_param": parameters, "name": "x", "step": 5}
    torch.save(whole if form == "a1111" else {"<x>": vectors}, tmp_path / "x.pt")
    assert torch.equal(read_embedding(tmp_path / "x.pt", [768])[0], vectors)


def test_names_lead_to_pickled_files_too(home: Path) -> None:
    _pickled(next((DATA / "lora").rglob("*.safetensors")), home / "lora" / "Old.ckpt")
    chosen = needed(GenerateSettings(loras=(LoraUse(name="old"),)), find("Easel Starter"))
    assert chosen.loras[0].path == str(home / "lora" / "Old.ckpt")


class _Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def test_what_wants_to_run_is_refused(home: Path, tmp_path: Path) -> None:
    torch.save({"lora": _Evil(tmp_path / "canary")}, tmp_path / "evil.pt")
    lora = ChosenLora(path=str(tmp_path / "evil.pt"), weight=1.0, text_encoder_weight=1.0)
    with pytest.raises(BadInput, match=r"evil\.pt"):
        unpickled(Adapters(loras=(lora,)), _silent)
    assert not (tmp_path / "canary").exists()


def test_making_a_copy_can_be_called_off(home: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.randn(4_000_000)}, tmp_path / "large.pt")

    def cancel(_what: str, _done: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        unpickled(Adapters(upscaler=str(tmp_path / "large.pt")), cancel)
    assert list((home / "cache").rglob("*.safetensors")) == []
