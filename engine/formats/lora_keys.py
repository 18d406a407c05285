"""The tensor names of LoRA files: kohya-ss's, LyCORIS's, diffusers' old and new ones and PEFT's; names only, no torch.

In kohya's files a module's Linear or Conv2d is changed by `<kohya name>.lora_down.weight` ([rank, in] or
[rank, in, height, width]), `.lora_up.weight` ([out, rank] or [out, rank, 1, 1]) and `.alpha` (a number, [] in shape;
the change is scaled by alpha / rank). Sources: https://github.com/kohya-ss/sd-scripts, `networks/lora.py`;
https://github.com/KohakuBlueleaf/LyCORIS, `lycoris/modules`; https://github.com/huggingface/diffusers,
`utils/state_dict_utils.py` and `loaders/lora_conversion_utils.py`; https://github.com/huggingface/peft.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from engine.formats.flux_keys import Shapes, original_pieces

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"
BUNDLED = "bundle_emb."
"""What the names of an embedding's tensors begin with inside a LoRA, before its own name: A1111's form."""

_PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_"}

_DENOISERS = ("unet", "transformer")
_TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
_BEGINNINGS: dict[str, tuple[str, ...]] = {
    "lora_unet_": _DENOISERS,
    "lora_te_": ("text_encoder",),
    "lora_te1_": ("text_encoder",),
    "lora_te2_": ("text_encoder_2",),
    "lora_te3_": ("text_encoder_3",),
    "lora_transformer_": ("transformer",),
    "lycoris_": _DENOISERS + _TEXT_ENCODERS,
    "diffusion_model.": _DENOISERS,
    "unet.": ("unet",),
    "transformer.": ("transformer",),
    "text_encoder.": ("text_encoder",),
    "text_encoder_2.": ("text_encoder_2",),
    "": _DENOISERS + _TEXT_ENCODERS,
}
"""How a name begins, and the parts it may then speak of."""

# "to_q_lora.down" is diffusers' of 2023, "lora_linear_layer.down" of its text encoders; PEFT may name the adapter.
_OLD, _ADAPTER = r"(?:\.lora|_lora|\.lora_linear_layer)", r"(?:\.[\w-]+)?"
_ENDS = {
    "down": rf"\.lora_down\.weight|\.lora_A{_ADAPTER}\.weight|{_OLD}\.down\.weight",
    "up": rf"\.lora_up\.weight|\.lora_B{_ADAPTER}\.weight|{_OLD}\.up\.weight",
    "mid": r"\.lora_mid\.weight",
    "alpha": rf"{_OLD}?\.alpha",
    "dora_scale": r"\.dora_scale",
    "magnitude": rf"\.lora_magnitude_vector{_ADAPTER}(?:\.weight)?",
    **{name: rf"\.{name}{_ADAPTER}" for name in ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{name: rf"\.{name}{_ADAPTER}" for name in ("hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b")},
    **{name: rf"\.{name}{_ADAPTER}" for name in ("lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")},
    "diff": r"\.diff",
    "on_input": r"\.on_input",
    "weight": r"\.weight",  # IA3's, where "on_input" stands beside it
}
_FOREIGN = {
    "biases": rf"\.diff_b|\.lora_B{_ADAPTER}\.bias",
    "norms": r"\.w_norm|\.b_norm",
    "whole weights put in place (set_weight)": r"\.set_weight",
    "GLoRA": r"\.[ab][12]\.weight",
    "OFT": r"\.(?:oft_blocks|oft_diag|oft_R(?:\.\w+)*|boft_\w+(?:\.\w+)*)",
    "VeRA": r"\.vera_lambda_[bd](?:\.\w+)*",
}
"""Changes that other programs merge and Easel does not, as a sentence names them."""

_KEY = re.compile("(?P<base>.+?)(?:" + "|".join(f"(?P<{role}>{end})" for role, end in _ENDS.items()) + ")")
_FOREIGN_KEYS = {kind: re.compile(f".+(?:{end})") for kind, end in _FOREIGN.items()}

# XLabs's files call the attention of a picture's tokens 1 and that of a prompt's 2.
_XLABS = re.compile(r"(?<=double_blocks\.)(\d+)\.processor\.(qkv|proj)_lora([12])\.")
_SIDES = {"1": "img", "2": "txt"}

# The U-Net's modules under the names of the original code (Stability's "generative-models", before it CompVis's).
_SGM_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_out": "out.2",
}
_SGM_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_IN_BLOCK = re.compile(
    r"(down_blocks|mid_block|up_blocks)\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


class Key(NamedTuple):
    """What the name of one tensor says."""

    parts: tuple[str, ...]
    """The parts it may speak of, in the order to look."""
    name: str
    """The module's path with underscores for dots, as far as the file's form tells it."""
    role: str
    """Which factor of the module's change: a key of `_ENDS`."""


class Place(NamedTuple):
    """A module of the model."""

    part: str
    path: str


class Piece(NamedTuple):
    """A module of the model as some rows of what a file calls one module."""

    place: Place
    rows: tuple[slice, ...] = ()
    """One after the other; none for all as they are."""


class Names(NamedTuple):
    """The modules of a model by every name that LoRA files have for them."""

    native: dict[tuple[str, str], Place]
    original: dict[tuple[str, str], tuple[Piece, ...]]
    """By the names of the original code; a file that has both kinds says everything twice."""

    def find(self, key: Key) -> tuple[Piece, ...]:
        """The modules that a tensor's name stands for, several where the original code has them as one."""
        for part in key.parts:
            if (part, key.name) in self.native:
                return (Piece(self.native[part, key.name]),)
        return next((self.original[part, key.name] for part in key.parts if (part, key.name) in self.original), ())


def kohya_name(part: str, path: str) -> str:
    """The base name of the module at `path` in the part "unet" or "text_encoder", both as diffusers names them."""
    return _PREFIXES[part] + _flat(path)


def modules_by_kohya_name(paths: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, str]]:
    """The part and path that each base name stands for, given the module paths of a model by part.

    A name alone cannot be taken apart: it has underscores where the path has dots, and where it has underscores.
    """
    return {kohya_name(part, path): (part, path) for part in paths for path in paths[part]}


def read_key(key: str) -> Key | None:
    """What a tensor's name says; None where no LoRA has such a name."""
    found = _KEY.fullmatch(_XLABS.sub(lambda old: f"{old[1]}.{_SIDES[old[3]]}_attn.{old[2]}_lora.", key))
    if found is None or found.lastgroup is None:
        return None
    base = found["base"].removeprefix("base_model.model.").replace(".processor.", ".")
    beginning = next(each for each in _BEGINNINGS if base.startswith(each))
    return Key(_BEGINNINGS[beginning], _flat(base.removeprefix(beginning)), found.lastgroup)


def foreign_kind(key: str) -> str | None:
    """The kind of change, in words, where a tensor belongs to one that Easel cannot merge."""
    return next((kind for kind, pattern in _FOREIGN_KEYS.items() if pattern.fullmatch(key)), None)


def names_of(paths: Mapping[str, Shapes]) -> Names:
    """Every name of every module, given the shapes of a model's weights by part and by diffusers' module path.

    transformers' text encoders are known with "text_model." before their paths and, as of its newest releases, without.
    """
    native = {(part, name): Place(part, path) for part in paths for path in paths[part] for name in _spellings(path)}
    original: dict[tuple[str, str], tuple[Piece, ...]] = {
        ("unet", _flat(theirs)): (Piece(Place("unet", ours)),)
        for ours, theirs in sgm_names(paths.get("unet", ())).items()
    }
    for theirs, pieces in original_pieces(paths.get("transformer", {})).items():
        whole = tuple(Piece(Place("transformer", piece.path), piece.rows) for piece in pieces)
        original["transformer", _flat(theirs)] = whole
    return Names(native, original)


def sgm_names(paths: Iterable[str]) -> dict[str, str]:
    """The original code's path of every Linear and Conv2d of a U-Net, by its diffusers path.

    The original numbers its blocks by the skip connections; how many a level makes is read off the paths themselves.
    """
    known = list(paths)
    names = {path: _SGM_OUTSIDE[path] for path in known if path in _SGM_OUTSIDE}
    found = {path: match for path in known if (match := _IN_BLOCK.fullmatch(path))}
    layers: dict[tuple[str, str], int] = {}
    for side, level, kind, place, _ in (match.groups() for match in found.values()):
        if kind == "resnets":
            layers[side, level] = max(layers.get((side, level), 0), int(place) + 1)
    attending = {match.group(1, 2) for match in found.values() if match[3] == "attentions"}
    for path, match in found.items():
        if theirs := _sgm_name(match, layers, attending):
            names[path] = theirs
    return names


def _sgm_name(
    match: re.Match[str], layers: Mapping[tuple[str, str], int], attending: Collection[tuple[str | None, ...]]
) -> str | None:
    side, level, kind, place, rest = match.groups()
    inside = _SGM_RESNET.get(rest) if kind == "resnets" else rest
    if inside is None:
        return None
    if side == "mid_block":
        return f"middle_block.{2 * int(place) if kind == 'resnets' else 1}.{inside}"
    here = layers[side, level]
    before = sum(layers[side, str(earlier)] for earlier in range(int(level)))
    if side == "down_blocks":
        number = 1 + before + int(level) + (here if kind == "downsamplers" else int(place))
        position = {"resnets": 0, "attentions": 1, "downsamplers": 0}.get(kind)
        return f"input_blocks.{number}.{position}.{'op' if kind == 'downsamplers' else inside}"
    number = before + (here - 1 if kind == "upsamplers" else int(place))
    position = {"resnets": 0, "attentions": 1}.get(kind, 1 + ((side, level) in attending))
    return f"output_blocks.{number}.{position}.{inside}"


def _spellings(path: str) -> Iterator[str]:
    yield _flat(path)
    if path.endswith(".to_out.0"):
        yield _flat(path.removesuffix(".0"))
    bare = path.removeprefix("text_model.")
    if bare.startswith(("encoder.layers.", "embeddings.", "final_layer_norm")):
        old = re.sub(r"(?<=\.self_attn\.)(?:(q|k|v|out)_proj)$", r"to_\1", bare)
        for each in {bare, old}:
            yield _flat(each)
            yield _flat(f"text_model.{each}")


def _flat(path: str) -> str:
    return path.replace(".", "_")
