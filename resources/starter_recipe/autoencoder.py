"""Trains the autoencoder: pictures of 8 x 8 pixels a latent, four channels, as Stable Diffusion has."""

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn.functional import l1_loss, mse_loss

from resources.starter_recipe.drawing import NATIVE_SIZE

CROP = 64
"""Side of the crops of the first part of the training: four times the steps for the same time."""
BATCH = {CROP: 8, NATIVE_SIZE: 4}
RATE = 1e-3
KL_WEIGHT = 1e-6
SAVE_EVERY_SECONDS = 90


def new_autoencoder() -> AutoencoderKL:
    """An untrained one of 3.9 million weights."""
    return AutoencoderKL(
        block_out_channels=(32, 64, 128, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=16,
        sample_size=NATIVE_SIZE,
        layers_per_block=1,
    )


def train(
    work: Path, pictures: np.ndarray, *, minutes: float, full_share: float = 0.25, seed: int = 0
) -> AutoencoderKL:
    """Train for `minutes` of wall clock, the last `full_share` of it on whole pictures; resumes what was begun."""
    torch.manual_seed(seed)
    model = new_autoencoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    path = work / "autoencoder.pt"
    spent, step = 0.0, 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        spent, step = state["spent"], state["step"]
    rng = np.random.default_rng(seed + step)
    budget = minutes * 60
    began = saved = time.monotonic() - spent
    while (done := (time.monotonic() - began) / budget) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * max(0.02, (1 - done) ** 1.0)
        side = CROP if done < 1 - full_share else NATIVE_SIZE
        loss = _loss(model, _batch(pictures, side, rng))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if step % 200 == 0:
            print(f"{done:6.1%} step {step} side {side} loss {loss.item():.4f}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            _save(path, model, optimizer, time.monotonic() - began, step)
            saved = time.monotonic()
    _save(path, model, optimizer, budget, step)
    return model


def _batch(pictures: np.ndarray, side: int, rng: np.random.Generator) -> torch.Tensor:
    count, size = BATCH[side], pictures.shape[1]
    crops = []
    for each in rng.integers(len(pictures), size=count):
        top, left = rng.integers(size - side + 1, size=2)
        crops.append(pictures[each, top : top + side, left : left + side])
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _loss(model: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        posterior = model.encode(pixels).latent_dist
        rebuilt = model.decode(posterior.sample()).sample.float()
    edges = sum(l1_loss(rebuilt.diff(dim=axis), pixels.diff(dim=axis)) for axis in (2, 3))
    return l1_loss(rebuilt, pixels) + mse_loss(rebuilt, pixels) + edges + KL_WEIGHT * posterior.kl().mean()


def _save(path: Path, model: AutoencoderKL, optimizer: torch.optim.Optimizer, spent: float, step: int) -> None:
    part = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "spent": spent, "step": step}
    torch.save(state, part)
    part.rename(path)
