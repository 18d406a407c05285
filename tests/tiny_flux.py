"""FLUX.1's architecture with few random weights, written by diffusers itself."""

import string
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from tests.tiny_model import write_tokenizer

T5_WIDTH = 4096
"""Of what both families read of T5."""


def write_tiny_flux(folder: Path, *, guided: bool = True) -> Path:
    """Save a real pipeline of 8 pixels a latent; `guided` like FLUX.1-dev, else like schnell.

    The widths between the parts are FLUX.1's own, so that int8 has a layer to quantise.
    """
    torch.manual_seed(0)
    write_tokenizer(folder / "tokenizer")
    pipeline = FluxPipeline(
        vae=tiny_vae(scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=514,
                hidden_size=768,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=12,
                bos_token_id=0,
                eos_token_id=2,
                pad_token_id=1,
            )
        ),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder_2=tiny_t5(),
        tokenizer_2=t5_tokenizer(),
        transformer=spread(
            FluxTransformer2DModel(
                in_channels=64,
                num_layers=2,
                num_single_layers=2,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=T5_WIDTH,
                pooled_projection_dim=768,
                guidance_embeds=guided,
                axes_dims_rope=(4, 6, 6),
            )
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0 if guided else 1.0,
            use_dynamic_shifting=guided,
            base_shift=0.5,
            max_shift=1.15,
        ),
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    write_tokenizer(folder / "tokenizer")
    return folder


def tiny_vae(**numbers: float) -> AutoencoderKL:
    """Both families' kind: 16 channels, no convolutions around the latents."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=16,
        norm_num_groups=4,
        sample_size=64,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **numbers,
    )


def tiny_t5() -> T5EncoderModel:
    """T5 v1.1's kind, as wide as the large one."""
    return T5EncoderModel(
        T5Config(
            vocab_size=160,
            d_model=T5_WIDTH,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        )
    )


def t5_tokenizer() -> T5Tokenizer:
    """Letters and a few longer pieces."""
    special = ["<pad>", "</s>", "<unk>"]
    letters = ["▁", *string.ascii_letters, ",", ".", "-"]
    pieces = ["▁red", "▁house", "▁a", "ou"]
    scores = [0.0] * len(special) + [-6.0] * len(letters) + [-3.0] * len(pieces)
    return T5Tokenizer(
        vocab=list(zip([*special, *letters, *pieces], scores, strict=True)), extra_ids=0, model_max_length=512
    )


def spread(module: torch.nn.Module) -> torch.nn.Module:
    """The module with larger weights, so that everything it reads is seen in what it predicts."""
    with torch.no_grad():
        for name, each in module.named_parameters():
            if each.ndim > 1:
                each.mul_(2.0)
            elif name.endswith("bias"):
                each.normal_(std=0.1)
    return module
