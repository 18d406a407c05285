"""Writes the trained parts as a model folder in the diffusers layout, the form in which Easel ships it."""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from resources.starter_recipe import tokens
from resources.starter_recipe.denoiser import SCHEDULE


def export(
    target: Path,
    autoencoder: AutoencoderKL,
    text_encoder: CLIPTextModel,
    denoiser: UNet2DConditionModel,
    scaling_factor: float,
    tokenizer: CLIPTokenizer,
) -> None:
    """Replace the folder `target` by the model, weights in float16."""
    autoencoder.register_to_config(scaling_factor=scaling_factor)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=denoiser,
        scheduler=DDIMScheduler(
            **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="trailing"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(part, safe_serialization=True)
    shutil.rmtree(part / "tokenizer")
    tokens.copy(tokenizer, part / "tokenizer")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
