"""The transformers of Stable Diffusion 3 and FLUX.1 by the names of their original code.

Sources: https://github.com/Stability-AI/sd3.5, `mmditx.py`; https://github.com/black-forest-labs/flux,
`src/flux/modules/layers.py`. Both hold projections that diffusers has apart as one, and state the shift before the
scale in the last normalisation.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from engine.formats.flux_keys import DOUBLE, OUTSIDE, SINGLE, SWAPPED
from engine.formats.places import Config, Place, Places, Shapes, count, modules, size, split

_SD3_HEAD_WIDTH = 64
_QUERIES = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_SD3_ENDS = {
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "proj_out": "final_layer.linear",
}
_LAST_NORM = "final_layer.adaLN_modulation.1"


class _Telling(NamedTuple):
    """The tensors whose shapes tell a configuration, by one way of naming them."""

    enters: str
    words: str
    pooled: str
    blocks: str
    """One of each block's, with its number to be filled in."""
    more: str
    """The same of blocks that not all transformers have: FLUX.1's single ones, SD3's second attention."""
    norm: str
    """Of the first block's queries or keys."""
    leaves: str = ""
    positions: str = ""
    guided: str = ""


_SD3_TELLING = _Telling(
    enters="x_embedder.proj.weight",
    words="context_embedder.weight",
    pooled="y_embedder.mlp.0.weight",
    blocks="joint_blocks.{}.x_block.attn.qkv.weight",
    more="joint_blocks.{}.x_block.attn2.qkv.weight",
    norm="joint_blocks.0.x_block.attn.ln_q.weight",
    leaves="final_layer.linear.weight",
    positions="pos_embed",
)
_SD3_DIFFUSERS = _Telling(
    enters="pos_embed.proj.weight",
    words="context_embedder.weight",
    pooled="time_text_embed.text_embedder.linear_1.weight",
    blocks="transformer_blocks.{}.attn.to_q.weight",
    more="transformer_blocks.{}.attn2.to_q.weight",
    norm="transformer_blocks.0.attn.norm_q.weight",
    leaves="proj_out.weight",
    positions="pos_embed.pos_embed",
)
_FLUX_TELLING = _Telling(
    enters="img_in.weight",
    words="txt_in.weight",
    pooled="vector_in.in_layer.weight",
    blocks="double_blocks.{}.img_attn.qkv.weight",
    more="single_blocks.{}.linear1.weight",
    norm="double_blocks.0.img_attn.norm.key_norm.scale",
    guided="guidance_in.in_layer.weight",
)
_FLUX_DIFFUSERS = _Telling(
    enters="x_embedder.weight",
    words="context_embedder.weight",
    pooled="time_text_embed.text_embedder.linear_1.weight",
    blocks="transformer_blocks.{}.attn.to_q.weight",
    more="single_transformer_blocks.{}.proj_mlp.weight",
    norm="transformer_blocks.0.attn.norm_k.weight",
    guided="time_text_embed.guidance_embedder.linear_1.weight",
)


def sd3_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of the configuration of Stable Diffusion 3's transformer. Raises KeyError."""
    return _sd3_config(shapes, published, _SD3_TELLING)


def diffusers_sd3_config(shapes: Shapes, published: Config) -> Config:
    """The same of one that was taken out of its folder, by diffusers' names."""
    return _sd3_config(shapes, published, _SD3_DIFFUSERS)


def sd3_places(config: Config) -> Places:
    """Where its tensors lie. The last block gives nothing on the prompt's side: its normalisation is a last one."""
    return dict(_sd3(config))


def diffusers_sd3_places(config: Config) -> Places:
    """The same of one by diffusers' names."""
    return {name: Place(name) for name in sd3_places(config)}


def flux_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of the configuration of FLUX.1's transformer. Raises KeyError."""
    return _flux_config(shapes, _FLUX_TELLING)


def diffusers_flux_config(shapes: Shapes, published: Config) -> Config:
    """The same of one that was taken out of its folder, by diffusers' names."""
    return _flux_config(shapes, _FLUX_DIFFUSERS)


def flux_places(config: Config) -> Places:
    """Where its tensors lie."""
    return dict(_flux(config))


def diffusers_flux_places(config: Config) -> Places:
    """The same of one by diffusers' names."""
    return {name: Place(name) for name in flux_places(config)}


def _sd3_config(shapes: Shapes, published: Config, names: _Telling) -> Config:
    layers = count(shapes, names.blocks)
    width = size(shapes, names.enters, 0)
    return {
        "in_channels": size(shapes, names.enters, 1),
        "patch_size": size(shapes, names.enters, 2),
        "out_channels": size(shapes, names.leaves, 0) // published["patch_size"] ** 2,
        "num_layers": layers,
        "num_attention_heads": width // _SD3_HEAD_WIDTH,
        "joint_attention_dim": size(shapes, names.words, 1),
        "caption_projection_dim": size(shapes, names.words, 0),
        "pooled_projection_dim": size(shapes, names.pooled, 1),
        "pos_embed_max_size": math.isqrt(size(shapes, names.positions, 1)),
        "qk_norm": "rms_norm" if shapes(names.norm) is not None else None,
        "dual_attention_layers": [number for number in range(layers) if shapes(names.more.format(number)) is not None],
    }


def _flux_config(shapes: Shapes, names: _Telling) -> Config:
    width, head = size(shapes, names.enters, 0), size(shapes, names.norm, 0)
    return {
        "in_channels": size(shapes, names.enters, 1),
        "num_layers": count(shapes, names.blocks),
        "num_single_layers": count(shapes, names.more),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": size(shapes, names.words, 1),
        "pooled_projection_dim": size(shapes, names.pooled, 1),
        "guidance_embeds": shapes(names.guided) is not None,
    }


def _sd3(config: Config) -> Iterator[tuple[str, Place]]:
    yield "pos_embed.pos_embed", Place("pos_embed")
    yield from modules("", "", _SD3_ENDS)
    yield from _swapped(SWAPPED, _LAST_NORM)
    last = config["num_layers"] - 1
    for number in range(last + 1):
        ours, theirs = f"transformer_blocks.{number}.", f"joint_blocks.{number}."
        picture, prompt = f"{theirs}x_block.", f"{theirs}context_block."
        yield from _sd3_attention(config, f"{ours}attn.", f"{picture}attn.", _QUERIES, ("norm_q", "norm_k"))
        yield from _sd3_attention(config, f"{ours}attn.", f"{prompt}attn.", _ADDED, ("norm_added_q", "norm_added_k"))
        yield from modules(ours, picture, {"attn.to_out.0": "attn.proj", "norm1.linear": "adaLN_modulation.1"})
        yield from modules(ours, picture, {"ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2"})
        if number in config["dual_attention_layers"]:
            yield from _sd3_attention(config, f"{ours}attn2.", f"{picture}attn2.", _QUERIES, ("norm_q", "norm_k"))
            yield from modules(ours, picture, {"attn2.to_out.0": "attn2.proj"})
        if number == last:
            yield from _swapped(f"{ours}norm1_context.linear", f"{prompt}adaLN_modulation.1")
        else:
            yield from modules(
                ours, prompt, {"attn.to_add_out": "attn.proj", "norm1_context.linear": "adaLN_modulation.1"}
            )
            yield from modules(ours, prompt, {"ff_context.net.0.proj": "mlp.fc1", "ff_context.net.2": "mlp.fc2"})


def _sd3_attention(
    config: Config, ours: str, theirs: str, projections: tuple[str, ...], norms: tuple[str, str]
) -> Iterator[tuple[str, Place]]:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    yield from split((f"{ours}{name}" for name in projections), f"{theirs}qkv.", (width,) * 3)
    if config["qk_norm"]:
        for name, stored in zip(norms, ("ln_q", "ln_k"), strict=True):
            yield f"{ours}{name}.weight", Place(f"{theirs}{stored}.weight")


def _flux(config: Config) -> Iterator[tuple[str, Place]]:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    for theirs, ours in OUTSIDE.items():
        if ours == SWAPPED:
            yield from _swapped(ours, theirs)
        elif config["guidance_embeds"] or not theirs.startswith("guidance_in"):
            yield from modules("", "", {ours: theirs})
    for number in range(config["num_layers"]):
        ours, theirs = f"transformer_blocks.{number}.", f"double_blocks.{number}."
        for stored, names in DOUBLE.items():
            yield from _flux_modules(ours, names, f"{theirs}{stored}.", width)
        for side, norms in (("img", ("norm_q", "norm_k")), ("txt", ("norm_added_q", "norm_added_k"))):
            yield from _flux_norms(f"{ours}attn.", norms, f"{theirs}{side}_attn.norm.")
    for number in range(config["num_single_layers"]):
        ours, theirs = f"single_transformer_blocks.{number}.", f"single_blocks.{number}."
        for stored, names in SINGLE.items():
            yield from _flux_modules(ours, names, f"{theirs}{stored}.", width)
        yield from _flux_norms(f"{ours}attn.", ("norm_q", "norm_k"), f"{theirs}norm.")


def _flux_modules(ours: str, names: tuple[str, ...], theirs: str, width: int) -> Iterator[tuple[str, Place]]:
    """The fourth of four in one is the feed-forward's, four times as wide."""
    if len(names) == 1:
        yield from modules(ours, "", {names[0]: theirs.removesuffix(".")})
    else:
        yield from split((ours + name for name in names), theirs, (width, width, width, 4 * width)[: len(names)])


def _flux_norms(ours: str, names: tuple[str, str], theirs: str) -> Iterator[tuple[str, Place]]:
    for name, stored in zip(names, ("query_norm", "key_norm"), strict=True):
        yield f"{ours}{name}.weight", Place(f"{theirs}{stored}.scale")


def _swapped(ours: str, theirs: str) -> Iterator[tuple[str, Place]]:
    for tensor in ("weight", "bias"):
        yield f"{ours}.{tensor}", Place(f"{theirs}.{tensor}", turn="swapped")
