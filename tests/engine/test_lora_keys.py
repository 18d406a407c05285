"""kohya's names against diffusers' own reading of such files, up to where it hands them to peft."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from diffusers.utils.state_dict_utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
from transformers import CLIPTextConfig, CLIPTextModel

from engine.formats.lora_keys import ALPHA, DOWN, UP, kohya_name, modules_by_kohya_name
from engine.library.recognise import read_json
from engine.paths import STARTER


def _paths(unet: torch.nn.Module, text_encoder: torch.nn.Module) -> dict[str, list[str]]:
    """Of every Linear and Conv2d."""
    return {
        part: [path for path, module in root.named_modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))]
        for part, root in (("unet", unet), ("text_encoder", text_encoder))
    }


@pytest.fixture(scope="module", params=["starter", "SD 1.5"])
def paths(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    with torch.device("meta"):
        if request.param == "SD 1.5":
            return _paths(UNet2DConditionModel(cross_attention_dim=768), CLIPTextModel(CLIPTextConfig()))
        return _paths(
            UNet2DConditionModel.from_config(read_json(STARTER / "unet" / "config.json")),  # pyright: ignore[reportArgumentType]
            CLIPTextModel(CLIPTextConfig(**read_json(STARTER / "text_encoder" / "config.json"))),
        )


def test_diffusers_reads_every_name_as_the_module_it_stands_for(paths: dict[str, list[str]]) -> None:
    # Outside the blocks diffusers has no rule, and kohya trains nothing there.
    blocks = {
        "unet": [path for path in paths["unet"] if path.startswith(("down_blocks.", "mid_block.", "up_blocks."))],
        "text_encoder": paths["text_encoder"],
    }
    tensors = {
        kohya_name(part, path) + suffix: torch.tensor(float(place))
        for part in blocks
        for place, path in enumerate(blocks[part])
        for suffix in (DOWN, UP, ALPHA)
    }
    read, alphas = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    assert len(alphas) == len(tensors) / 3
    to_peft = {"unet": convert_unet_state_dict_to_peft, "text_encoder": convert_state_dict_to_peft}
    for part, convert in to_peft.items():
        mine = {name.removeprefix(f"{part}."): tensor for name, tensor in read.items() if name.startswith(f"{part}.")}
        assert convert(mine) == {
            f"{path}.{side}.weight": tensors[kohya_name(part, path) + suffix]
            for path in blocks[part]
            for side, suffix in (("lora_A", DOWN), ("lora_B", UP))
        }


def test_every_module_is_found_again_by_its_name(paths: dict[str, list[str]]) -> None:
    modules = modules_by_kohya_name(paths)
    assert len(modules) == len(paths["unet"]) + len(paths["text_encoder"])
    for name, (part, path) in modules.items():
        assert kohya_name(part, path) == name
        assert path in paths[part]


def test_names_as_published_files_have_them(paths: dict[str, list[str]]) -> None:
    modules = modules_by_kohya_name(paths)
    assert modules["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"] == (
        "unet",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
    )
    assert modules["lora_te_text_model_encoder_layers_0_self_attn_q_proj"] == (
        "text_encoder",
        "text_model.encoder.layers.0.self_attn.q_proj",
    )
