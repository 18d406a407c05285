"""A ControlNet of random weights for the tiny model, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import ControlNetModel, UNet2DConditionModel


def write_tiny_controlnet(model: Path, folder: Path, seed: int = 2) -> Path:
    """Save one that speaks: what diffusers leaves at zero, so that a training starts silent, is random here."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True, torch_dtype=torch.float32)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16))
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
    net.save_pretrained(folder, safe_serialization=True)
    return folder
