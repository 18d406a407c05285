"""ControlNets of Stable Diffusion 3 and FLUX.1 as files: diffusers' own names, and the configuration that shapes tell.

Source: diffusers, `models/controlnets/controlnet_sd3.py` and `controlnet_flux.py`. What shapes do not tell is the same
in every published net.
"""

from collections.abc import Mapping
from math import isqrt
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]

FLUX_MARK, SD3_MARK = "controlnet_x_embedder.weight", "pos_embed_input.proj.weight"
"""A tensor that no other kind of net has."""
FLUX_HEAD, SD3_HEAD = 128, 64
"""The width of each head of attention."""


def flux_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a net for FLUX.1.

    Raises KeyError naming a tensor that is missing, LookupError and ValueError for shapes that no net has.
    """
    width, channels = shapes["x_embedder.weight"]
    if width % FLUX_HEAD or any(
        shape != (FLUX_HEAD,) for name, shape in shapes.items() if name.endswith(".norm_q.weight")
    ):
        raise ValueError(width)
    sees = shapes.get("input_hint_block.conv_out.weight")
    kinds = shapes.get("controlnet_mode_embedder.weight")
    return {
        "patch_size": 1 if sees is None else 2,
        "in_channels": channels,
        "num_layers": _count(shapes, "transformer_blocks."),
        "num_single_layers": _count(shapes, "single_transformer_blocks."),
        "attention_head_dim": FLUX_HEAD,
        "num_attention_heads": width // FLUX_HEAD,
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
        "num_mode": kinds and kinds[0],
        "conditioning_embedding_channels": sees and sees[0],
        **_words(shapes),
    }


def sd3_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a net for Stable Diffusion 3. Raises as `flux_config` does.

    Nets that read no prompt take the pooled embeds, the others, InstantX's, nothing in their place.
    """
    width, reads, patch, _ = shapes[SD3_MARK]
    blocks = range(_count(shapes, "transformer_blocks."))
    places, reads_words = shapes.get("pos_embed.pos_embed"), "context_embedder.weight" in shapes
    channels = reads if places is None else shapes["pos_embed.proj.weight"][1]
    if width % SD3_HEAD or not blocks:
        raise ValueError(width)
    return {
        "patch_size": patch,
        "in_channels": channels,
        "extra_conditioning_channels": reads - channels,
        "num_layers": len(blocks),
        "attention_head_dim": SD3_HEAD,
        "num_attention_heads": width // SD3_HEAD,
        "caption_projection_dim": shapes["context_embedder.weight"][0] if reads_words else width,
        "pos_embed_max_size": None if places is None else isqrt(places[1]),
        "use_pos_embed": places is not None,
        "dual_attention_layers": [each for each in blocks if f"transformer_blocks.{each}.attn2.to_q.weight" in shapes],
        "qk_norm": "rms_norm" if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
        "force_zeros_for_pooled_projection": reads_words,
        **_words(shapes),
    }


def _words(shapes: Shapes) -> dict[str, Any]:
    """What of the prompt is read."""
    tokens = shapes.get("context_embedder.weight")
    return {
        "joint_attention_dim": tokens and tokens[1],
        "pooled_projection_dim": shapes["time_text_embed.text_embedder.linear_1.weight"][1],
    }


def _count(shapes: Shapes, beginning: str) -> int:
    """How many modules are numbered behind that beginning."""
    return len({name[len(beginning) :].split(".")[0] for name in shapes if name.startswith(beginning)})
