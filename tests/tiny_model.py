"""A Stable Diffusion 1.x or 2.x model of a few thousand random weights, written by diffusers itself."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def write_tiny_model(folder: Path, kind: str = "sd1") -> Path:
    """Save a real pipeline with 8 pixels a latent and a native size of 64; two runs write the same weights.

    `kind` is "sd1", "sd1-inpaint" (nine channels go into the U-Net), "sd1-lcm" (told its guidance scale) or "sd2"
    (a wider text encoder, velocity prediction and zero terminal SNR).
    """
    width = 1024 if kind == "sd2" else 768
    schedule = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    torch.manual_seed(0)
    tokenizer_folder = folder / "tokenizer"
    write_tokenizer(tokenizer_folder)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=514,
                hidden_size=width,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=width // 64,
                bos_token_id=512,
                eos_token_id=513,
                pad_token_id=513,
            )
        ),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer_folder),
        unet=UNet2DConditionModel(
            sample_size=8,
            in_channels=9 if kind == "sd1-inpaint" else 4,
            time_cond_proj_dim=32 if kind == "sd1-lcm" else None,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=width,
            attention_head_dim=2,
            norm_num_groups=8,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            **(schedule if kind == "sd2" else {}),
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.text_encoder.text_model.final_layer_norm.bias.data.fill_(0.1)  # CLIP's embeds have a mean
    pipeline.save_pretrained(folder, safe_serialization=True)
    write_tokenizer(tokenizer_folder)
    return folder


def write_tiny_preview(model: Path, **settings: object) -> Path:
    """Give the model a preview decoder of random weights in float16; `settings` go to `AutoencoderTiny`."""
    torch.manual_seed(1)
    shape = {
        "encoder_block_out_channels": (8,) * 4,
        "decoder_block_out_channels": (8,) * 4,
        "num_encoder_blocks": (1,) * 4,
        "num_decoder_blocks": (1,) * 4,
    }
    folder = model / "preview"
    AutoencoderTiny(**(shape | settings)).half().save_pretrained(folder, safe_serialization=True)  # pyright: ignore[reportArgumentType]
    return folder


def write_tokenizer(folder: Path, pad: str = "<|endoftext|>") -> None:
    """CLIP's byte alphabet without any merge: every text becomes its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": pad,
        "unk_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
