"""Nets as one file, in both forms that people have, and models whose hidden numbers are those of published ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, UNet2DConditionModel
from safetensors.torch import save_file

from tests.tiny_union import SHARED

SHORT_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "controlnet_mid_block": "middle_block_out.0", "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "sd1": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": (1, 1, 2), "use_linear_projection": True},
    "xl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 1, 2),
        "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2, 3),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 1280,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    },
}
"""Of each family what a U-Net's shapes do not tell, or tell apart; the rest is the same everywhere."""


def published_unet(kind: str) -> UNet2DConditionModel:
    """A small one with the hidden numbers of the family's published U-Nets: heads, groups, depths."""
    torch.manual_seed(5)
    blocks: dict[str, Any] = {
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64, 128), layers_per_block=2, **(blocks | KINDS[kind])
    )  # fmt: skip


def published_net(unet: UNet2DConditionModel, **changed: Any) -> ControlNetModel:
    """A ControlNet for the U-Net that speaks; `changed` in its configuration."""
    torch.manual_seed(6)
    config: Any = ControlNetModel.from_unet(unet).config
    return _spoken(ControlNetModel(**{**_arguments(config), **changed}))


def published_union(unet: UNet2DConditionModel, types: int = 8) -> ControlNetUnionModel:
    """A Union net for an XL U-Net that speaks."""
    torch.manual_seed(7)
    config: Any = unet.config
    shared = {name: config[name] for name in SHARED}
    return _spoken(ControlNetUnionModel(**shared, num_control_type=types, num_trans_channel=32, num_proj_channel=32))


def write_file(path: Path, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> Path:
    """The tensors as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().to(dtype).contiguous() for name, tensor in tensors.items()}, path)
    return path


def original_names(net: ControlNetModel) -> dict[str, torch.Tensor]:
    """The net's tensors as the original code names them."""
    config: Any = net.config
    return {_original(name, config.layers_per_block): tensor for name, tensor in net.state_dict().items()}


def _original(name: str, layers: int) -> str:
    module, _, tensor = name.rpartition(".")
    parts = module.split(".")
    match parts:
        case _ if module in OUTSIDE:
            theirs = OUTSIDE[module]
        case ["controlnet_cond_embedding", "blocks", place]:
            theirs = f"input_hint_block.{2 * int(place) + 2}"
        case ["controlnet_down_blocks", place]:
            theirs = f"zero_convs.{place}.0"
        case ["mid_block", "resnets", place, *rest]:
            theirs = f"middle_block.{2 * int(place)}.{SHORT_RESNET['.'.join(rest)]}"
        case ["mid_block", "attentions", _, *rest]:
            theirs = f"middle_block.1.{'.'.join(rest)}"
        case ["down_blocks", level, "downsamplers", *_]:
            theirs = f"input_blocks.{(layers + 1) * (int(level) + 1)}.0.op"
        case ["down_blocks", level, kind, layer, *rest]:
            inside = SHORT_RESNET[".".join(rest)] if kind == "resnets" else ".".join(rest)
            number = 1 + (layers + 1) * int(level) + int(layer)
            theirs = f"input_blocks.{number}.{int(kind == 'attentions')}.{inside}"
        case _:
            raise KeyError(name)
    return f"{theirs}.{tensor}"


def _spoken(net: Any) -> Any:
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    return net.eval().requires_grad_(False)


def _arguments(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}
