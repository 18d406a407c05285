"""The architecture of Stable Diffusion XL's refiner with a few thousand random weights, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

from tests.tiny_model import write_tokenizer


def write_tiny_refiner(base: Path, folder: Path) -> Path:
    """Save one that finishes the pictures of the tiny XL model `base`: of the same latents and the second encoder."""
    torch.manual_seed(5)
    own = StableDiffusionXLPipeline.from_pretrained(base, local_files_only=True, torch_dtype=torch.float32)
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=own.vae,
        text_encoder=None,  # pyright: ignore[reportArgumentType]
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        text_encoder_2=own.text_encoder_2,
        tokenizer_2=own.tokenizer_2,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=5 * 8 + 1280,
            cross_attention_dim=1280,
            attention_head_dim=(2, 4),
            norm_num_groups=8,
        ),
        scheduler=own.scheduler,
        requires_aesthetics_score=True,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    write_tokenizer(folder / "tokenizer_2", "!")
    return folder
