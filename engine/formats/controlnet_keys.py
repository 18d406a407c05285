"""ControlNets in one file: the names of their tensors, and their configuration as their shapes tell it.

Files have either diffusers' names or those of the original code, https://github.com/lllyasviel/ControlNet,
`cldm/cldm.py`: a U-Net's encoder and middle, a convolution behind each of its skip connections, and the embedding of
the control image. What shapes do not tell is the same in every published net.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from engine.formats.sd_keys import UNET_RESNET, UNET_SHORTCUT

Shapes = Mapping[str, tuple[int, ...]]

CLDM = "control_model."
"""What the original names begin with, in files that hold a whole model, too."""
HEADS = 8
"""Of attention in Stable Diffusion 1.x and of a Union's mixing layer; later U-Nets have heads of `HEAD_WIDTH`."""
HEAD_WIDTH = 64
TAKEN = (4, 3, 4)
"""Channels of the latents and of a control image, and the widths that the latter goes through, halved between them."""
GROUPS = 32
"""Of channels in every normalisation."""
POOLED_WIDTH, SIZES = 1280, 6
"""Of what XL conditions on: the width of the pooled embeds, and the numbers of sizes and crops."""
XL_PROMPT = 2048
"""The width of XL's prompt embeds, for nets without a layer that reads them."""

_RESNET = {theirs: ours for ours, theirs in (UNET_RESNET | UNET_SHORTCUT).items()}
_OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block_out.0": "controlnet_mid_block",
}
_HINT = "controlnet_cond_embedding"
_NUMBERED = re.compile(r"(input_blocks|middle_block|zero_convs|input_hint_block)\.(\d+)(?:\.(\d))?(?:\.(.+))?")


def names_of(keys: Collection[str]) -> dict[str, str]:
    """The file's name of every tensor of the net, by its diffusers name.

    What lies outside the net in a file with a whole model is left out. Raises KeyError naming a module that no
    ControlNet has.
    """
    if any(name.startswith("controlnet_cond_embedding.") for name in keys):
        return {name: name for name in keys}
    prefix = CLDM if any(name.startswith(CLDM) for name in keys) else ""
    theirs = [name.removeprefix(prefix) for name in keys if name.startswith(prefix)]
    modules = {name.rpartition(".")[0] or name for name in theirs}
    places, last_hint = _places(modules), _last_hint(modules)
    ours = {module: _current(module, places, last_hint) for module in modules}
    split = (name.rpartition(".") for name in theirs)
    return {f"{ours[module]}.{tensor}": f"{prefix}{module}.{tensor}" for module, _, tensor in split}


def config_of(shapes: Shapes) -> dict[str, Any]:
    """The configuration of the net whose tensors have these shapes, by their diffusers names.

    Raises KeyError naming a tensor that is missing, LookupError and ValueError for shapes that no net has.
    """
    blocks = [f"down_blocks.{level}." for level in range(_count(shapes, "down_blocks."))]
    widths = [shapes[f"{block}resnets.0.conv1.weight"][0] for block in blocks]
    takes, sees, hints = shapes["conv_in.weight"][1], shapes[f"{_HINT}.conv_in.weight"][1], list(_hint_widths(shapes))
    if (takes, sees, len(hints)) != TAKEN or not all(width and width % GROUPS == 0 for width in widths):
        raise ValueError(widths)
    attends = [f"{block}attentions.0.norm.weight" in shapes for block in blocks]
    middle = "mid_block.attentions.0."
    depths = [_count(shapes, f"{block}attentions.0.transformer_blocks.") for block in blocks]
    if not attends[-1]:  # the last depth is the middle's, too
        depths[-1] = _count(shapes, f"{middle}transformer_blocks.")
    linear = any(name.endswith(".proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    return {
        "conditioning_embedding_out_channels": hints,
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, "down_blocks.0.resnets."),
        "down_block_types": ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attends],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if f"{middle}norm.weight" in shapes else "UNetMidBlock2D",
        "transformer_layers_per_block": depths,
        "attention_head_dim": [max(1, width // HEAD_WIDTH) if linear else HEADS for width in widths],
        "use_linear_projection": linear,
        "cross_attention_dim": _prompt_width(shapes),
        **_added(shapes),
        **_union(shapes),
    }


def _places(modules: Collection[str]) -> dict[int, tuple[int, int]]:
    """The level and layer that each of the original's blocks is in diffusers; a new level begins behind each halving.

    The original numbers its blocks by the skip connections: one begins with each that is made.
    """
    places: dict[int, tuple[int, int]] = {}
    level = layer = 0
    numbers = {int(found[2]) for name in modules if (found := _NUMBERED.fullmatch(name)) and found[1] == "input_blocks"}
    for number in sorted(numbers - {0}):
        places[number] = (level, layer)
        layer += 1
        if f"input_blocks.{number}.0.op" in modules:
            level, layer = level + 1, 0
    return places


def _last_hint(modules: Collection[str]) -> int:
    return max((int(name.split(".")[1]) for name in modules if re.fullmatch(r"input_hint_block\.\d+", name)), default=0)


def _current(module: str, places: Mapping[int, tuple[int, int]], last_hint: int) -> str:
    """diffusers' path of a module of the original. Raises KeyError for one that no ControlNet has."""
    if module in _OUTSIDE:
        return _OUTSIDE[module]
    found = _NUMBERED.fullmatch(module)
    if found is None:
        raise KeyError(module)
    kind, number, position, inside = found[1], int(found[2]), found[3], found[4]
    if kind == "input_hint_block":
        ends = {0: "conv_in", last_hint: "conv_out"}
        return f"{_HINT}.{ends.get(number, f'blocks.{number // 2 - 1}')}"
    if kind == "zero_convs":
        return f"controlnet_down_blocks.{number}"
    if kind == "middle_block":
        rest = ".".join(filter(None, (position, inside)))
        return f"mid_block.attentions.0.{rest}" if number == 1 else f"mid_block.resnets.{number // 2}.{_RESNET[rest]}"
    level, layer = places[number]
    if inside == "op":
        return f"down_blocks.{level}.downsamplers.0.conv"
    if position == "1":
        return f"down_blocks.{level}.attentions.{layer}.{inside}"
    return f"down_blocks.{level}.resnets.{layer}.{_RESNET[inside or '']}"


def _count(shapes: Shapes, beginning: str) -> int:
    """How many modules are numbered behind that beginning."""
    return len({name[len(beginning) :].split(".")[0] for name in shapes if name.startswith(beginning)})


def _hint_widths(shapes: Shapes) -> Iterator[int]:
    """Every second convolution widens."""
    yield shapes[f"{_HINT}.conv_in.weight"][0]
    for place in range(1, _count(shapes, f"{_HINT}.blocks."), 2):
        yield shapes[f"{_HINT}.blocks.{place}.weight"][0]


def _prompt_width(shapes: Shapes) -> int:
    found = next((shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")), None)
    return XL_PROMPT if found is None else found


def _added(shapes: Shapes) -> dict[str, Any]:
    """What XL conditions on besides the prompt's tokens."""
    if "add_embedding.linear_1.weight" not in shapes:
        return {}
    width = shapes["add_embedding.linear_1.weight"][1]
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (width - POOLED_WIDTH) // SIZES,
        "projection_class_embeddings_input_dim": width,
    }


def _union(shapes: Shapes) -> dict[str, Any]:
    if "task_embedding" not in shapes:
        return {}
    types, width = shapes["task_embedding"]
    return {
        "num_control_type": types,
        "num_trans_channel": width,
        "num_trans_head": HEADS,
        "num_trans_layer": _count(shapes, "transformer_layes."),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
    }
