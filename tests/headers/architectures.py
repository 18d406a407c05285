"""The tensors of published architectures in full size, without memory, under diffusers' names and the originals'."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from engine.formats.flux_keys import DOUBLE, OUTSIDE, SINGLE
from engine.formats.sd_keys import is_pointwise, single_file_names

Shapes = dict[str, tuple[int, ...]]

_DEPTHS = ("num_layers", "num_single_layers", "num_text_blocks", "num_visual_blocks", "n_layers", "depth")
CONFIGS = Path(__file__).parents[2] / "resources" / "configs"
LDM = "model.diffusion_model."
_NUMBERED = (
    torch.nn.Linear,
    torch.nn.Conv2d,
    torch.nn.Conv3d,
    torch.nn.Embedding,
    torch.nn.LayerNorm,
    torch.nn.GroupNorm,
)


def published(family: str, part: str, **changes: Any) -> dict[str, Any]:
    """The configuration of a published model's part."""
    return json.loads((CONFIGS / family / part / "config.json").read_text()) | changes


def built(class_name: str, **config: Any) -> Shapes:
    """The tensors of diffusers' class with that configuration."""
    return dict(_built(class_name, json.dumps(config)))


def shortened(class_name: str, **config: Any) -> Shapes:
    """The same with two blocks, for a family of which the depth tells nothing: it is built faster."""
    import diffusers

    known = signature(getattr(diffusers, class_name).__init__).parameters
    return built(class_name, **{name: 2 for name in _DEPTHS if name in known}, **config)


def of(family: str, part: str, **changes: Any) -> Shapes:
    """The tensors of a published model's part, by diffusers' names."""
    config = published(family, part, **changes)
    return built(config["_class_name"], **{name: value for name, value in config.items() if not name.startswith("_")})


@contextmanager
def _without_numbers() -> Iterator[None]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for module in _NUMBERED:
            stack.enter_context(patch.object(module, "reset_parameters", lambda self: None))
        stack.enter_context(torch.device("meta"))
        yield


@cache
def _built(class_name: str, config: str) -> Mapping[str, tuple[int, ...]]:
    import diffusers

    with _without_numbers():
        module = getattr(diffusers, class_name)(**json.loads(config))
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


# ------------------------------------------------------------------------------------------------ single files


def ldm_unet(family: str, **changes: Any) -> Shapes:
    """A U-Net under the original code's names."""
    names = single_file_names("unet", published(family, "unet", **changes))
    return {names[name]: shape for name, shape in of(family, "unet", **changes).items() if name in names}


def ldm_vae(family: str = "sd1") -> Shapes:
    """A VAE under the original code's names."""
    names = single_file_names("vae", published(family, "vae"))
    shapes = of(family, "vae")
    return {names[name]: (*shape, 1, 1) if is_pointwise(name) else shape for name, shape in shapes.items()}


def clip(width: int, layers: int, outer: str = "text_model.") -> Shapes:
    """A CLIP text encoder as transformers has it."""
    found: Shapes = {
        f"{outer}embeddings.token_embedding.weight": (49408, width),
        f"{outer}embeddings.position_embedding.weight": (77, width),
        f"{outer}final_layer_norm.weight": (width,),
        f"{outer}final_layer_norm.bias": (width,),
    }
    for layer in range(layers):
        block = f"{outer}encoder.layers.{layer}."
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
            found |= _linear(block + name, width, width)
        found |= _linear(f"{block}mlp.fc1", 4 * width, width) | _linear(f"{block}mlp.fc2", width, 4 * width)
        found |= _norm(f"{block}layer_norm1", width) | _norm(f"{block}layer_norm2", width)
    return found


def open_clip(width: int, layers: int) -> Shapes:
    """A CLIP text encoder as open_clip has it."""
    found: Shapes = {
        "positional_embedding": (77, width),
        "token_embedding.weight": (49408, width),
        "text_projection": (width, width),
        "logit_scale": (),
        **_norm("ln_final", width),
    }
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}."
        found |= {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
        found |= _linear(f"{block}attn.out_proj", width, width) | _norm(f"{block}ln_1", width)
        found |= _linear(f"{block}mlp.c_fc", 4 * width, width) | _linear(f"{block}mlp.c_proj", width, 4 * width)
        found |= _norm(f"{block}ln_2", width)
    return found


def t5(width: int = 4096, layers: int = 24, words: int = 32128, inner: int = 10240) -> Shapes:
    """T5's encoder."""
    found: Shapes = {"shared.weight": (words, width), "encoder.final_layer_norm.weight": (width,)}
    found["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, width // 64)
    for layer in range(layers):
        block = f"encoder.block.{layer}.layer."
        found |= {f"{block}0.SelfAttention.{each}.weight": (width, width) for each in "qkvo"}
        found |= {f"{block}1.DenseReluDense.{each}.weight": (inner, width) for each in ("wi_0", "wi_1")}
        found |= {f"{block}1.DenseReluDense.wo.weight": (width, inner)}
        found |= {f"{block}{each}.layer_norm.weight": (width,) for each in (0, 1)}
    return found


def vision(width: int, layers: int, patch_side: int = 14) -> Shapes:
    """A CLIP image encoder as transformers has it."""
    found: Shapes = {
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, patch_side, patch_side),
        **_norm("vision_model.pre_layrnorm", width),
        **_norm("vision_model.post_layernorm", width),
    }
    for layer in range(layers):
        block = f"vision_model.encoder.layers.{layer}."
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
            found |= _linear(block + name, width, width)
    return found


def checkpoint(family: str, **changes: Any) -> Shapes:
    """A whole checkpoint of one of the families with a U-Net."""
    whole = ldm_unet(family, **changes) | ldm_vae() | {"alphas_cumprod": (1000,), "betas": (1000,)}
    clip_l, clip_g = clip(768, 12), open_clip(1280, 32)
    texts = {
        "sd1": {f"cond_stage_model.transformer.{name}": shape for name, shape in clip_l.items()},
        "sd2": {f"cond_stage_model.model.{name}": shape for name, shape in open_clip(1024, 24).items()},
        "sdxl": {f"conditioner.embedders.0.transformer.{name}": shape for name, shape in clip_l.items()}
        | {f"conditioner.embedders.1.model.{name}": shape for name, shape in clip_g.items()},
        "sdxl-refiner": {f"conditioner.embedders.0.model.{name}": shape for name, shape in clip_g.items()},
    }
    return whole | texts[family]


def sd3(width: int, blocks: int, positions: int, doubled: int = 0) -> Shapes:
    """Stable Diffusion 3's transformer under its authors' names; the first `doubled` blocks attend twice."""
    found: Shapes = {"pos_embed": (1, positions, width), "context_embedder.weight": (width, 4096)}
    found |= {"x_embedder.proj.weight": (width, 16, 2, 2)} | _linear("final_layer.linear", 64, width)
    found |= _linear("y_embedder.mlp.0", width, 2048) | _linear("t_embedder.mlp.0", width, 256)
    for number in range(blocks):
        for stream in ("context_block", "x_block"):
            block = f"joint_blocks.{number}.{stream}."
            last = stream == "context_block" and number == blocks - 1
            parts = 2 if last else 9 if stream == "x_block" and number < doubled else 6
            found |= _linear(f"{block}adaLN_modulation.1", parts * width, width)
            found |= _linear(f"{block}attn.qkv", 3 * width, width)
            if not last:
                found |= _linear(f"{block}attn.proj", width, width)
                found |= _linear(f"{block}mlp.fc1", 4 * width, width) | _linear(f"{block}mlp.fc2", width, 4 * width)
            if doubled:
                found |= {f"{block}attn.ln_q.weight": (64,), f"{block}attn.ln_k.weight": (64,)}
            if parts == 9:
                found |= _linear(f"{block}attn2.qkv", 3 * width, width)
    return found


def flux(guided: bool = True, channels: int = 64, norm: str = "scale", blocks: int = 19) -> Shapes:
    """FLUX.1's transformer under its authors' names."""
    theirs = built("FluxTransformer2DModel", guidance_embeds=guided, in_channels=channels, num_layers=blocks)
    found: Shapes = {}
    for original, ours in OUTSIDE.items():
        if f"{ours}.weight" in theirs:
            found |= _joined(original, [ours], theirs)
    for side, table, outer in (("double", DOUBLE, ""), ("single", SINGLE, "single_")):
        for number in range(blocks if side == "double" else 38):
            for original, parts in table.items():
                ours = [f"{outer}transformer_blocks.{number}.{part}" for part in parts]
                found |= _joined(f"{side}_blocks.{number}.{original}", ours, theirs)
            for stream in ("img_attn.", "txt_attn.") if side == "double" else ("",):
                for each in ("query_norm", "key_norm"):
                    found[f"{side}_blocks.{number}.{stream}norm.{each}.{norm}"] = (128,)
    return found


def _joined(original: str, ours: list[str], theirs: Shapes) -> Shapes:
    rows = sum(theirs[f"{each}.weight"][0] for each in ours)
    return _linear(original, rows, theirs[f"{ours[0]}.weight"][1])


def _linear(name: str, gives: int, takes: int) -> Shapes:
    return {f"{name}.weight": (gives, takes), f"{name}.bias": (gives,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def under(prefix: str, shapes: Shapes) -> Shapes:
    """The same with something before every name."""
    return {prefix + name: shape for name, shape in shapes.items()}
