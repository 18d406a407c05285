"""U-Nets and autoencoders of Stable Diffusion 1.x, 2.x, XL and its refiner, by the names of their original code.

The names are those of `sd_keys`; the autoencoders of SD3 and FLUX.1 have them, too.
"""

from engine.formats.places import Config, Place, Places, Shapes, count, needed, size
from engine.formats.sd_keys import PREFIXES, is_pointwise, single_file_names

_HEAD_WIDTH = 64
"""Of attention in every U-Net after 1.x, which has the same number of heads at each level."""
_ADDED = "label_emb.0.0.weight"


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
    attends = [depth > 0 for depth in depths]
    middle = count(shapes, "middle_block.1.transformer_blocks.{}.norm1.weight")
    depths = [depth or 1 for depth in depths[:-1]] + [depths[-1] or middle]  # the last depth is the middle's, too
    prompt, linear = _attention(shapes)
    heads = published["attention_head_dim"]
    added = shapes(_ADDED)
    return {
        "in_channels": size(shapes, "input_blocks.0.0.weight", 1),
        "out_channels": size(shapes, "out.2.weight", 0),
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attends)],
        "transformer_layers_per_block": depths,
        "attention_head_dim": [width // _HEAD_WIDTH for width in widths] if isinstance(heads, list) else heads,
        "cross_attention_dim": prompt,
        "use_linear_projection": linear,
        **({"projection_class_embeddings_input_dim": added[1]} if added else {}),
    }


def unet_places(config: Config) -> Places:
    """Where a U-Net's tensors lie."""
    return {name: Place(key) for name, key in _names("unet", config).items()}


def _attention(shapes: Shapes) -> tuple[int, bool]:
    """The width of the prompt's vectors, and whether what stands around attention is linear."""
    block = "middle_block.1."
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
