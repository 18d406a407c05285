"""Stable Diffusion XL's architecture with a few thousand random weights, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.tiny_model import write_tokenizer


def write_tiny_xl(folder: Path, widths: tuple[int, ...] = (16, 32), in_channels: int = 4) -> Path:
    """Save a real pipeline of 8 pixels a latent and a native size of 64; the widths between the parts are XL's own.

    With nine `in_channels` it is made for inpainting.
    """
    torch.manual_seed(0)
    wide = len(widths) - 1
    for part, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        write_tokenizer(folder / part, pad)
    tokenizers = [CLIPTokenizer.from_pretrained(folder / part) for part in ("tokenizer", "tokenizer_2")]
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
            scaling_factor=0.13025,
        ),
        text_encoder=CLIPTextModel(_text(768, "quick_gelu", 513)),
        text_encoder_2=CLIPTextModelWithProjection(_text(1280, "gelu", 2)),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=UNet2DConditionModel(
            sample_size=8,
            in_channels=in_channels,
            block_out_channels=widths,
            layers_per_block=1,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * wide),
            up_block_types=(*["CrossAttnUpBlock2D"] * wide, "UpBlock2D"),
            transformer_layers_per_block=(1, *[2] * wide),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 1280,
            cross_attention_dim=2048,
            attention_head_dim=(2, *[4] * wide),
            norm_num_groups=8,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        write_tokenizer(folder / part, pad)
    return folder


def _text(width: int, act: str, end: int) -> CLIPTextConfig:
    """The second one's end token is the wrong one of XL's own configuration."""
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=width // 64,
        hidden_act=act,
        bos_token_id=512,
        eos_token_id=end,
        pad_token_id=513,
    )
