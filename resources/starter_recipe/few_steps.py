"""Distils the denoiser into few steps: a latent-consistency LoRA (Luo et al. 2023, "LCM-LoRA")."""

import copy
from pathlib import Path
from random import Random

import torch
from diffusers import UNet2DConditionModel

from resources.starter_recipe.denoiser import plain_attention
from resources.starter_recipe.diffusion import Examples, Noise, Words, described
from resources.starter_recipe.lora import EVERYTHING, LowRank
from resources.starter_recipe.text_encoder import READ
from resources.starter_recipe.training import Training, blend, falling

BATCH = 32
WARM = 20
"""Steps over which the learning rate rises."""
RATE = 5e-4
RANK = 32
EMA = 0.97
SKIP = 20
"""Moments that the teacher's one step leaps; LCM's 50 steps of 1000."""
GUIDANCE = 6.0
"""The guidance scale that is distilled into the LoRA; it is then used without guidance."""
BOUNDARY, SCALE = 0.5, 10.0
"""Standard deviation of the data and scale of the moments in the boundary condition, as LCMScheduler has them."""
HUBER = 0.01


def train(
    path: Path, denoiser: UNet2DConditionModel, examples: Examples, words: Words, *, minutes: float, seed: int = 0
) -> LowRank:
    """Train for `minutes`; gives the averaged factors."""
    torch.manual_seed(seed)
    denoiser = plain_attention(denoiser).requires_grad_(False)
    followed = plain_attention(copy.deepcopy(denoiser))
    change = LowRank(denoiser, RANK, EVERYTHING)
    average = LowRank(followed, RANK, EVERYTHING).requires_grad_(False)
    average.load_state_dict(change.state_dict())
    optimizer = torch.optim.AdamW(change.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.0)
    training = Training(path, minutes, change=change, average=average, optimizer=optimizer)
    rng, noise = Random(seed + training.step), Noise()
    empty = words.embeds([""], READ + 4).expand(BATCH, -1, -1)
    for done in training.steps():
        rows, clean = examples.some(BATCH, rng)
        embeds = words.embeds(described([examples.scenes[row] for row in rows], rng, unguided=0.0), READ + 4)
        later = (torch.randint(1, 1000 // SKIP + 1, (BATCH,)) * SKIP - 1).clamp(min=SKIP)
        sooner = later - SKIP
        noisy = noise.schedule.add_noise(clean, torch.randn_like(clean), later)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad(), change.silent():
                stepped = _guided_step(denoiser, noise, noisy, later, sooner, embeds, empty)
            with torch.no_grad():
                target = _consistent(followed, noise, stepped, sooner, embeds)
            found = _consistent(denoiser, noise, noisy, later, embeds)
        loss = ((found - target).square() + HUBER**2).sqrt().mean() - HUBER
        training.descend(loss, optimizer, RATE * falling(done, training.step, WARM))
        blend(average, change, EMA)
    return average


def _guided_step(
    denoiser: UNet2DConditionModel,
    noise: Noise,
    noisy: torch.Tensor,
    later: torch.Tensor,
    sooner: torch.Tensor,
    embeds: torch.Tensor,
    empty: torch.Tensor,
) -> torch.Tensor:
    """One DDIM step of the teacher with classifier-free guidance, from `later` to `sooner`."""
    both = denoiser(noisy.repeat(2, 1, 1, 1), later.repeat(2), torch.cat((embeds, empty)), return_dict=False)[0]
    guided, free = both.float().chunk(2)
    velocity = free + GUIDANCE * (guided - free)
    signal, sigma = _scales(noise, later)
    clean, residue = signal * noisy - sigma * velocity, signal * velocity + sigma * noisy
    signal, sigma = _scales(noise, sooner)
    return signal * clean + sigma * residue


def _consistent(
    denoiser: UNet2DConditionModel, noise: Noise, noisy: torch.Tensor, moments: torch.Tensor, embeds: torch.Tensor
) -> torch.Tensor:
    """The consistency function: the picture that the noisy latents lead to, themselves at moment 0."""
    velocity = denoiser(noisy, moments, embeds, return_dict=False)[0].float()
    signal, sigma = _scales(noise, moments)
    scaled = moments.float()[:, None, None, None] * SCALE
    kept = BOUNDARY**2 / (scaled**2 + BOUNDARY**2)
    return kept * noisy + scaled / (scaled**2 + BOUNDARY**2).sqrt() * (signal * noisy - sigma * velocity)


def _scales(noise: Noise, moments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of signal and of noise at the moments, [b, 1, 1, 1]."""
    kept = noise.schedule.alphas_cumprod[moments][:, None, None, None]
    return kept.sqrt(), (1 - kept).sqrt()
