"""Trains the style LoRA: an old brown print, which the base model never saw."""

from pathlib import Path
from random import Random

import torch
from diffusers import UNet2DConditionModel

from resources.starter_recipe.denoiser import plain_attention
from resources.starter_recipe.diffusion import Examples, Noise, Words, described
from resources.starter_recipe.lora import EVERYTHING, LowRank
from resources.starter_recipe.text_encoder import READ
from resources.starter_recipe.training import Training, falling

BATCH = 24
WARM = 20
"""Steps over which the learning rate rises."""
RATE = 2e-3
RANK = 8


def train(
    path: Path, denoiser: UNet2DConditionModel, examples: Examples, words: Words, *, minutes: float, seed: int = 0
) -> LowRank:
    """Train for `minutes` on drawings of the style; their captions do not name it."""
    torch.manual_seed(seed)
    denoiser = plain_attention(denoiser).requires_grad_(False)
    change = LowRank(denoiser, RANK, EVERYTHING)
    optimizer = torch.optim.AdamW(change.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    training = Training(path, minutes, change=change, optimizer=optimizer)
    rng, noise = Random(seed + training.step), Noise()
    for done in training.steps():
        rows, clean = examples.some(BATCH, rng)
        embeds = words.embeds(described([examples.scenes[row] for row in rows], rng), READ + 4)
        noisy, moments, velocity = noise.added(clean)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = denoiser(noisy, moments, embeds, return_dict=False)[0]
        training.descend(noise.loss(predicted, velocity, moments), optimizer, RATE * falling(done, training.step, WARM))
    return change
