"""IP-Adapters of random weights for a tiny model, and the image encoder that they read."""

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

WIDTH, PROJECTED = 32, 24
"""Of the encoder's layers and of its last vector."""


def write_tiny_image_encoder(folder: Path) -> Path:
    """Save one that sees 32 x 32 pixels in pieces of 8."""
    torch.manual_seed(6)
    config = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, projection_dim=PROJECTED, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=8,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder, safe_serialization=True)
    return folder


def write_tiny_ip_adapter(model: Path, file: Path, *, plus: bool = False, seed: int = 7) -> Path:
    """Save one in the form that IP-Adapters are published in, its keys and values as strong as the model's own."""
    noise = torch.Generator().manual_seed(seed)
    unet: Any = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    state: dict[str, torch.Tensor] = {}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            own = unet.get_submodule(name.removesuffix(".processor"))
            for kind in ("to_k", "to_v"):
                shape = getattr(own, kind).weight.shape
                state[f"ip_adapter.{number}.{kind}_ip.weight"] = torch.randn(shape, generator=noise) / shape[1] ** 0.5
    width = unet.config.cross_attention_dim
    for name, shape in (_resampler(width) if plus else _projection(width)).items():
        many = shape[-1] ** 0.5 if len(shape) > 1 else 1
        state[f"image_proj.{name}"] = torch.randn(shape, generator=noise) / many
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    return file


def _projection(width: int) -> dict[str, tuple[int, ...]]:
    return {
        "proj.weight": (4 * width, PROJECTED),
        "proj.bias": (4 * width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }


def _resampler(width: int, inner: int = 64) -> dict[str, tuple[int, ...]]:
    """Of “plus”: eight tokens ask the encoder's, in four layers with one head."""
    layer = {
        "0.norm1.weight": (inner,), "0.norm1.bias": (inner,), "0.norm2.weight": (inner,), "0.norm2.bias": (inner,),
        "0.to_q.weight": (64, inner), "0.to_kv.weight": (128, inner), "0.to_out.weight": (inner, 64),
        "1.0.weight": (inner,), "1.0.bias": (inner,),
        "1.1.weight": (4 * inner, inner), "1.3.weight": (inner, 4 * inner),
    }  # fmt: skip
    ends = {
        "latents": (1, 8, inner), "proj_in.weight": (inner, WIDTH), "proj_in.bias": (inner,),
        "proj_out.weight": (width, inner), "proj_out.bias": (width,),
        "norm_out.weight": (width,), "norm_out.bias": (width,),
    }  # fmt: skip
    layers = {f"layers.{place}.{name}": shape for place in range(4) for name, shape in layer.items()}
    return ends | layers
