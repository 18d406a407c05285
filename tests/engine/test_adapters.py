"""Names in settings and prompts, and the files behind them."""

import json
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library import index
from engine.library.adapters import needed
from engine.messages import Adapters
from engine.paths import STARTER
from engine.settings import ControlUse, GenerateSettings, LoraUse

PACK = STARTER.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家 home"))
    return tmp_path / "家 home"


def found(**values: object) -> Adapters:
    settings = GenerateSettings(**values)  # pyright: ignore[reportArgumentType]
    return needed(settings, index.find("Easel Starter"))


def _file(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")
    return folder / name


def _net(folder: Path, width: int = 768, widths: tuple[int, ...] = (96, 160, 192)) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"cross_attention_dim": width, "block_out_channels": widths}))
    return folder


def test_the_starter_brings_its_own() -> None:
    loras = found(loras=(LoraUse(name="Easel-Sepia", weight=0.5),), prompt="a <lora:easel-lcm:1:0> cat").loras
    assert [Path(each.path).parent for each in loras] == [PACK / "lora"] * 2
    assert [(each.weight, each.text_encoder_weight) for each in loras] == [(0.5, 0.5), (1.0, 0.0)]
    assert "easel-teal" in dict(found().embeddings)
    assert found().nets == ()


def test_a_person_s_own_goes_first(home: Path) -> None:
    own = _file(home / "lora", "EASEL-sepia.safetensors")
    assert found(loras=(LoraUse(name="easel-sepia"),)).loras[0].path == str(own)
    elsewhere = _file(home / "else where", "风格.safetensors")
    assert found(loras=(LoraUse(name=str(elsewhere)),)).loras[0].path == str(elsewhere)


def test_a_net_is_chosen_by_the_kind_of_its_control_image(home: Path) -> None:
    def net(kind: str, name: str = "") -> str:
        return Path(found(controls=(ControlUse(kind=kind, image="x.png", net=name),)).nets[0]).name

    assert net("canny") == net("soft edge") == "easel-lines"
    _net(home / "controlnet" / "my_Canny-net")
    _net(home / "controlnet" / "canny of another model", 1024)
    assert net("canny") == "my_Canny-net"
    assert net("scribble") == "easel-lines"
    assert net("canny", "EASEL-lines") == "easel-lines"
    assert net("canny", str(_net(home / "mine"))) == "mine"


@pytest.mark.parametrize(
    ("use", "cause"),
    [
        (ControlUse(kind="depth", image="x"), "No ControlNet for “depth” that fits the model “Easel Starter”"),
        (
            ControlUse(kind="canny", image="x", net="easel-line"),
            "no ControlNet named “easel-line”. Did you mean “easel-lines”",
        ),
        (ControlUse(kind="canny", image="x", net="other"), "“other” is made for another model than “Easel Starter”"),
        (ControlUse(kind="canny", image="x", net="a\0b"), "no ControlNet named"),
    ],
)
def test_a_net_that_is_not_there_or_does_not_fit(home: Path, use: ControlUse, cause: str) -> None:
    _net(home / "controlnet" / "other", 2048)
    with pytest.raises(BadInput, match=cause):
        found(controls=(use,))


@pytest.mark.parametrize("name", ["easel-sepi", "x" * 5000, "a\0b", "../lora/easel-sepia"])
def test_a_lora_that_is_not_there(name: str) -> None:
    with pytest.raises(BadInput, match="There is no LoRA named") as refused:
        found(loras=(LoraUse(name=name),))
    assert len(refused.value.cause) < 130
