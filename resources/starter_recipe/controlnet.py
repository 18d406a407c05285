"""Trains the ControlNet (Zhang et al. 2023): the frozen denoiser learns to draw along given lines."""

from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch.nn.functional import max_pool2d

from resources.starter_recipe.denoiser import plain_attention
from resources.starter_recipe.diffusion import Examples, Noise, Words, described
from resources.starter_recipe.lines import lines
from resources.starter_recipe.text_encoder import READ
from resources.starter_recipe.training import Training, falling

BATCH = 48
RATE = 5e-4
UNSAID = 0.4
"""The share of empty captions: the lines alone must do then."""
THICK = 0.3
"""The share of lines that are three pixels wide, as a person draws them."""


def new_controlnet(denoiser: UNet2DConditionModel) -> ControlNetModel:
    """The denoiser's first half, with ways in for the lines and silent ways out."""
    return ControlNetModel.from_unet(denoiser)


def train(
    path: Path,
    denoiser: UNet2DConditionModel,
    pictures: np.ndarray,
    examples: Examples,
    words: Words,
    *,
    minutes: float,
    seed: int = 0,
) -> ControlNetModel:
    """Train for `minutes`; row n of `pictures`, uint8 [n, h, w, 3], is what row n of `examples` encodes."""
    torch.manual_seed(seed)
    denoiser = plain_attention(denoiser).requires_grad_(False)
    model = plain_attention(new_controlnet(denoiser))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=0.01)
    training = Training(path, minutes, model=model, optimizer=optimizer)
    rng, noise = Random(seed + training.step), Noise()
    for done in training.steps():
        rows, clean = examples.some(BATCH, rng)
        embeds = words.embeds(described([examples.scenes[row] for row in rows], rng, UNSAID), READ + 4)
        asked = drawn_lines(pictures, rows, thick=rng.random() < THICK)
        noisy, moments, velocity = noise.added(clean)
        with torch.autocast("cpu", torch.bfloat16):
            steps, middle = model(noisy, moments, embeds, asked, return_dict=False)
            predicted = denoiser(
                noisy,
                moments,
                embeds,
                down_block_additional_residuals=steps,
                mid_block_additional_residual=middle,
                return_dict=False,
            )[0]
        training.descend(noise.loss(predicted, velocity, moments), optimizer, RATE * falling(done, training.step))
    return model.eval()


def drawn_lines(pictures: np.ndarray, rows: list[int], *, thick: bool = False) -> torch.Tensor:
    """The lines of some pictures as a ControlNet takes them, float [b, 3, h, w]: white on black."""
    pixels = torch.from_numpy(pictures[rows]).permute(0, 3, 1, 2).float() / 255
    found = lines(pixels)
    return (max_pool2d(found, 3, 1, 1) if thick else found).expand(-1, 3, -1, -1).contiguous()
