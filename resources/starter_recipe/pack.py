"""Where the parts of the pack lie in its folder, and how they are written there."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from engine.formats.sd_keys import to_single_file
from resources.starter_recipe import tokens
from resources.starter_recipe.diffusion import SCHEDULE
from resources.starter_recipe.training import begin

MODEL = "model"
PREVIEW = f"{MODEL}/preview"
CONTROLNET = "controlnet/easel-lines"
STYLE = "lora/easel-sepia.safetensors"
FEW_STEPS = "lora/easel-lcm.safetensors"
EMBEDDING = "embeddings/easel-teal.safetensors"


def write_model(
    folder: Path,
    autoencoder: AutoencoderKL,
    text_encoder: CLIPTextModel,
    denoiser: UNet2DConditionModel,
    tokenizer: CLIPTokenizer,
) -> None:
    """Replace the base model by these parts, in the diffusers layout, weights in float16."""
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
    target = folder / MODEL
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(part, safe_serialization=True)
    pipeline.to(torch.float32)
    shutil.rmtree(part / "tokenizer")
    tokens.copy(tokenizer, part / "tokenizer")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def write_part(target: Path, part: AutoencoderTiny | ControlNetModel) -> None:
    """Write one network as diffusers does, in float16."""
    part.half().save_pretrained(target, safe_serialization=True)
    part.float()


def begin_from(folder: Path, work: Path, autoencoder_minutes: float) -> None:
    """Write the pack's base model and ControlNet as checkpoints of the recipe; the autoencoder's as a finished one."""
    parts = StableDiffusionPipeline.from_pretrained(folder / MODEL, local_files_only=True, torch_dtype=torch.float32)
    control = ControlNetModel.from_pretrained(folder / CONTROLNET, local_files_only=True, torch_dtype=torch.float32)
    tokens.copy(parts.tokenizer, work / "tokenizer")
    torch.save(parts.text_encoder.state_dict(), work / "text_encoder.pt")
    begin(work / "autoencoder.pt", spent_minutes=autoencoder_minutes, model=parts.vae)
    (work / "scaling_factor.json").write_text(json.dumps(parts.vae.config["scaling_factor"]), "utf-8")
    begin(work / "denoiser.pt", model=parts.unet, average=parts.unet)
    begin(work / "controlnet.pt", model=control)


def write_single_file(folder: Path, target: Path) -> None:
    """The base model as one file under Stable Diffusion's names, as other programs share models."""
    names = {
        "unet": "diffusion_pytorch_model.safetensors",
        "vae": "diffusion_pytorch_model.safetensors",
        "text_encoder": "model.safetensors",
    }
    parts = {part: load_file(folder / MODEL / part / name) for part, name in names.items()}
    configs = {part: json.loads((folder / MODEL / part / "config.json").read_text("utf-8")) for part in names}
    save_file(to_single_file(parts, configs), target, {"format": "pt"})
