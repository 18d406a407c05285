"""ControlNets and T2I-Adapters that are one file, read without being told what they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import load_file

from engine.components import Component, load
from engine.errors import BadInput
from engine.formats.net_files import read_net
from tests.single_nets import KINDS, original_names, published_net, published_unet, published_union, write_file

FORMS = ("diffusers", "original", "original, bare")


@torch.no_grad()
def _residuals(net: Any, **more: Any) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    width = net.config.cross_attention_dim
    added = {"text_embeds": torch.randn(2, 1280, generator=random), "time_ids": torch.ones(2, 6)}
    image: Any = torch.rand(2, 3, 64, 64, generator=random)
    steps, middle = net(
        torch.randn(2, 4, 8, 8, generator=random), 500, torch.randn(2, 77, width, generator=random),
        controlnet_cond=[image] if more else image, added_cond_kwargs=added, return_dict=False, **more,
    )  # fmt: skip
    return [*steps, middle]


def _same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs)) and all(each.any() for each in ours)


def _loaded(path: Path) -> Any:
    return load(Component("controlnet", read_net(path).class_name, path))


def _in_form(net: ControlNetModel, form: str) -> dict[str, torch.Tensor]:
    if form == "diffusers":
        return net.state_dict()
    prefix = "" if "bare" in form else "control_model."
    return {f"{prefix}{name}": tensor for name, tensor in original_names(net).items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_controlnet_is_the_one_that_was_written(kind: str, form: str, tmp_path: Path) -> None:
    net = published_net(published_unet(kind))
    path = write_file(tmp_path / "net.safetensors", _in_form(net, form))
    assert _same(_residuals(_loaded(path)), _residuals(net))


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_original_names_mean_what_diffusers_takes_them_for(kind: str, tmp_path: Path) -> None:
    net: Any = published_net(published_unet(kind))
    path = write_file(tmp_path / "net.safetensors", _in_form(net, "original"))
    theirs = convert_controlnet_checkpoint(load_file(path), dict(net.config))
    ours: Any = _loaded(path)
    assert ours.state_dict().keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.state_dict().items())


def test_a_net_in_float16_counts_in_float32(tmp_path: Path) -> None:
    net = published_net(published_unet("sd1"))
    path = write_file(tmp_path / "net.safetensors", _in_form(net, "original"), torch.float16)
    assert _same(_residuals(_loaded(path)), _residuals(net.half().float()))


@pytest.mark.parametrize("size", ["mid", "small"])
def test_the_lesser_nets_of_xl(size: str, tmp_path: Path) -> None:
    small = {"down_block_types": ("DownBlock2D",) * 3, "mid_block_type": "UNetMidBlock2D"}
    lesser = {"transformer_layers_per_block": (0, 0, 1)} | (small if size == "small" else {})
    net = published_net(published_unet("xl"), **lesser)
    path = write_file(tmp_path / "net.safetensors", net.state_dict())
    assert _same(_residuals(_loaded(path)), _residuals(net))


def test_a_union_net_knows_how_many_kinds_it_knows(tmp_path: Path) -> None:
    net = published_union(published_unet("xl"), types=8)
    path = write_file(tmp_path / "net.safetensors", net.state_dict())
    assert read_net(path).config["num_control_type"] == 8
    types = {"control_type": torch.eye(8)[[5, 5]], "control_type_idx": [5]}
    assert _same(
        _residuals(_loaded(path), conditioning_scale=[0.8], **types), _residuals(net, conditioning_scale=[0.8], **types)
    )


def test_a_whole_model_in_the_file_is_left_aside(tmp_path: Path) -> None:
    net = published_net(published_unet("sd1"))
    beside = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1), "first_stage_model.x": torch.zeros(1)}
    path = write_file(tmp_path / "net.safetensors", _in_form(net, "original") | beside)
    assert _same(_residuals(_loaded(path)), _residuals(net))


def _adapter(kind: str, colours: int = 3) -> T2IAdapter:
    torch.manual_seed(4)
    channels, side = ([8, 16, 24] if kind == "light_adapter" else [8, 16, 24, 24]), 16 if kind.endswith("_xl") else 8
    return T2IAdapter(
        in_channels=colours, channels=channels, num_res_blocks=2, downscale_factor=side, adapter_type=kind
    )  # fmt: skip


def _original_adapter(adapter: T2IAdapter) -> dict[str, torch.Tensor]:
    """The tensors as the original code names them: all layers in one row, or in a light one a row a level."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in adapter.state_dict().items():
        match name.split("."):
            case ["adapter", "body", level, "resnets", layer, *rest] if "light" in adapter.config["adapter_type"]:
                found[f"body.{level}.body.{layer}.{'.'.join(rest)}"] = tensor
            case ["adapter", "body", level, "resnets", layer, *rest]:
                found[f"body.{2 * int(level) + int(layer)}.{'.'.join(rest)}"] = tensor
            case ["adapter", "body", level, *rest] if "light" not in adapter.config["adapter_type"]:
                found[f"body.{2 * int(level)}.{'.'.join(rest)}"] = tensor
            case _:
                found[name.removeprefix("adapter.")] = tensor
    return found


@pytest.mark.parametrize("form", ["diffusers", "original"])
@pytest.mark.parametrize("kind", ["full_adapter", "full_adapter_xl", "light_adapter"])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_t2i_adapter_is_the_one_that_was_written(colours: int, kind: str, form: str, tmp_path: Path) -> None:
    adapter = _adapter(kind, colours)
    tensors = adapter.state_dict() if form == "diffusers" else _original_adapter(adapter)
    path = write_file(tmp_path / "adapter.safetensors", tensors)
    seen = torch.rand(1, colours, 64, 64)
    with torch.no_grad():
        assert _same(_loaded(path)(seen), adapter(seen))


def _refused(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        _loaded(path)
    assert path.name in refused.value.cause
    return refused.value.cause


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("difference", "only the difference"),
        ("lora_controlnet", "Control-LoRA"),
        ("lllite_unet_x.conditioning1.0.weight", "LLLite"),
        ("double_blocks.0.img_attn.norm.key_norm.scale", "for Stable Diffusion 3 or FLUX"),
        ("controlnet_x_embedder.weight", "“x_embedder.weight” is missing"),
        ("nothing", "“nothing” is missing or unknown"),
    ],
)
def test_what_is_no_such_net(name: str, why: str, tmp_path: Path) -> None:
    assert why in _refused(write_file(tmp_path / "net.safetensors", {name: torch.zeros(2)}))


def test_a_net_for_shuffled_pictures_is_refused_by_its_name(tmp_path: Path) -> None:
    net = published_net(published_unet("sd1"))
    path = write_file(tmp_path / "control_v11e_sd15_Shuffle.safetensors", _in_form(net, "original"))
    assert "takes the average" in _refused(path)


def test_a_net_that_is_cut_off_or_misshapen(tmp_path: Path) -> None:
    net = published_net(published_unet("sd1"))
    path = write_file(tmp_path / "net.safetensors", _in_form(net, "original"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "are missing" in _refused(path)
    tensors = dict(net.state_dict())
    less = {name: tensor for name, tensor in tensors.items() if "conv_out" not in name}
    assert "has not the tensors" in _refused(write_file(path, less))
    wrong = tensors | {"mid_block.resnets.0.conv1.weight": torch.zeros(3, 3)}
    assert "has not the tensors" in _refused(write_file(path, wrong))
    odd = tensors | {"down_blocks.1.resnets.0.conv1.weight": torch.zeros(50, 32, 3, 3)}
    assert "shapes are none of a net" in _refused(write_file(path, odd))
    assert "shapes are none of a net" in _refused(write_file(path, tensors | {"conv_in.weight": torch.zeros(3)}))
    body = {"body.0.block1.weight": torch.zeros(8, 8, 3, 3), "conv_in.weight": torch.zeros(8, 77, 3, 3)}
    assert "“77” is missing or unknown" in _refused(write_file(path, body))


def test_a_header_alone_never_gives_a_traceback(tmp_path: Path) -> None:
    """Every tensor of a sound net left out by turns."""
    tensors = _in_form(published_net(published_unet("sd1")), "original")
    for name in list(tensors)[::25]:
        less = {each: tensor for each, tensor in tensors.items() if each != name}
        path = write_file(tmp_path / "net.safetensors", less)
        assert json.dumps(_refused(path))
