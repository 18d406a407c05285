"""Trains the denoiser on the latents of the drawings, guided by the frozen text encoder."""

from pathlib import Path
from random import Random
from typing import TypeVar

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from resources.starter_recipe.diffusion import Examples, Noise, Words, described
from resources.starter_recipe.text_encoder import READ, WIDTH
from resources.starter_recipe.training import Training, blend, falling

Network = TypeVar("Network", UNet2DConditionModel, ControlNetModel)
BATCH = 64
"""Examples of 16 x 16 latents a step; fewer of larger ones."""
RATE = 6e-4
EMA = 0.998
ALL_SIZES = 0.6
"""When the other sizes join in, as a share of the time. Until then only the tokens that captions use are read."""


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


def plain_attention(model: Network) -> Network:
    """With attention as plain products, whose backward pass is the faster one on a CPU, and channels last."""
    model.set_attn_processor(AttnProcessor())
    return model.to(memory_format=torch.channels_last)


def train(
    path: Path, native: Examples, others: list[Examples], words: Words, *, minutes: float, seed: int = 0
) -> UNet2DConditionModel:
    """Train for `minutes` of wall clock and give the averaged weights; `path` keeps the state to go on from."""
    torch.manual_seed(seed)
    size = native.latents.shape[-1]
    model, average = plain_attention(new_denoiser(size)), new_denoiser(size).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    training = Training(path, minutes, model=model, average=average, optimizer=optimizer)
    rng, noise = Random(seed + training.step), Noise()
    for done in training.steps():
        every = done >= ALL_SIZES
        examples = rng.choice(others) if every and others and rng.random() < 0.5 else native
        count = BATCH * size * size // (examples.latents.shape[-1] * examples.latents.shape[-2])
        rows, clean = examples.some(count, rng)
        captions = described([examples.scenes[row] for row in rows], rng)
        embeds = words.embeds(captions, None if every else READ + 4)
        noisy, moments, velocity = noise.added(clean)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = model(noisy, moments, embeds, return_dict=False)[0]
        training.descend(noise.loss(predicted, velocity, moments), optimizer, RATE * falling(done, training.step))
        blend(average, model, min(EMA, (1 + training.step) / (10 + training.step)))
    return average.eval()
