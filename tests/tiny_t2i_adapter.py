"""A T2I-Adapter of random weights for a tiny model, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import T2IAdapter


def write_tiny_t2i_adapter(
    folder: Path, channels: tuple[int, ...] = (16, 32), kind: str = "full_adapter", *, seed: int = 4, colours: int = 3
) -> Path:
    """Save one with features as wide as `channels`, some of them strong enough to be seen in a picture."""
    torch.manual_seed(seed)
    adapter = T2IAdapter(
        in_channels=colours, channels=list(channels), num_res_blocks=1,
        downscale_factor=16 if kind.endswith("_xl") else 8, adapter_type=kind,
    )  # fmt: skip
    for weight in adapter.parameters():
        weight.data *= 2
    adapter.save_pretrained(folder, safe_serialization=True)
    return folder
