"""Trains the autoencoder: pictures of 8 x 8 pixels a latent, four channels, as Stable Diffusion has."""

from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn.functional import l1_loss, mse_loss

from resources.starter_recipe.diffusion import Examples
from resources.starter_recipe.drawing import NATIVE_SIZE
from resources.starter_recipe.training import Training, falling

CROP = 64
"""Side of the crops of the first part of the training: four times the steps for the same time."""
BATCH = {CROP: 12, NATIVE_SIZE: 4}
RATE = 1e-3
KL_WEIGHT = 1e-6
REFINING_RATE = 7e-4
LEFT_OVER = 0.05
"""Standard deviation of the noise in the latents while the decoder is refined."""
Encoded = tuple[np.ndarray, Examples]
"""Pictures uint8 [n, h, w, 3], and the latents of each."""


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
    path: Path, pictures: np.ndarray, *, minutes: float, full_share: float = 0.15, seed: int = 0
) -> AutoencoderKL:
    """Train for `minutes` of wall clock, the last `full_share` of it on whole pictures; `path` keeps the state."""
    torch.manual_seed(seed)
    model = new_autoencoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    training = Training(path, minutes, model=model, optimizer=optimizer)
    rng = np.random.default_rng(seed + training.step)
    for done in training.steps():
        side = CROP if done < 1 - full_share else NATIVE_SIZE
        loss = _loss(model, _batch(pictures, side, rng))
        training.descend(loss, optimizer, RATE * falling(done, training.step))
    return model.eval()


def refine(path: Path, model: AutoencoderKL, encoded: list[Encoded], *, minutes: float, seed: int = 0) -> AutoencoderKL:
    """Train the decoder alone, on whole pictures, for `minutes`: the latents, and all that reads them, stay as they are.

    The first of `encoded` is shown half of the time, the others in turn. The latents get a little noise, as a denoiser
    leaves it.
    """
    torch.manual_seed(seed)
    decoder = torch.nn.ModuleList((model.post_quant_conv, model.decoder)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(decoder.parameters(), REFINING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    training = Training(path, minutes, decoder=decoder, optimizer=optimizer)
    rng = Random(seed + training.step)
    for done in training.steps():
        pictures, examples = encoded[0] if rng.random() < 0.5 else rng.choice(encoded[1:])
        rows, scaled = examples.some(BATCH[NATIVE_SIZE], rng)
        noisy = (scaled + LEFT_OVER * torch.randn_like(scaled)) / model.config["scaling_factor"]
        with torch.autocast("cpu", torch.bfloat16):
            rebuilt = model.decode(noisy).sample.float()
        loss = _difference(rebuilt, pixels_of(pictures[rows]))
        training.descend(loss, optimizer, REFINING_RATE * falling(done, training.step))
    return model.eval()


def _batch(pictures: np.ndarray, side: int, rng: np.random.Generator) -> torch.Tensor:
    count, size = BATCH[side], pictures.shape[1]
    crops = []
    for each in rng.integers(len(pictures), size=count):
        top, left = rng.integers(size - side + 1, size=2)
        crops.append(pictures[each, top : top + side, left : left + side])
    return pixels_of(np.stack(crops))


def pixels_of(pictures: np.ndarray) -> torch.Tensor:
    """Pictures uint8 [n, h, w, 3] as float [n, 3, h, w] in -1 to 1."""
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _loss(model: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        posterior = model.encode(pixels).latent_dist
        rebuilt = model.decode(posterior.sample()).sample.float()
    return _difference(rebuilt, pixels) + KL_WEIGHT * posterior.kl().mean()


def _difference(rebuilt: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Of the pixels, and of their slopes, for the lines."""
    across, down = (l1_loss(rebuilt.diff(dim=axis), pixels.diff(dim=axis)) for axis in (2, 3))
    return l1_loss(rebuilt, pixels) + mse_loss(rebuilt, pixels) + across + down
