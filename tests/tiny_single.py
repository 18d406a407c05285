"""Small models that are of the true architectures in what shapes do not tell: heads, groups, what conditions them.

Written as a folder by diffusers itself, and as one file in the original code's form.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from engine.families import FAMILIES
from engine.formats.places import Places
from engine.library.layouts import Layout, layouts_of
from engine.library.recognise import WEIGHTS, is_heavy
from tests.tiny_flux import spread, t5_tokenizer, tiny_t5
from tests.tiny_model import write_tokenizer

SMALL = 514
"""Words of a vocabulary that is bytes alone."""
Tensors = dict[str, torch.Tensor]


def write_folder(folder: Path, family: str, words: int = SMALL, **unet: Any) -> Path:
    """Save a model of the family whose text encoders know that many words; `unet` changes its denoiser."""
    torch.manual_seed(0)
    tokenizer_class = {"tokenizer": CLIPTokenizer, "tokenizer_2": CLIPTokenizer}
    pads = {"tokenizer": "!" if family == "sd2" else "<|endoftext|>", "tokenizer_2": "!"}
    names = [part for part, kind in FAMILIES[family].components.items() if kind == "CLIPTokenizer"]
    for part in names:
        write_tokenizer(folder / part, pads[part])
    parts = {part: tokenizer_class[part].from_pretrained(folder / part) for part in names}
    _PIPELINES[family](parts, words, unet).save_pretrained(folder, safe_serialization=True)
    for part in names:
        write_tokenizer(folder / part, pads[part])
    return folder


def write_file(
    folder: Path, file: Path, family: str, leave: Iterable[str] = (), dtype: torch.dtype | None = None
) -> Path:
    """The folder's weights as one checkpoint, but for the parts to leave out."""
    whole: Tensors = {}
    for part in filter(is_heavy, FAMILIES[family].components):
        if part not in leave and (folder / part).is_dir():
            whole |= original(folder / part, family)
    if family == "sd2":  # the original has a last layer that it does not use
        last = {name: each for name, each in whole.items() if "resblocks.2." in name}
        whole |= {name.replace("resblocks.2.", "resblocks.3."): each + 1 for name, each in last.items()}
    whole = {name: each.to(dtype) if dtype else each for name, each in whole.items()}
    save_file({name: each.contiguous() for name, each in whole.items()}, file)
    return file


def write_bare(folder: Path, family: str, part: str, file: Path, dtype: torch.dtype | None = None) -> Path:
    """One part of the folder as a file that holds nothing else, by the names of its original code."""
    prefix = _form(family, part)[0]
    tensors = {name.removeprefix(prefix): each for name, each in original(folder / part, family).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: (each.to(dtype) if dtype else each).contiguous() for name, each in tensors.items()}, file)
    return file


def original(part: Path, family: str) -> Tensors:
    """One part of a folder by the names of its original code."""
    config = json.loads((part / "config.json").read_text())
    state = load_file(next(part / name for name in WEIGHTS if (part / name).is_file()))
    prefix, layout = _form(family, part.name)
    return {prefix + key: each for key, each in placed(state, layout.places(config)).items()}


def placed(state: Tensors, places: Places) -> Tensors:
    """What lies at each key, from the tensors that are read there."""
    pieces: dict[str, list[tuple[int, torch.Tensor]]] = {}
    for name, place in places.items():
        if place.turn == "identity":
            continue
        tensor = state[name]
        if place.turn == "swapped":
            tensor = torch.cat(tensor.chunk(2)[::-1])
        elif place.turn == "turned":
            tensor = tensor.T
        elif place.turn == "flat":
            tensor = tensor[..., None, None]
        pieces.setdefault(place.key, []).append((place.rows[0] if place.rows else 0, tensor))
    return {key: torch.cat([each for _, each in sorted(rows, key=lambda row: row[0])]) for key, rows in pieces.items()}


def _form(family: str, part: str) -> tuple[str, Layout]:
    """The prefix and the layout that published files have."""
    prefixes, layouts = layouts_of(FAMILIES[family], part)
    kind = {"sd2": "token_embedding.weight", "sdxl-refiner": "token_embedding.weight"}.get(family)
    kind = "token_embedding.weight" if (family, part) == ("sdxl", "text_encoder_2") else kind
    if part in ("vae", "unet", "transformer"):
        kind = {"vae": layouts[0].mark}.get(part) or {"sd3": layouts[1].mark, "flux": layouts[2].mark}.get(family)
    if FAMILIES[family].components[part] == "T5EncoderModel":
        kind = "shared.weight"
    return prefixes[0], next((each for each in layouts if each.mark == kind), layouts[0])


def _vae(channels: int = 4, **numbers: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        sample_size=64,
        **numbers,
    )


def _text(width: int, words: int, act: str = "gelu", layers: int = 2) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        hidden_act=act,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(**({"sample_size": 64, "layers_per_block": 2} | changes))


_NOISE: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
_EXACT: dict[str, Any] = {"clip_sample": False, "set_alpha_to_one": False}
_BOTH: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
_XL: dict[str, Any] = {
    "block_out_channels": (64, 128),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "attention_head_dim": (1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}


def _sd1(parts: Any, words: int, unet: Any) -> Any:
    made = {"block_out_channels": (32, 64), "attention_head_dim": 8, "cross_attention_dim": 768} | _BOTH | unet
    encoder = CLIPTextModel(_text(768, words, "quick_gelu"))
    return _first_kind(parts, encoder, _unet(**made), DDIMScheduler(**_NOISE, **_EXACT))


def _sd2(parts: Any, words: int, unet: Any) -> Any:
    made = {"block_out_channels": (64, 128), "attention_head_dim": (1, 2), "cross_attention_dim": 1024}
    encoder = CLIPTextModel(_text(1024, words, layers=3))
    unet = _unet(**made, **_BOTH, use_linear_projection=True, **unet)
    return _first_kind(parts, encoder, unet, DDIMScheduler(**_NOISE, **_EXACT))


def _first_kind(parts: Any, encoder: Any, unet: Any, steps: Any) -> Any:
    return StableDiffusionPipeline(
        vae=_vae(), text_encoder=encoder, unet=unet, scheduler=steps, safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None, requires_safety_checker=False, **parts,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def _sdxl(parts: Any, words: int, unet: Any) -> Any:
    return StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_text(768, words, "quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_text(1280, words)),
        unet=_unet(**(_XL | {"cross_attention_dim": 2048, "projection_class_embeddings_input_dim": 2816} | unet)),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **_NOISE),
        add_watermarker=False,
        **parts,
    )


def _refiner(parts: Any, words: int, unet: Any) -> Any:
    return StableDiffusionXLImg2ImgPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=None,  # pyright: ignore[reportArgumentType]
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        text_encoder_2=CLIPTextModelWithProjection(_text(1280, words)),
        unet=_unet(**(_XL | {"cross_attention_dim": 1280, "projection_class_embeddings_input_dim": 2560} | unet)),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **_NOISE),
        requires_aesthetics_score=True,
        add_watermarker=False,
        **parts,
    )


def _sd3(parts: Any, words: int, changes: Any) -> Any:
    first = CLIPTextModelWithProjection(_text(768, words, "quick_gelu"))
    first.text_projection.weight.data = torch.eye(768)
    return StableDiffusion3Pipeline(
        vae=_vae(16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=first,
        text_encoder_2=CLIPTextModelWithProjection(_text(1280, words)),
        text_encoder_3=tiny_t5(),
        tokenizer_3=t5_tokenizer(),
        transformer=spread(  # pyright: ignore[reportArgumentType]
            SD3Transformer2DModel(**({
                "sample_size": 128, "num_layers": 3, "attention_head_dim": 64, "num_attention_heads": 2,
                "joint_attention_dim": 4096, "caption_projection_dim": 128, "pooled_projection_dim": 2048,
                "pos_embed_max_size": 24, "dual_attention_layers": (0, 1), "qk_norm": "rms_norm",
            } | changes))
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        **parts,
    )  # fmt: skip


def _flux(parts: Any, words: int, changes: Any) -> Any:
    return FluxPipeline(
        vae=_vae(16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(_text(768, words, "quick_gelu")),
        text_encoder_2=tiny_t5(),
        tokenizer_2=t5_tokenizer(),
        transformer=spread(  # pyright: ignore[reportArgumentType]
            FluxTransformer2DModel(**({
                "in_channels": 64, "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 128,
                "num_attention_heads": 1, "joint_attention_dim": 4096, "pooled_projection_dim": 768,
                "guidance_embeds": True,
            } | changes))
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15),
        **parts,
    )  # fmt: skip


_PIPELINES = {"sd1": _sd1, "sd2": _sd2, "sdxl": _sdxl, "sdxl-refiner": _refiner, "sd3": _sd3, "flux": _flux}
