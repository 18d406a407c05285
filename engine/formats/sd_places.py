"""U-Nets and autoencoders of Stable Diffusion 1.x, 2.x, XL and its refiner, by the names of their original code.

The names are those of `sd_keys`; the autoencoders of SD3 and FLUX.1 have them, too.
"""

from engine.formats.places import Config, Place, Places, Shape, Shapes, count, needed, size
from engine.formats.sd_keys import PREFIXES, is_pointwise, single_file_names

_HEAD_WIDTH = 64
"""Of attention in every U-Net after 1.x, which has the same number of heads at each level."""
_GUIDED = "time_embedding.cond_proj.weight"
"""Where a consistency model's U-Net reads the guidance scale; diffusers alone has a name for it."""


def unet_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of a U-Net's configuration; `published` says whether heads are counted or measured.

    Raises KeyError for a tensor that is missing, IndexError for one of too few dimensions.
    """
    widths: list[int] = []
    depths: list[int] = []
    layers = level = 0
    number = 1
    while True:
        block = f"input_blocks.{number}."
        if shapes(f"{block}0.op.weight") is not None:
            level += 1
        elif (found := shapes(f"{block}0.in_layers.2.weight")) is not None:
            if len(widths) == level:
                widths.append(found[0])
                depths.append(count(shapes, f"{block}1.transformer_blocks.{{}}.norm1.weight"))
            layers += level == 0
        else:
            break
        number += 1
    middle = count(shapes, "middle_block.1.transformer_blocks.{}.norm1.weight")
    prompt, linear = _attention(shapes, "middle_block.1.")
    return {
        "in_channels": size(shapes, "input_blocks.0.0.weight", 1),
        "out_channels": size(shapes, "out.2.weight", 0),
        "layers_per_block": layers,
        "cross_attention_dim": prompt,
        "use_linear_projection": linear,
        **_levels(widths, depths, middle, published),
        **_added(shapes("label_emb.0.0.weight")),
    }


def unet_places(config: Config) -> Places:
    """Where a U-Net's tensors lie."""
    return {name: Place(key) for name, key in _names("unet", config).items()}


def diffusers_unet_config(shapes: Shapes, published: Config) -> Config:
    """The same of a U-Net that was taken out of its folder, by diffusers' names."""
    levels = count(shapes, "down_blocks.{}.resnets.0.conv1.weight")
    attention = "transformer_blocks.{}.norm1.weight"
    prompt, linear = _attention(shapes, "mid_block.attentions.0.")
    guided = shapes(_GUIDED)
    return {
        "in_channels": size(shapes, "conv_in.weight", 1),
        "out_channels": size(shapes, "conv_out.weight", 0),
        "layers_per_block": count(shapes, "down_blocks.0.resnets.{}.conv1.weight"),
        "cross_attention_dim": prompt,
        "use_linear_projection": linear,
        **_levels(
            [size(shapes, f"down_blocks.{level}.resnets.0.conv1.weight", 0) for level in range(levels)],
            [count(shapes, f"down_blocks.{level}.attentions.0.{attention}") for level in range(levels)],
            count(shapes, f"mid_block.attentions.0.{attention}"),
            published,
        ),
        **_added(shapes("add_embedding.linear_1.weight")),
        **({"time_cond_proj_dim": guided[1]} if guided else {}),
    }


def diffusers_unet_places(config: Config) -> Places:
    """Where its tensors lie: under the names they have in diffusers."""
    places = {name: Place(name) for name in _names("unet", config)}
    return places | ({_GUIDED: Place(_GUIDED)} if config.get("time_cond_proj_dim") else {})


def _levels(widths: list[int], depths: list[int], middle: int, published: Config) -> Config:
    """What follows from the width of each level and the number of its transformers' blocks, 0 for none."""
    attends = [depth > 0 for depth in depths]
    heads = published["attention_head_dim"]
    return {
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attends)],
        # The last depth is the middle's, too.
        "transformer_layers_per_block": [depth or 1 for depth in depths[:-1]] + [depths[-1] or middle],
        "attention_head_dim": [width // _HEAD_WIDTH for width in widths] if isinstance(heads, list) else heads,
    }


def _added(shape: Shape | None) -> Config:
    """How much XL reads besides the prompt, from the shape of the layer that reads it."""
    return {"projection_class_embeddings_input_dim": shape[1]} if shape else {}


def _attention(shapes: Shapes, block: str) -> tuple[int, bool]:
    """The width of the prompt's vectors, and whether what stands around attention is linear."""
    prompt = size(shapes, f"{block}transformer_blocks.0.attn2.to_k.weight", 1)
    return prompt, len(needed(shapes, f"{block}proj_in.weight")) == 2


def vae_config(shapes: Shapes, published: Config) -> Config:
    """What the shapes tell of an autoencoder's configuration. Raises KeyError for a tensor that is missing."""
    return _vae_config(shapes, "encoder.down.{}.block.{}.conv1.weight", published)


def vae_places(config: Config) -> Places:
    """Where an autoencoder's tensors lie; its attention is of 1x1 convolutions there."""
    names = _names("vae", config)
    return {name: Place(key, turn="flat" if is_pointwise(name) else "") for name, key in names.items()}


def diffusers_vae_config(shapes: Shapes, published: Config) -> Config:
    """The same of an autoencoder in a file of its own, by diffusers' names."""
    return _vae_config(shapes, "encoder.down_blocks.{}.resnets.{}.conv1.weight", published)


def diffusers_vae_places(config: Config) -> Places:
    """Where its tensors lie: under the names they have in diffusers."""
    return {name: Place(name) for name in _names("vae", config)}


def _vae_config(shapes: Shapes, pattern: str, published: Config) -> Config:
    levels = count(shapes, pattern.format("{}", 0))
    return {
        "block_out_channels": [size(shapes, pattern.format(level, 0), 0) for level in range(levels)],
        "down_block_types": published["down_block_types"][:1] * levels,
        "up_block_types": published["up_block_types"][:1] * levels,
        "layers_per_block": count(shapes, pattern.format(0, "{}")),
        "latent_channels": size(shapes, "decoder.conv_in.weight", 1),
        "use_quant_conv": shapes("quant_conv.weight") is not None,
        "use_post_quant_conv": shapes("post_quant_conv.weight") is not None,
    }


def _names(part: str, config: Config) -> dict[str, str]:
    return {ours: theirs.removeprefix(PREFIXES[part]) for ours, theirs in single_file_names(part, config).items()}
