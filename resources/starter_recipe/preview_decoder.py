"""Trains the tiny autoencoder whose decoder shows each step of a drawing (after TAESD, Boer Bohan 2023)."""

from pathlib import Path
from random import Random

import torch
from diffusers import AutoencoderTiny
from torch.nn.functional import l1_loss, mse_loss

from resources.starter_recipe.autoencoder import Encoded
from resources.starter_recipe.training import Training, falling

BATCH = 8
WARM = 20
"""Steps over which the learning rate rises."""
RATE = 2e-3
CHANNELS = 32


def new_preview_decoder() -> AutoencoderTiny:
    """An untrained one: latents of unit variance in, a picture in -1 to 1 out."""
    return AutoencoderTiny(
        encoder_block_out_channels=(CHANNELS,) * 4,
        decoder_block_out_channels=(CHANNELS,) * 4,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(2, 2, 2, 1),
        scaling_factor=1.0,
    )


def train(path: Path, encoded: list[Encoded], *, minutes: float, seed: int = 0) -> AutoencoderTiny:
    """Train both ways, for `minutes`, half of the time on the first of `encoded`."""
    torch.manual_seed(seed)
    model = new_preview_decoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    training = Training(path, minutes, model=model, optimizer=optimizer)
    rng = Random(seed + training.step)
    for done in training.steps():
        pictures, examples = encoded[0] if rng.random() < 0.5 else rng.choice(encoded[1:])
        rows, latents = examples.some(BATCH, rng)
        pixels = torch.from_numpy(pictures[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            decoded = model.decode(latents).sample.float()
            guessed = model.encode(pixels).latents.float()
        loss = l1_loss(decoded, pixels) + mse_loss(decoded, pixels) + 0.1 * mse_loss(guessed, latents)
        training.descend(loss, optimizer, RATE * falling(done, training.step, WARM))
    return model.eval()
