"""Every name and tensor against diffusers' own reading of single-file checkpoints."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as diffusers_reader
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from engine.errors import BadInput
from engine.formats.sd_keys import current_names, from_single_file, single_file_names, to_single_file
from engine.library.recognise import read_json, weights
from engine.paths import STARTER

_PARTS = ("unet", "vae", "text_encoder")
_SD15: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2, "cross_attention_dim": 768},
    "vae": {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    },
    "text_encoder": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
}
_NARROW: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": (32, 64, 128, 128), "cross_attention_dim": 32, "norm_num_groups": 8},
    "vae": {"block_out_channels": (32, 64, 128, 128), "norm_num_groups": 8},
    "text_encoder": {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "vocab_size": 99},
}
"""What makes SD 1.5 small and leaves its blocks, its layers and its changes of width as they are."""

_ORIGINAL = "f7c1d1694c608d0553f6b3d8706fc99ce8a50a90dc90048c965bacb57c71d7b5"
"""Of the names and shapes of Stability's own UNetModel, Encoder and Decoder (stable-diffusion-sdkit 2.1.5 from PyPI,
`ldm/modules/diffusionmodules`), built with the values of v1-inference.yaml: 934 tensors."""


class Model(NamedTuple):
    """Tensors by part and name, and the configuration of each part."""

    parts: dict[str, dict[str, torch.Tensor]]
    configs: dict[str, dict[str, Any]]


def _starter() -> Model:
    return Model(
        {part: load_file(weights(STARTER / part)) for part in _PARTS},
        {part: read_json(STARTER / part / "config.json") for part in _PARTS},
    )


def _on_meta(in_channels: int, changes: dict[str, dict[str, Any]]) -> Model:
    """SD 1.5 with some changes, as names and shapes without memory."""
    configs = {part: _SD15[part] | changes.get(part, {}) for part in _PARTS}
    with torch.device("meta"):
        unet = UNet2DConditionModel(**configs["unet"], in_channels=in_channels)
        vae = AutoencoderKL(**configs["vae"])
        text_encoder = CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))
    return Model(
        {"unet": unet.state_dict(), "vae": vae.state_dict(), "text_encoder": text_encoder.state_dict()},
        {"unet": dict(unet.config), "vae": dict(vae.config), "text_encoder": text_encoder.config.to_dict()},
    )


def _narrow(in_channels: int) -> Model:
    """SD 1.5 made small, every tensor random: none is like another, as fresh norms and biases would be."""
    shapes = _on_meta(in_channels, _NARROW)
    torch.manual_seed(0)
    parts = {
        part: {name: torch.randn(tensor.shape) for name, tensor in tensors.items()}
        for part, tensors in shapes.parts.items()
    }
    return Model(parts, shapes.configs)


@pytest.fixture(scope="module", params=["starter", "SD 1.5", "SD 1.5 inpainting"])
def model(request: pytest.FixtureRequest) -> Model:
    return _starter() if request.param == "starter" else _narrow(9 if "inpainting" in request.param else 4)


@pytest.fixture(scope="module")
def starter() -> Model:
    return _starter()


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


def test_diffusers_reads_what_we_write(model: Model) -> None:
    whole = to_single_file(*model)
    assert len(whole) == sum(len(tensors) for tensors in model.parts.values())
    _same(diffusers_reader.convert_ldm_unet_checkpoint(whole, model.configs["unet"]), model.parts["unet"])
    _same(diffusers_reader.convert_ldm_vae_checkpoint(whole, model.configs["vae"]), model.parts["vae"])
    _same(diffusers_reader.convert_ldm_clip_checkpoint(whole), model.parts["text_encoder"])


def test_a_written_file_comes_back_bit_for_bit(model: Model, tmp_path: Path) -> None:
    save_file(to_single_file(*model), tmp_path / "whole.safetensors")
    parts = from_single_file(load_file(tmp_path / "whole.safetensors"), model.configs)
    assert list(parts) == list(_PARTS)
    for part, tensors in parts.items():
        _same(tensors, model.parts[part])


@pytest.mark.parametrize(("in_channels", "kind"), [(4, "v1"), (9, "inpainting")])
def test_the_published_model_has_its_published_size_and_names(in_channels: int, kind: str) -> None:
    model = _on_meta(in_channels, {})
    whole = to_single_file(*model)
    assert diffusers_reader.infer_diffusers_model_type(whole) == kind
    assert diffusers_reader.is_clip_model(whole)
    assert [len(model.parts[part]) for part in _PARTS] == [686, 248, 196]
    size = sum(tensor.numel() for tensor in whole.values())
    assert size == 859_520_964 + 83_653_863 + 123_060_480 + (in_channels - 4) * 320 * 9
    shapes = {name: list(tensor.shape) for name, tensor in whole.items()}
    unet, vae = "model.diffusion_model.", "first_stage_model."
    assert shapes[f"{unet}input_blocks.0.0.weight"] == [320, in_channels, 3, 3]
    assert shapes[f"{unet}input_blocks.1.1.proj_in.weight"] == [320, 320, 1, 1]
    assert shapes[f"{unet}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"] == [320, 768]
    assert shapes[f"{unet}input_blocks.4.0.skip_connection.weight"] == [640, 320, 1, 1]
    assert shapes[f"{unet}output_blocks.2.1.conv.weight"] == [1280, 1280, 3, 3]
    assert shapes[f"{unet}output_blocks.8.2.conv.weight"] == [640, 640, 3, 3]
    assert shapes[f"{unet}output_blocks.11.0.skip_connection.weight"] == [320, 640, 1, 1]
    assert shapes[f"{vae}encoder.mid.attn_1.q.weight"] == [512, 512, 1, 1]
    assert shapes[f"{vae}decoder.up.0.block.0.nin_shortcut.weight"] == [128, 256, 1, 1]


def test_the_original_code_has_the_same_names_and_shapes() -> None:
    """diffusers' reader forgives an inner name that is diffusers' own already; the original would not."""
    whole = to_single_file(*_on_meta(4, {}))
    lines = [f"{name} {list(tensor.shape)}" for name, tensor in whole.items() if not name.startswith("cond_stage_")]
    assert hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() == _ORIGINAL


def test_one_part_alone(starter: Model) -> None:
    vae = {"vae": starter.configs["vae"]}
    assert to_single_file(starter.parts, vae).keys() == set(single_file_names("vae", vae["vae"]).values())
    parts = from_single_file(to_single_file(*starter), vae)
    assert list(parts) == ["vae"]
    _same(parts["vae"], starter.parts["vae"])


def test_what_published_files_carry_besides_is_left_aside(starter: Model) -> None:
    whole = to_single_file(*starter) | {
        "alphas_cumprod": torch.ones(1000),
        "model_ema.decay": torch.ones(()),
        "model_ema.diffusion_modeltime_embed0weight": torch.ones(3),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    for part, tensors in from_single_file(whole, starter.configs).items():
        _same(tensors, starter.parts[part])


def test_a_text_encoder_without_its_outer_name(starter: Model) -> None:
    whole = {name.replace("transformer.text_model.", "transformer."): t for name, t in to_single_file(*starter).items()}
    _same(from_single_file(whole, starter.configs)["text_encoder"], starter.parts["text_encoder"])


@pytest.mark.parametrize("trailing", [(), (1,)])
def test_vae_attention_of_fewer_dimensions_is_read(starter: Model, trailing: tuple[int, ...]) -> None:
    whole = {
        name: tensor.reshape(*tensor.shape[:2], *trailing) if ".attn_1." in name and tensor.ndim == 4 else tensor
        for name, tensor in to_single_file(*starter).items()
    }
    _same(from_single_file(whole, starter.configs)["vae"], starter.parts["vae"])


def test_names_of_2022_are_brought_up_to_date_as_diffusers_does(starter: Model) -> None:
    ages = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = dict(starter.parts["vae"])
    for name in starter.parts["vae"]:
        for new_name, old_name in ages.items():
            if f"attentions.0.{new_name}." in name:
                old[name.replace(new_name, old_name)] = old.pop(name)
    assert sum("proj_attn" in name for name in old) == 4
    vae: Any = AutoencoderKL.from_config(starter.configs["vae"])  # pyright: ignore[reportArgumentType]
    _same(current_names(old), vae._fix_state_dict_keys_on_load(dict(old)))
    _same(to_single_file({**starter.parts, "vae": old}, starter.configs), to_single_file(*starter))


@pytest.mark.parametrize(
    ("part", "stranger"),
    [
        ("unet", "model.diffusion_model.label_emb.0.0.weight"),
        ("vae", "first_stage_model.loss.logvar"),
        ("text_encoder", "cond_stage_model.transformer.text_projection.weight"),
    ],
)
def test_a_missing_and_an_unexpected_tensor_are_named(starter: Model, part: str, stranger: str) -> None:
    config, tensors, whole = {part: starter.configs[part]}, starter.parts[part], to_single_file(*starter)
    ours, theirs = min(single_file_names(part, starter.configs[part]).items())
    with pytest.raises(BadInput, match=f"The model's {part} lacks the tensor “{ours}”"):
        to_single_file({part: {name: tensor for name, tensor in tensors.items() if name != ours}}, config)
    with pytest.raises(BadInput, match=f"The model's {part} has a tensor “stranger”"):
        to_single_file({part: tensors | {"stranger": torch.ones(1)}}, config)
    with pytest.raises(BadInput, match=f"The model's {part} lacks the tensor “{theirs}”"):
        from_single_file({name: tensor for name, tensor in whole.items() if name != theirs}, config)
    with pytest.raises(BadInput, match=f"The model's {part} has a tensor “{stranger}”"):
        from_single_file(whole | {stranger: torch.ones(1)}, config)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("unet", "block_out_channels", None),
        ("unet", "layers_per_block", [1, 1, 1]),
        ("unet", "layers_per_block", -1),
        ("unet", "down_block_types", ["CrossAttnDownBlock2D"]),
        ("unet", "up_block_types", ["UpBlock2D"] * 3),
        ("vae", "layers_per_block", "2"),
        ("vae", "block_out_channels", []),
        ("text_encoder", "num_hidden_layers", 1.5),
        ("text_encoder", "num_hidden_layers", 3),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(starter: Model, part: str, field: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"he model's {part} "):
        from_single_file(to_single_file(*starter), {part: starter.configs[part] | {field: value}})
