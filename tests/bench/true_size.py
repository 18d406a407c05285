"""Stable Diffusion 1.5 and XL in their true size with random weights, measured by `easel bench`.

`python -m tests.bench.true_size sd15|sdxl [flags of easel bench]`; the model is written to a folder that is removed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.bench import ROOT, environment
from tests.tiny_model import write_tokenizer

_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
_BIG_TEXT: dict[str, Any] = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
    "projection_dim": 1280, "hidden_act": "gelu",
}  # fmt: skip
_SMALL_TEXT: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "projection_dim": 768,
}  # fmt: skip
_XL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


def write(kind: str, folder: Path) -> Path:
    """Save the model in float16."""
    torch.manual_seed(0)
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    text: Any = _filled(lambda: CLIPTextModel(CLIPTextConfig(**_SMALL_TEXT)))
    vae: Any = _filled(lambda: AutoencoderKL(**_VAE, sample_size=512, scaling_factor=0.18215))
    shared: dict[str, Any] = {"vae": vae, "text_encoder": text, "scheduler": scheduler}
    write_tokenizer(folder / "tokenizer")
    shared["tokenizer"] = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    if kind == "sd15":
        unet: Any = _filled(lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768))
        pipeline: Any = StableDiffusionPipeline(
            **shared, unet=unet, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    else:
        write_tokenizer(folder / "tokenizer_2", "!")
        pipeline = StableDiffusionXLPipeline(
            **shared,
            text_encoder_2=_filled(lambda: CLIPTextModelWithProjection(CLIPTextConfig(**_BIG_TEXT))),
            tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
            unet=_filled(lambda: UNet2DConditionModel(**_XL)),
            add_watermarker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    for part in ("tokenizer", "tokenizer_2")[: 1 + (kind == "sdxl")]:
        write_tokenizer(folder / part, "!" if part == "tokenizer_2" else "<|endoftext|>")
    return folder


@torch.no_grad()
def _filled(make: Any) -> torch.nn.Module:
    """A module of random weights in float16; norms as they begin, so that numbers stay in range."""
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device="cpu").half()
    for name, values in module.state_dict().items():
        if name.endswith("position_ids"):
            values.copy_(torch.arange(values.numel()).reshape(values.shape))
        elif values.ndim > 1:
            values.normal_(std=0.02)
        else:
            values.fill_(1.0 if name.endswith("weight") else 0.0)
    return module


def main() -> None:
    """Write the model, measure it, remove it."""
    kind, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="easel-true-size-") as folder:
        home = Path(folder)
        model = write(kind, home / "models" / kind)
        command = [sys.executable, ROOT / "main.py", "bench", "--json", "--model", model.name, *flags]
        subprocess.run(command, env=environment(home), check=True)


if __name__ == "__main__":
    main()
