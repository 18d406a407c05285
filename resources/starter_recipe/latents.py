"""The drawings as latents, encoded once."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

BATCH = 32


def encoded(work: Path, model: AutoencoderKL, pictures: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """float16 [count, 4, h/8, w/8] of unit variance, and the factor that makes it so (SD's scaling factor)."""
    path = work / f"latents-{count}.npz"
    if not path.exists():
        rows: list[np.ndarray] = []
        for first in range(0, count, BATCH):
            pixels = torch.from_numpy(np.array(pictures[first : min(first + BATCH, count)]))
            pixels = pixels.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last) / 127.5 - 1
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                rows.append(model.encode(pixels).latent_dist.mode().float().numpy())
        latents = np.concatenate(rows)
        factor = 1 / float(latents.std())
        part = path.with_suffix(".part.npz")
        np.savez(part, latents=(latents * factor).astype(np.float16), factor=factor)
        part.rename(path)
    kept = np.load(path)
    return kept["latents"], float(kept["factor"])
