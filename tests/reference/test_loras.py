"""LoRAs in a picture: named in the prompt or in the settings, the same on every backend, and gone again."""

from pathlib import Path

import pytest
import torch
from msgspec import structs
from safetensors.torch import load_file, save_file

from engine.backends import on_torch
from engine.components import Component, Delta, load
from engine.errors import BadInput
from engine.messages import ChosenLora
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings, LoraUse
from tests.drawing import difference, drawn, prepared

PLAIN = GenerateSettings(prompt="a red house", model="tiny", seed=7, steps=4, guidance_scale=5.0, width=64, height=64)
CHANGED = {
    "unet": ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v", "mid_block.resnets.0.conv1", "conv_out"),
    "te": ("text_model.encoder.layers.0.self_attn.v_proj", "text_model.encoder.layers.0.mlp.fc2"),
}


@pytest.fixture(scope="module", autouse=True)
def lora(tiny_model: Path) -> Path:
    """“Tiny Style 风格”, which changes the denoiser and the text encoder."""
    noise = torch.Generator().manual_seed(1)
    modules = {
        "unet": load(Component("unet", "UNet2DConditionModel", tiny_model / "unet")),
        "te": load(Component("text_encoder", "CLIPTextModel", tiny_model / "text_encoder")),
    }
    tensors: dict[str, torch.Tensor] = {}
    for part, paths in CHANGED.items():
        for path in paths:
            weight = modules[part].get_parameter(f"{path}.weight")
            name = f"lora_{part}_{path.replace('.', '_')}"
            down = torch.randn(4, *weight.shape[1:], generator=noise) / weight[0].numel() ** 0.5
            up = torch.randn(weight.shape[0], 4, *[1] * (weight.ndim - 2), generator=noise)
            tensors |= {
                f"{name}.lora_down.weight": down,
                f"{name}.lora_up.weight": up,
                f"{name}.alpha": torch.tensor(2.0),
            }
    folder = tiny_model.parents[1] / "lora"
    folder.mkdir(exist_ok=True)
    path = folder / "Tiny Style 风格.safetensors"
    save_file(tensors, path)
    return path


def _with(weight: float, text_encoder_weight: float | None = None) -> GenerateSettings:
    use = LoraUse(name="tiny style 风格", weight=weight, text_encoder_weight=text_encoder_weight)
    return structs.replace(PLAIN, loras=(use,))


def test_it_is_seen_and_leaves_nothing_behind(tiny_model: Path) -> None:
    pipelines = Pipelines()
    plain, styled, again = (drawn(each, pipelines=pipelines) for each in (PLAIN, _with(1.0), PLAIN))
    assert difference(plain, styled) > 8
    assert again.tobytes() == plain.tobytes()
    assert drawn(_with(0.0), pipelines=pipelines).tobytes() == plain.tobytes()


def test_the_two_parts_have_weights_of_their_own() -> None:
    pipelines = Pipelines()
    both, denoiser, text = (drawn(_with(*each), pipelines=pipelines) for each in ((1.0,), (1.0, 0.0), (0.0, 1.0)))
    assert len({each.tobytes() for each in (both, denoiser, text, drawn(PLAIN, pipelines=pipelines))}) == 4


def test_a_call_in_the_prompt_is_the_same(tiny_model: Path) -> None:
    called = structs.replace(PLAIN, prompt="a red house<lora:Tiny Style 风格:0.7:0.2>")
    assert drawn(called).tobytes() == drawn(_with(0.7, 0.2)).tobytes()


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_block_weights_leave_the_other_blocks_as_they_were(lora: Path, tmp_path: Path, backend: str) -> None:
    """BASE, IN00 to IN03, M00, OUT00 to OUT03: the same as a file with the one block's layers."""
    pipelines = Pipelines()
    rows = {"lora_unet_down": "0,0,0.5,0,0,0,0,0,0,0", "lora_unet_mid": "0,0,0,0,0,0.5,0,0,0,0"}
    for start, row in rows.items():
        path = tmp_path / f"{start}.safetensors"
        save_file({name: each for name, each in load_file(lora).items() if name.startswith(start)}, path)
        some = structs.replace(PLAIN, loras=(LoraUse(name=str(path), weight=0.4),))
        called = structs.replace(PLAIN, prompt=f"a red house<lora:tiny style 风格:0.8:lbw={row}>")
        assert drawn(called, backend, "fp32", pipelines).tobytes() == drawn(some, backend, "fp32", pipelines).tobytes()
    with pytest.raises(BadInput, match="was given 3 block weights"):
        prepared(structs.replace(PLAIN, prompt="<lora:tiny style 风格:1:lbw=1,0,1>"), pipelines=pipelines)


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_openvino_is_torch_within_one_level(weight: float) -> None:
    assert difference(drawn(_with(weight), "openvino"), drawn(_with(weight))) <= 1


def test_openvino_forgets_it_again() -> None:
    pipelines = Pipelines()
    plain, styled, again = (drawn(each, "openvino", "int8", pipelines) for each in (PLAIN, _with(1.0), PLAIN))
    assert difference(plain, styled) > 8
    assert again.tobytes() == plain.tobytes()


def test_of_two_both_are_seen(lora: Path) -> None:
    pipelines = Pipelines()
    twice = structs.replace(PLAIN, loras=(_with(0.5).loras[0], LoraUse(name=str(lora), weight=0.5)))
    assert difference(drawn(twice, pipelines=pipelines), drawn(_with(1.0), pipelines=pipelines)) <= 1


def test_a_name_that_is_none_is_answered_with_the_nearest(tiny_model: Path) -> None:
    with pytest.raises(BadInput, match="no LoRA named “tiny stile”.* Did you mean “Tiny Style 风格”"):
        prepared(structs.replace(PLAIN, loras=(LoraUse(name="tiny stile"),)))


def test_one_of_another_family_is_refused(tmp_path: Path) -> None:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v"
    down, up = torch.randn(2, 2048), torch.randn(16, 2)
    save_file({f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}, tmp_path / "xl.safetensors")
    with pytest.raises(BadInput, match="“xl.safetensors” was made for Stable Diffusion XL"):
        prepared(structs.replace(PLAIN, loras=(LoraUse(name=str(tmp_path / "xl.safetensors")),)))


def test_one_that_is_gone_since_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no LoRA named"):
        prepared(structs.replace(PLAIN, loras=(LoraUse(name=str(tmp_path / "gone.safetensors")),)))


def test_one_that_changed_on_the_disk_is_read_again(lora: Path, tmp_path: Path) -> None:
    pipelines, path = Pipelines(), tmp_path / "mine.safetensors"
    asked = structs.replace(PLAIN, loras=(LoraUse(name=str(path)),))
    path.write_bytes(lora.read_bytes())
    before = drawn(asked, pipelines=pipelines)
    save_file({name: tensor * 2 for name, tensor in load_file(lora).items()}, path)
    assert difference(before, drawn(asked, pipelines=pipelines)) > 4


def test_a_change_that_was_stopped_is_made_whole(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines = Pipelines()
    plain = drawn(PLAIN, pipelines=pipelines)
    merge = on_torch.merge

    def stopped(module: object, component: Component, deltas: list[Delta]) -> None:
        if component.part == "text_encoder":
            raise MemoryError
        merge(module, component, deltas)

    monkeypatch.setattr("engine.backends.cpu.merge", stopped)
    with pytest.raises(MemoryError):
        drawn(_with(1.0), pipelines=pipelines)
    monkeypatch.undo()
    assert drawn(PLAIN, pipelines=pipelines).tobytes() == plain.tobytes()
    assert drawn(_with(1.0), pipelines=pipelines).tobytes() == drawn(_with(1.0)).tobytes()


def test_one_that_vanished_meanwhile_is_named(lora: Path, tmp_path: Path) -> None:
    gone = ChosenLora(path=str(tmp_path / "gone 没了.safetensors"), weight=1.0, text_encoder_weight=1.0)
    pipelines = Pipelines()
    drawn(PLAIN, pipelines=pipelines)
    with pytest.raises(BadInput, match="“gone 没了.safetensors” is not there any more"):
        pipelines.change((gone,))
