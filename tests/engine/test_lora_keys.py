"""kohya's names against diffusers' own reading of such files, up to where it hands them to peft."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from diffusers.utils.state_dict_utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft
from transformers import CLIPTextConfig, CLIPTextModel

from engine.formats.lora_keys import ALPHA, DOWN, UP, kohya_name, modules_by_kohya_name, read_key, sgm_names
from engine.formats.sd_keys import single_file_names
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


@pytest.fixture(scope="module")
def sdxl() -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
            use_linear_projection=True,
        )


def _changeable(unet: torch.nn.Module) -> list[str]:
    return [path for path, each in unet.named_modules() if isinstance(each, (torch.nn.Linear, torch.nn.Conv2d))]


def test_diffusers_reads_the_original_names_as_the_same_modules(sdxl: UNet2DConditionModel) -> None:
    """Of XL only: block 10 and on, which 1.x has, 0.37.1 takes for parts of block 1."""
    every = sgm_names(_changeable(sdxl))
    assert len(set(every.values())) == len(every)
    assert every.keys() == set(_changeable(sdxl))
    # Outside the blocks diffusers has no rule.
    names = {ours: theirs for ours, theirs in every.items() if "_blocks." in ours or "mid_block." in ours}
    tensors = {
        "lora_unet_" + theirs.replace(".", "_") + suffix: torch.tensor(float(place))
        for place, theirs in enumerate(names.values())
        for suffix in (DOWN, UP)
    }
    mapped = _maybe_map_sgm_blocks_to_diffusers(dict(tensors), sdxl.config)
    read, _ = _convert_non_diffusers_lora_to_diffusers(mapped)
    found = convert_unet_state_dict_to_peft({name.removeprefix("unet."): tensor for name, tensor in read.items()})
    assert {name: float(tensor) for name, tensor in found.items()} == {
        f"{ours}.{side}.weight": float(place) for place, ours in enumerate(names) for side in ("lora_A", "lora_B")
    }


@pytest.mark.parametrize("source", ["starter", "SD 1.5"])
def test_original_names_are_those_of_single_file_checkpoints(source: str) -> None:
    with torch.device("meta"):
        config = read_json(STARTER / "unet" / "config.json") if source == "starter" else {"cross_attention_dim": 768}
        unet = UNet2DConditionModel.from_config(config)  # pyright: ignore[reportArgumentType]
    whole = single_file_names("unet", unet.config)  # pyright: ignore[reportAttributeAccessIssue]
    names = sgm_names(_changeable(unet))
    assert names.keys() == set(_changeable(unet))
    for ours, theirs in names.items():
        assert whole[f"{ours}.weight"] == f"model.diffusion_model.{theirs}.weight"


@pytest.mark.parametrize(("name", "role"), [
    ("lora_unet_x.lora_mid.weight", "mid"),
    ("base_model.model.x.lora_A.my-style.weight", "down"),
    ("unet.x.processor.to_k_lora.up.weight", "up"),
    ("text_encoder.x.lora_linear_layer.up.weight", "up"),
    ("unet.x.lora_magnitude_vector", "magnitude"),
    ("unet.x.lora_magnitude_vector.default.weight", "magnitude"),
    ("lycoris_x.dora_scale", "dora_scale"),
    ("lora_unet_x.lokr_w1_a", "lokr_w1_a"),
    ("base_model.model.x.hada_t1.default", "hada_t1"),
    ("lora_unet_x.diff", "diff"),
])  # fmt: skip
def test_what_each_ending_means(name: str, role: str) -> None:
    key = read_key(name)
    assert key is not None
    assert key.role == role


@pytest.mark.parametrize("name", ["", "x", ".alpha", "bundle_emb.cat.emb_params", "lora_unet_x.lora_down", "x.bias"])
def test_other_names_mean_nothing(name: str) -> None:
    assert read_key(name) is None
