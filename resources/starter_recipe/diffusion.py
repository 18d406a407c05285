"""What every training of or around the denoiser shares: noise, the loss, and prompts that guide."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from random import Random

import numpy as np
import torch
from diffusers import DDPMScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from resources.starter_recipe.captions import caption, some_named
from resources.starter_recipe.text_encoder import tokens_of
from resources.starter_recipe.world import NOTHING, Scene

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
"""Stable Diffusion's noise schedule; velocity prediction settles large areas of colour in fewer steps."""
UNGUIDED = 0.12
"""The share of captions left empty, for classifier-free guidance (Ho and Salimans 2022)."""
SNR_LIMIT = 5.0
"""Min-SNR weighting (Hang et al. 2023), for velocity: min(snr, 5) / (snr + 1)."""


PAIRED = 2
"""How much oftener than others two different things are shown: what belongs to which is the hardest to learn."""


@dataclass(frozen=True)
class Examples:
    """Latents of drawings, float16 [n, 4, h, w] of unit variance; row n shows `scenes[n]`."""

    latents: np.ndarray
    scenes: list[Scene]

    @cached_property
    def _shares(self) -> list[int]:
        return list(accumulate(1 if scene.other == NOTHING else PAIRED for scene in self.scenes))

    def with_some(self, others: "Examples", share: float) -> "Examples":
        """These, and so many of the others that they are about this share of the whole."""
        count = round(share * len(self.scenes))
        return Examples(np.concatenate((self.latents, others.latents[:count])), self.scenes + others.scenes[:count])

    def some(self, count: int, rng: Random) -> tuple[list[int], torch.Tensor]:
        """Random rows, and their latents as float32 [count, 4, h, w]."""
        rows = rng.choices(range(len(self.scenes)), cum_weights=self._shares, k=count)
        latents = torch.from_numpy(self.latents[rows].astype(np.float32))
        return rows, latents.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Words:
    """The tokenizer and the frozen text encoder."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel

    def embeds(self, texts: list[str], length: int | None = None) -> torch.Tensor:
        """Prompt embeds bfloat16 [b, 77, 768], or of the first `length` tokens alone."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            ids = tokens_of(self.tokenizer, texts)[:, :length]
            return self.text_encoder(ids).last_hidden_state.to(torch.bfloat16)


def described(scenes: list[Scene], rng: Random, unguided: float = UNGUIDED) -> list[str]:
    """A caption of each scene, worded anew; some are left empty."""
    return ["" if rng.random() < unguided else caption(scene, some_named(scene, rng), rng) for scene in scenes]


class Noise:
    """Adds noise and judges the velocity that is found in it (Salimans and Ho 2022)."""

    def __init__(self) -> None:
        self.schedule = DDPMScheduler(**SCHEDULE)
        signal = self.schedule.alphas_cumprod / (1 - self.schedule.alphas_cumprod)
        weights = signal.clamp(max=SNR_LIMIT) / (signal + 1)
        self._weights = weights / weights.mean()

    def added(self, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Noisy latents, the moments [b] from 0 to 999 they belong to, and the velocity there."""
        noise = torch.randn_like(clean)
        moments = torch.randint(len(self._weights), (len(clean),))
        noisy = self.schedule.add_noise(clean, noise, moments)
        return noisy, moments, self.schedule.get_velocity(clean, noise, moments)

    def loss(self, predicted: torch.Tensor, velocity: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
        """The mean squared error, each moment weighted by what can be known there."""
        error = (predicted.float() - velocity).square().mean(dim=(1, 2, 3))
        return (error * self._weights[moments]).mean()
