"""A Union ControlNet of random weights for a tiny XL model, written by diffusers itself."""

from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetUnionModel, UNet2DConditionModel

SHARED = (
    "addition_embed_type", "addition_time_embed_dim", "attention_head_dim", "block_out_channels", "cross_attention_dim",
    "down_block_types", "layers_per_block", "norm_num_groups", "projection_class_embeddings_input_dim",
    "transformer_layers_per_block", "use_linear_projection",
)  # fmt: skip


def write_tiny_union(model: Path, folder: Path, types: int = 6) -> Path:
    """Save one that speaks: what diffusers leaves at zero, so that a training starts silent, is random here."""
    torch.manual_seed(3)
    unet: Any = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    width = unet.config.block_out_channels[0]
    net = ControlNetUnionModel(
        **{name: unet.config[name] for name in SHARED}, conditioning_embedding_out_channels=(8, 8, 16, 16),
        num_control_type=types, num_trans_channel=width, num_trans_head=2, num_proj_channel=width,
    )  # fmt: skip
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    net.save_pretrained(folder, safe_serialization=True)
    return folder
