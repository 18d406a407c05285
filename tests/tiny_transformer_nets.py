"""ControlNets of random weights for tiny transformers, written by diffusers itself, in the forms that people have."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxControlNetModel, SD3ControlNetModel

KINDS: dict[str, dict[str, Any]] = {
    "flux": {"num_layers": 2, "num_single_layers": 1, "guidance_embeds": True},
    "flux shallow": {"num_layers": 1, "num_single_layers": 0, "guidance_embeds": True},
    "flux union": {"num_layers": 1, "num_single_layers": 2, "guidance_embeds": True, "num_mode": 7},
    "flux of pixels": {  # XLabs'
        "num_layers": 1, "num_single_layers": 0, "guidance_embeds": True, "conditioning_embedding_channels": 16,
        "patch_size": 2,
    },
    "sd3": {"num_layers": 2},
    "sd3 large": {  # Stability's for 3.5 large: no prompt, and places that are its model's
        "num_layers": 1, "joint_attention_dim": None, "use_pos_embed": False, "pos_embed_type": None,
        "force_zeros_for_pooled_projection": False,
    },
}  # fmt: skip
_SHARED = {
    "flux": ("attention_head_dim", "num_attention_heads", "joint_attention_dim", "pooled_projection_dim",
             "axes_dims_rope"),
    "sd3": ("attention_head_dim", "num_attention_heads", "joint_attention_dim", "pooled_projection_dim",
            "caption_projection_dim", "sample_size", "pos_embed_max_size"),
}  # fmt: skip


def write_tiny_transformer_net(model: Path, folder: Path, kind: str, seed: int = 2) -> Path:
    """Save one of `KINDS` that speaks: what diffusers leaves at zero, so that a training starts silent, is random."""
    torch.manual_seed(seed)
    family = kind.split()[0]
    of: Any = FluxControlNetModel if family == "flux" else SD3ControlNetModel
    config = json.loads((model / "transformer" / "config.json").read_text())
    net = of(**({name: config[name] for name in _SHARED[family]} | KINDS[kind]))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if not weight.any() or name.startswith("controlnet_"):
                weight.normal_(std=0.2)
            elif weight.ndim > 1:
                weight.mul_(2.0)
    net.save_pretrained(folder, safe_serialization=True)
    return folder
