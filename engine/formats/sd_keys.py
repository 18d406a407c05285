"""The tensor names of Stable Diffusion 1.x: those of a diffusers folder and those of a single-file checkpoint.

Both follow from the configurations alone, so a U-Net of three levels is named as surely as the published one of four;
and those of the U-Nets and autoencoders of 2.x and XL, which were made by the same code.
The single-file names are the attributes of the original code, https://github.com/CompVis/stable-diffusion:
`ldm/modules/diffusionmodules/openaimodel.py` (U-Net), `model.py` beside it (VAE), and transformers' own CLIP.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")

PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.transformer.",
}
"""What the names of each part begin with in a checkpoint."""

# Modules with a weight and a bias: the diffusers name, the single-file name.
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
}
UNET_SHORTCUT = {"conv_shortcut": "skip_connection"}
_TRANSFORMER = {name: name for name in ("norm", "proj_in", "proj_out")}
"""The latter two 1x1 convolutions on both sides; SD 2.x made them linear."""
_TRANSFORMER_BLOCK = {
    name: name for name in ("norm1", "norm2", "norm3", "attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2")
}
_ADDED = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
"""What XL conditions on besides the prompt."""
_VAE_ENDS = {
    "encoder.conv_in": "encoder.conv_in",
    "encoder.conv_norm_out": "encoder.norm_out",
    "encoder.conv_out": "encoder.conv_out",
    "decoder.conv_in": "decoder.conv_in",
    "decoder.conv_norm_out": "decoder.norm_out",
    "decoder.conv_out": "decoder.conv_out",
}
_VAE_AROUND = ("quant_conv", "post_quant_conv")
"""Around the latents; the autoencoders of 16 channels do without."""
_VAE_RESNET = {name: name for name in ("norm1", "conv1", "norm2", "conv2")}
_VAE_SHORTCUT = {"conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_CLIP_LAYER = {
    name: name
    for name in (
        "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2",
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
    )
}  # fmt: skip

# The VAE's attention is linear in diffusers and a 1x1 convolution in the original; the U-Net's is linear in both.
_POINTWISE = re.compile(r"(encoder|decoder)\.mid_block\.attentions\.0\.to_(q|k|v|out\.0)\.weight")
_OLD_ATTENTION = re.compile(r"(?<=coder\.mid_block\.attentions\.0\.)(query|key|value|proj_attn)(?=\.)")
_NEW_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_BARE_CLIP = re.compile(r"^cond_stage_model\.transformer\.(?=embeddings\.|encoder\.|final_layer_norm\.)")
_POSITION_IDS = ".embeddings.position_ids"
"""A buffer that old files carry and today's classes make themselves."""


def to_single_file(
    parts: Mapping[str, Mapping[str, "Tensor"]], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, "Tensor"]:
    """The tensors of a diffusers folder, by part and name, as those of one checkpoint.

    `configs` has the `config.json` of every part to take: "unet", "vae", "text_encoder". Only the weights of the
    VAE's attention change their shape, from [out, in] to [out, in, 1, 1]. No tensor is copied.
    Raises BadInput for a tensor that is missing or that the configuration has no place for.
    """
    whole: dict[str, Tensor] = {}
    for part, config in configs.items():
        names = single_file_names(part, config)
        tensors = current_names(parts[part])
        _check(part, tensors, names)
        for name, tensor in tensors.items():
            whole[names[name]] = tensor[..., None, None] if is_pointwise(name) else tensor
    return whole


def from_single_file(
    whole: Mapping[str, "Tensor"], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, "Tensor"]]:
    """The tensors of one checkpoint as those of a diffusers folder, by part and name; `to_single_file` undone.

    What lies outside the parts that `configs` has is left aside: moving averages (`model_ema.`), noise schedules.
    Raises BadInput for a tensor that is missing or that the configuration has no place for.
    """
    # Some files lack "text_model.": https://github.com/AUTOMATIC1111/stable-diffusion-webui, `modules/sd_models.py`.
    tensors = {
        _BARE_CLIP.sub("cond_stage_model.transformer.text_model.", name): tensor
        for name, tensor in whole.items()
        if not name.endswith(_POSITION_IDS)
    }
    parts: dict[str, dict[str, Tensor]] = {}
    for part, config in configs.items():
        names = single_file_names(part, config)
        _check(part, [name for name in tensors if name.startswith(PREFIXES[part])], names.values())
        parts[part] = {
            # A merged file may hold them linear already.
            ours: tensors[theirs].flatten(1) if is_pointwise(ours) else tensors[theirs]
            for ours, theirs in names.items()
        }
    return parts


def current_names(tensors: Mapping[str, _T]) -> dict[str, _T]:
    """One part of a diffusers folder of any age under the names that diffusers and transformers write today.

    Folders of 2022 call the projections of the VAE's attention `query`, `key`, `value` and `proj_attn`.
    Source: diffusers, `ModelMixin._fix_state_dict_keys_on_load`.
    """
    return {
        _OLD_ATTENTION.sub(lambda old: _NEW_ATTENTION[old[0]], name): tensor
        for name, tensor in tensors.items()
        if not name.endswith(_POSITION_IDS)
    }


def is_pointwise(name: str) -> bool:
    """Whether the VAE's tensor of that diffusers name is linear there, and a 1x1 convolution in a checkpoint."""
    return _POINTWISE.fullmatch(name) is not None


def single_file_names(part: str, config: Mapping[str, Any]) -> dict[str, str]:
    """The checkpoint's name of every tensor of a part, by its diffusers name.

    Raises BadInput where `config` cannot be one of Stable Diffusion 1.x.
    """
    prefix, names = PREFIXES[part], _NAMES[part]
    try:
        return {ours: prefix + theirs for ours, theirs in names(config)}
    except (LookupError, TypeError, ValueError) as error:  # a field is missing, or of another type or length
        raise BadInput(
            f"The configuration of the model's {part} is not one of Stable Diffusion 1.x.",
            "Copy the whole model again.",
        ) from error


def _unet(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The original numbers its blocks by the skip connections: one begins with each that is made or taken."""
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    deepest = len(channels) - 1
    depths = config.get("transformer_layers_per_block", 1)
    depths = [depths] * len(channels) if isinstance(depths, int) else list(depths)
    yield from _modules("", "", _UNET_ENDS)
    if config.get("addition_embed_type") == "text_time":
        yield from _modules("", "", _ADDED)

    width = channels[0]
    skips = [width]  # the channels of each; conv_in made the first
    for level, (out, kind, depth) in enumerate(zip(channels, config["down_block_types"], depths, strict=True)):
        block = f"down_blocks.{level}."
        for layer in range(layers):
            theirs = f"input_blocks.{len(skips)}."
            yield from _modules(f"{block}resnets.{layer}.", f"{theirs}0.", UNET_RESNET)
            if width != out:
                yield from _modules(f"{block}resnets.{layer}.", f"{theirs}0.", UNET_SHORTCUT)
            if kind == "CrossAttnDownBlock2D":
                yield from _transformer(f"{block}attentions.{layer}.", f"{theirs}1.", depth)
            width = out
            skips.append(width)
        if level < deepest:
            yield from _modules(block, f"input_blocks.{len(skips)}.", {"downsamplers.0.conv": "0.op"})
            skips.append(width)

    yield from _modules("mid_block.resnets.0.", "middle_block.0.", UNET_RESNET)
    yield from _transformer("mid_block.attentions.0.", "middle_block.1.", depths[-1])
    yield from _modules("mid_block.resnets.1.", "middle_block.2.", UNET_RESNET)

    made = len(skips)
    back = zip(reversed(channels), config["up_block_types"], reversed(depths), strict=True)
    for level, (out, kind, depth) in enumerate(back):
        block = f"up_blocks.{level}."
        attends = kind == "CrossAttnUpBlock2D"
        for layer in range(layers + 1):
            theirs = f"output_blocks.{made - len(skips)}."
            yield from _modules(f"{block}resnets.{layer}.", f"{theirs}0.", UNET_RESNET)
            if width + skips.pop() != out:
                yield from _modules(f"{block}resnets.{layer}.", f"{theirs}0.", UNET_SHORTCUT)
            if attends:
                yield from _transformer(f"{block}attentions.{layer}.", f"{theirs}1.", depth)
            width = out
            if layer == layers and level < deepest:
                yield from _modules(block, theirs, {"upsamplers.0.conv": f"{1 + attends}.conv"})


def _transformer(ours: str, theirs: str, depth: int) -> Iterator[tuple[str, str]]:
    yield from _modules(ours, theirs, _TRANSFORMER)
    for number in range(depth):
        block = f"transformer_blocks.{number}."
        yield from _modules(ours + block, theirs + block, _TRANSFORMER_BLOCK)
        for attention in ("attn1", "attn2"):
            for projection in ("to_q", "to_k", "to_v"):  # the ones without a bias
                name = f"{block}{attention}.{projection}.weight"
                yield ours + name, theirs + name


def _vae(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The original numbers the decoder's levels by their depth, diffusers in the order they run."""
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    deepest = len(channels) - 1
    yield from _modules("", "", _VAE_ENDS)
    yield from _modules("", "", {name: name for name in _VAE_AROUND if config.get(f"use_{name}", True)})
    for side in ("encoder", "decoder"):
        yield from _modules(f"{side}.mid_block.resnets.0.", f"{side}.mid.block_1.", _VAE_RESNET)
        yield from _modules(f"{side}.mid_block.attentions.0.", f"{side}.mid.attn_1.", _VAE_ATTENTION)
        yield from _modules(f"{side}.mid_block.resnets.1.", f"{side}.mid.block_2.", _VAE_RESNET)

    width = channels[0]
    for level, out in enumerate(channels):
        ours, theirs = f"encoder.down_blocks.{level}.", f"encoder.down.{level}."
        yield from _vae_resnets(ours, theirs, layers, width != out)
        if level < deepest:
            yield from _modules(ours, theirs, {"downsamplers.0.conv": "downsample.conv"})
        width = out
    for level, out in enumerate(reversed(channels)):
        ours, theirs = f"decoder.up_blocks.{level}.", f"decoder.up.{deepest - level}."
        yield from _vae_resnets(ours, theirs, layers + 1, width != out)
        if level < deepest:
            yield from _modules(ours, theirs, {"upsamplers.0.conv": "upsample.conv"})
        width = out


def _vae_resnets(ours: str, theirs: str, count: int, widens: bool) -> Iterator[tuple[str, str]]:
    for layer in range(count):
        yield from _modules(f"{ours}resnets.{layer}.", f"{theirs}block.{layer}.", _VAE_RESNET)
    if widens:
        yield from _modules(f"{ours}resnets.0.", f"{theirs}block.0.", _VAE_SHORTCUT)


def _text_encoder(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for embedding in ("token_embedding", "position_embedding"):
        name = f"text_model.embeddings.{embedding}.weight"
        yield name, name
    for layer in range(config["num_hidden_layers"]):
        name = f"text_model.encoder.layers.{layer}."
        yield from _modules(name, name, _CLIP_LAYER)
    yield from _modules("text_model.", "text_model.", {"final_layer_norm": "final_layer_norm"})


_NAMES = {"unet": _unet, "vae": _vae, "text_encoder": _text_encoder}


def _modules(ours: str, theirs: str, modules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for our_name, their_name in modules.items():
        for tensor in ("weight", "bias"):
            yield f"{ours}{our_name}.{tensor}", f"{theirs}{their_name}.{tensor}"


def _check(part: str, found: Collection[str], expected: Collection[str]) -> None:
    if missing := set(expected) - set(found):
        raise BadInput(f"The model's {part} lacks the tensor “{min(missing)}”.", "Copy the whole model again.")
    if unexpected := set(found) - set(expected):
        raise BadInput(
            f"The model's {part} has a tensor “{min(unexpected)}” that its configuration has no place for.",
            "Use a Stable Diffusion 1.x model with the configuration it was made with.",
        )
