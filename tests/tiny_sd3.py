"""Stable Diffusion 3.5's architecture with few random weights, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from tests.tiny_flux import T5_WIDTH, spread, t5_tokenizer, tiny_t5, tiny_vae
from tests.tiny_model import write_tokenizer


def write_tiny_sd3(folder: Path, *, with_t5: bool = True) -> Path:
    """Save a real pipeline of 8 pixels a latent and a native size of 64, if asked without the large text encoder.

    The widths between the parts are the family's own; the first block has 3.5 medium's second attention.
    """
    torch.manual_seed(0)
    pads = (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!"))
    for part, pad in pads:
        write_tokenizer(folder / part, pad)
    pipeline = StableDiffusion3Pipeline(
        vae=tiny_vae(scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=CLIPTextModelWithProjection(_text(768, "quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_text(1280, "gelu")),
        text_encoder_3=tiny_t5() if with_t5 else None,  # pyright: ignore[reportArgumentType]
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        tokenizer_3=t5_tokenizer() if with_t5 else None,  # pyright: ignore[reportArgumentType]
        transformer=spread(  # pyright: ignore[reportArgumentType]
            SD3Transformer2DModel(
                sample_size=8,
                num_layers=3,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=T5_WIDTH,
                caption_projection_dim=32,
                pooled_projection_dim=768 + 1280,
                pos_embed_max_size=24,
                dual_attention_layers=(0,),
                qk_norm="rms_norm",
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part, pad in pads:
        write_tokenizer(folder / part, pad)
    return folder


def _text(width: int, act: str) -> CLIPTextConfig:
    """The end token is the wrong one of the family's own configuration."""
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=width // 64,
        hidden_act=act,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
