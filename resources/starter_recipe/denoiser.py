"""Trains the denoiser on the latents of the drawings, guided by the frozen text encoder."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from resources.starter_recipe.captions import caption, some_named
from resources.starter_recipe.text_encoder import WIDTH, tokens_of
from resources.starter_recipe.world import Scene

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
"""Stable Diffusion's noise schedule; velocity prediction settles large areas of colour in fewer steps."""
BATCH = 64
RATE = 6e-4
UNGUIDED = 0.12
"""The share of captions left empty, for classifier-free guidance (Ho and Salimans 2022)."""
WORDINGS = 6
"""Captions of each scene in one run; a resumed run words them anew."""
SNR_LIMIT = 5.0
"""Min-SNR weighting (Hang et al. 2023), for velocity: min(snr, 5) / (snr + 1)."""
EMA = 0.998
SAVE_EVERY_SECONDS = 120


def new_denoiser(sample_size: int) -> UNet2DConditionModel:
    """An untrained one."""
    return UNet2DConditionModel(
        sample_size=sample_size,
        block_out_channels=(96, 160, 192),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def train(
    work: Path,
    latents: np.ndarray,
    scenes: list[Scene],
    words: tuple[CLIPTokenizer, CLIPTextModel],
    *,
    minutes: float,
    seed: int = 0,
) -> UNet2DConditionModel:
    """Train for `minutes` of wall clock and give the averaged weights; resumes what was begun.

    `latents` are scaled to unit variance, [n, 4, h, w]; row n shows `scenes[n]`.
    """
    torch.manual_seed(seed)
    model = new_denoiser(latents.shape[-1]).to(memory_format=torch.channels_last)
    model.set_attn_processor(AttnProcessor())  # plain products: their backward pass is the faster one on a CPU
    average = new_denoiser(latents.shape[-1]).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    kept: dict[str, Any] = {"model": model, "average": average, "optimizer": optimizer}
    path = work / "denoiser.pt"
    spent, step = _resume(path, kept)
    began = saved = time.monotonic() - spent
    losses: list[float] = []
    for loss in _losses(model, _batches(latents, scenes, words, seed + step)):
        done = (time.monotonic() - began) / (minutes * 60)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 200) * (0.02 + 0.98 * math.cos(done * math.pi / 2) ** 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        _blend(average, model, min(EMA, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if step % 25 == 0:
            print(f"{done:6.1%} step {step} loss {np.mean(losses[-25:]):.4f}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            _save(path, kept, time.monotonic() - began, step)
            saved = time.monotonic()
    _save(path, kept, minutes * 60, step)
    return average.eval()


def trained_so_far(work: Path) -> UNet2DConditionModel:
    """The averaged weights of the last checkpoint."""
    state = torch.load(work / "denoiser.pt", weights_only=True)
    average = new_denoiser(state["sample_size"])
    average.load_state_dict(state["average"])
    return average.eval()


def _batches(
    latents: np.ndarray, scenes: list[Scene], words: tuple[CLIPTokenizer, CLIPTextModel], seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Clean latents [64, 4, h, w] and prompt embeds [64, 77, 768]."""
    rng = Random(seed)
    described = _described(list(dict.fromkeys(scenes)), words, rng)
    unguided = _embeds([""], words)[0]
    while True:
        rows = [rng.randrange(len(scenes)) for _ in range(BATCH)]
        embeds = [
            unguided if rng.random() < UNGUIDED else described[scenes[row]][rng.randrange(WORDINGS)] for row in rows
        ]
        clean = torch.from_numpy(latents[rows].astype(np.float32))
        yield clean.contiguous(memory_format=torch.channels_last), torch.stack(embeds)


def _described(
    scenes: list[Scene], words: tuple[CLIPTokenizer, CLIPTextModel], rng: Random
) -> dict[Scene, torch.Tensor]:
    """Each scene in a few wordings, bfloat16 [WORDINGS, 77, 768]; encoded once, a sixth of a step's time saved."""
    return {scene: _embeds([caption(scene, some_named(rng), rng) for _ in range(WORDINGS)], words) for scene in scenes}


def _embeds(texts: list[str], words: tuple[CLIPTokenizer, CLIPTextModel]) -> torch.Tensor:
    tokenizer, text_encoder = words
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return text_encoder(tokens_of(tokenizer, texts)).last_hidden_state.to(torch.bfloat16)


def _losses(
    model: UNet2DConditionModel, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]
) -> Iterator[torch.Tensor]:
    schedule = DDPMScheduler(**SCHEDULE)
    signal = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    weights = signal.clamp(max=SNR_LIMIT) / (signal + 1)
    for clean, embeds in batches:
        noise = torch.randn_like(clean)
        moments = torch.randint(schedule.config["num_train_timesteps"], (len(clean),))
        noisy = schedule.add_noise(clean, noise, moments)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = model(noisy, moments, embeds, return_dict=False)[0]
        error = (predicted.float() - schedule.get_velocity(clean, noise, moments)).square().mean(dim=(1, 2, 3))
        yield (error * weights[moments]).mean() / weights.mean()


@torch.no_grad()
def _blend(average: UNet2DConditionModel, model: UNet2DConditionModel, keep: float) -> None:
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)


def _resume(path: Path, kept: dict[str, Any]) -> tuple[float, int]:
    if not path.exists():
        return 0.0, 0
    state = torch.load(path, weights_only=True)
    for name, each in kept.items():
        each.load_state_dict(state[name])
    return state["spent"], state["step"]


def _save(path: Path, kept: dict[str, Any], spent: float, step: int) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {name: each.state_dict() for name, each in kept.items()}
        | {"spent": spent, "step": step, "sample_size": kept["model"].config.sample_size},
        part,
    )
    part.rename(path)
