"""Names in settings and prompts, and the files behind them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import BadInput
from engine.library import index
from engine.library.adapters import needed
from engine.messages import Adapters
from engine.paths import STARTER
from engine.settings import GenerateSettings
from engine.uses import ControlUse, ImagePrompt, LoraUse

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


def _adapter(folder: Path, channels: tuple[int, ...] = (96, 160, 192), kind: str = "full_adapter") -> Path:
    folder.mkdir(parents=True)
    told = {"_class_name": "T2IAdapter", "channels": channels, "adapter_type": kind}
    (folder / "config.json").write_text(json.dumps(told))
    return folder


def test_a_t2i_adapter_is_chosen_where_no_net_is(home: Path) -> None:
    def net(kind: str) -> str:
        return Path(found(controls=(ControlUse(kind=kind, image="x.png"),)).nets[0]).name

    _adapter(home / "t2i_adapter" / "t2iadapter_color of XL", kind="full_adapter_xl")
    _adapter(home / "t2i_adapter" / "t2iadapter_color of wider", channels=(320, 640))
    _adapter(home / "t2i_adapter" / "t2iadapter_color")
    _adapter(home / "t2i_adapter" / "t2iadapter_canny")
    assert net("palette") == "t2iadapter_color"
    assert net("canny") == "t2iadapter_canny"
    _net(home / "controlnet" / "canny")
    assert net("canny") == "canny"


def test_a_union_is_asked_for_what_it_knows(home: Path) -> None:
    union = _net(home / "controlnet" / "union")
    told = json.loads((union / "config.json").read_text())
    (union / "config.json").write_text(json.dumps(told | {"_class_name": "ControlNetUnionModel"}))
    pose = ControlUse(kind="none", shows="pose", image="x.png")
    assert found(controls=(pose,)).nets == (str(union),)
    for kind in ("tile", "palette"):  # the first is ProMax's alone
        with pytest.raises(BadInput, match=f"does not know control images of the kind “{kind}”"):
            found(controls=(ControlUse(kind="none", shows=kind, image="x.png", net="union"),))
    with pytest.raises(BadInput, match="Say what the control image shows"):
        found(controls=(ControlUse(kind="none", image="x.png", net="union"),))


def test_a_folder_of_another_class_is_refused(home: Path) -> None:
    net = _net(home / "mine")
    (net / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(BadInput, match="of a kind that Easel does not run"):
        found(controls=(ControlUse(kind="canny", image="x", net=str(net)),))


def _ip_adapter(file: Path, cross: int = 768, width: int = 1024, name: str = "proj.weight") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    shapes = {"ip_adapter.1.to_k_ip.weight": (96, cross), f"image_proj.{name}": (8, width)}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, file)
    return file


def _encoder(folder: Path, hidden: int, projected: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"hidden_size": hidden, "projection_dim": projected}))
    (folder / "model.safetensors").write_bytes(b"x")
    return folder


def test_an_image_prompt_gets_an_adapter_and_the_encoder_that_it_reads(home: Path) -> None:
    own = home / "ip_adapter"
    _ip_adapter(own / "ip-adapter_sdxl.safetensors", cross=2048)
    plain = _ip_adapter(own / "models" / "ip-adapter_sd15.safetensors")
    plus = _ip_adapter(own / "models" / "ip-adapter-plus_sd15.safetensors", width=1664, name="proj_in.weight")
    large = _encoder(own / "models" / "image_encoder", 1280, 1024)
    huge = _encoder(own / "bigG", 1664, 1280)
    (damaged := own / "a.safetensors").write_bytes(b"nothing")
    uses = (
        ImagePrompt(image="x.png", adapter="ip-adapter_sd15", weight=0.4),
        ImagePrompt(image="y.png", adapter=str(plus)),
    )
    some = found(image_prompts=uses).image_prompts
    assert [(each.adapter, each.encoder) for each in some] == [(str(plain), str(large)), (str(plus), str(huge))]
    assert (some[0].image, some[0].weight) == ("x.png", 0.4)
    assert found(image_prompts=(ImagePrompt(image="x.png"),)).image_prompts[0].adapter in (str(plain), str(plus))
    for name, cause in (
        ("ip-adapter_sdxl", "is made for another model"), ("ip-adapter_sd1", "Did you mean “ip-adapter_sd15”"),
        (str(damaged), "is made for another model"), ("a\0b", "There is no IP-Adapter named"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=cause):
            found(image_prompts=(ImagePrompt(image="x.png", adapter=name),))


def test_an_image_prompt_that_lacks_something_says_what(home: Path) -> None:
    use = (ImagePrompt(image="x.png"),)
    with pytest.raises(BadInput, match="No IP-Adapter that fits the model “Easel Starter” is installed"):
        found(image_prompts=use)
    file = _ip_adapter(home / "ip_adapter" / "mine.safetensors")
    with pytest.raises(BadInput, match="image encoder that the IP-Adapter “mine.safetensors” reads is missing"):
        found(image_prompts=use)
    file.unlink()
    _ip_adapter(file, name="perceiver_resampler.proj_in.weight")
    with pytest.raises(BadInput, match="of a kind that Easel does not run. Use a plain one"):
        found(image_prompts=use)
