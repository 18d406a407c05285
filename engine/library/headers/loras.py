"""LoRAs of every form, and the family of models that each was made for.

Told by the width of the prompt's vectors in cross-attention where the U-Net's is changed, by the names of blocks that
one family alone has, else by the text encoders; what may be of two families is asked.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.library.guess import Guess, Question
from engine.library.headers.foreign import LABELS
from engine.library.headers.lora_layers import BEGINS, ENDS, Layers, given_out, layers_with, taken_in
from engine.library.headers.signs import FLUX, REFINER, SD1, SD2, SD3, XL, Look, refusal, what

WIDTHS = {768: SD1, 1024: SD2, 2048: XL, 1280: REFINER}
"""Of the prompt's vectors."""
_ALGORITHMS = {
    ".hada_w1_a": "LoHa", ".lokr_w1": "LoKr", ".lokr_w1_a": "LoKr", ".lokr_w2": "LoKr", ".oft_blocks": "OFT",
    ".oft_diag": "OFT", ".on_input": "IA3", ".dora_scale": "DoRA", ".lora_magnitude_vector": "DoRA",
    ".lora_magnitude_vector.weight": "DoRA", ".lora_mid.weight": "LoCon", ".diff": "full difference",
    ".set_weight": "full weights", ".b1.weight": "GLoRA",
}  # fmt: skip

_BLOCKS = r"(?:down|up|input|output)_blocks_|mid(?:dle)?_block_"
_CROSS = re.compile(rf"(?:{_BLOCKS}).*attn2_(?:processor_)?to_[kv]$")
_SELF = re.compile(rf"(?:{_BLOCKS}).*attn1_(?:processor_)?to_[qkv]$")
_ENTERS = re.compile(r"(?:down_blocks_0_attentions_\d|input_blocks_[12]_1)_proj_in$")
_DEEP = re.compile(r"(?:attentions_\d|blocks?_(?:\d+_)?1)_transformer_blocks_[1-9]")
"""Stable Diffusion 1.x and 2.x have one block at a place, XL has two or ten, its refiner four."""
_SHALLOW = (
    "down_blocks_0_attentions_",
    "input_blocks_1_1_",
    "input_blocks_2_1_",
    "up_blocks_3_",
    "output_blocks_11_1_",
)
"""Where 1.x and 2.x attend, and XL does not."""


class _Found(NamedTuple):
    """A family, or those that it may be, the likeliest first, and what that rests on."""

    families: tuple[str, ...]
    rests_on: str


def guess_lora(look: Look) -> Guess | None:
    """A LoRA, or one of its kin, in a file of its own."""
    if not look.ends(*ENDS) and not look.begins(*BEGINS) and not look.holds(".lora_A.", ".lora_B.", "_lora_A."):
        return None
    names = _names(look.text)
    found = next((found for judge in _JUDGES if (found := judge(look, names))), _Found((), _NOTHING))
    family = found.families[0] if len(found.families) == 1 else ""
    asked = (Question("family", found.families),) if len(found.families) > 1 else ()
    variants = tuple(dict.fromkeys(_variants(look)))
    refused = LABELS.get(family, "")
    if family == FLUX and taken_in(layers_with(look.tensors, ("img_in", "x_embedder"), _ENTERS_FLUX)) - {64}:
        variants, refused = (*variants, "control"), _CONTROL
    return Guess("lora", family, variants, found.rests_on, refusal("lora", family, refused), asked)


def is_deep(names: str) -> bool:
    """Whether layers of these names, with underscores for dots, are of a U-Net deeper than those of 1.x and 2.x."""
    return _DEEP.search(names) is not None


def _names(text: str) -> "_Names":
    flat = text.replace(".", "_")
    return _Names(flat, "\n" + "\n".join(set(flat.translate(_ANY_DIGIT).split("\n"))))


def _variants(look: Look) -> Iterator[str]:
    yield from (kind for end, kind in _ALGORITHMS.items() if look.ends(end))
    if look.begins("bundle_emb."):
        yield "with embeddings"
    if look.begins("lora_te", "text_encoder", "lycoris_text", "text_encoders."):
        yield "changes the text encoder"


_NOTHING = "Its names are those of a LoRA, but of no family that Easel can tell."


# ------------------------------------------------------------------------------------------------ by names

_NAMED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (family, re.compile(pattern))
    for family, pattern in (
        ("AnimateDiff", r"motion_modules_0"),
        ("Chroma", r"distilled_guidance_layer_"),
        ("FLUX.2", r"double_stream_modulation_|to_qkv_mlp_proj|transformer_blocks_0+_ff_linear_in"),
        ("Hunyuan Video", r"individual_token_refiner|token_refiner_refiner_blocks|double_blocks_0+_(?:img|txt)_mlp_fc"),
        ("HiDream", r"double_stream_blocks_0+_block_|caption_projection_0+_linear"),
        ("Kandinsky", r"visual_transformer_blocks_"),
        ("AuraFlow", r"double_layers_0|joint_transformer_blocks_"),
        (SD3, r"joint_blocks_0"),
        ("Qwen-Image", r"transformer_blocks_0+_(?:img|txt)_(?:mlp|mod)_"),
        ("Mochi", r"transformer_blocks_0+_attn0_add_"),
        ("HunyuanDiT", r"\n(?:lora_unet_|unet_)?blocks_0+_attn0_(?:kv_proj|q_proj|to_)|mlp_t0_"),
        ("Z-Image", r"(?:noise|context)_refiner_0+_attention_|layers_0+_(?:attention|feed_forward|adaLN)_"),
        ("Anima", r"llm_adapter_blocks_"),
        ("Cosmos", r"blocks_0+_(?:cross|self)_attn_(?:q|k|v|output)_proj|blocks_0+_mlp_layer0"),
        ("Wan", r"blocks_0+_(?:cross|self)_attn_(?:q|k|v|o|k_img|v_img)_(?:lora|lokr|hada|diff|alpha|dora)"),
        ("Stable Cascade", r"lora_prior_unet_"),
        ("PixArt", r"blocks_0+_cross_attn_(?:q_linear|kv_linear)"),
    )
)
"""By names with underscores for dots and 0 for every digit, a line each."""
_SAYS_FLUX = re.compile(r"double_blocks_0|single_blocks_0|single_transformer_blocks_0")
_FLUX_ALONE = re.compile(
    r"processor_(?:qkv|proj)_lora|(?:img|txt)_mod_lin_|modulation_lin_|single_transformer_blocks_0+_(?:norm_linear|proj_mlp)|"
    r"transformer_blocks_0+_(?:norm0_(?:context_)?linear|ff_context)|guidance_in_|guidance_embedder|vector_in_in_layer|"
    r"double_blocks_0+_(?:img|txt)_mlp_0_"
)
"""What FLUX.2's smallest, which is as wide, does not have: modulation in each block, this MLP …"""
_FLUX_DEEP = ("double_blocks_8_", "double_blocks_18_", "single_blocks_24_", "single_blocks_37_", "_blocks_24_attn_to_q")
"""… and so many blocks."""
_FLUX2_DEEP = tuple(f"single{kind}_blocks_4{number}_" for kind in ("", "_transformer") for number in range(8))
_HUNYUAN_DEEP = ("double_blocks_19_", "single_blocks_38_", "single_blocks_39_", "single_transformer_blocks_38_")
_BOTH_STREAMS = re.compile(
    r"double_blocks_\d+_(?:img|txt)_attn_(?:qkv|proj)$|transformer_blocks_\d+_attn_to_(?:q|k|v|out_0)$"
)
_READS = re.compile(r"(?:txt_in|context_embedder)$")
_WIDENS = re.compile(r"double_blocks_\d+_img_mlp_0$")
_ADDS = re.compile(r"transformer_blocks_\d+_attn_add_[qkv]_proj$")
_JOINT = re.compile(r"transformer_blocks_\d+_attn_to_[qkv]$")
_SINGLE = re.compile(r"transformer_blocks_\d+_attn[12]_to_[qkv]$")
_ENTERS_FLUX = re.compile(r"(?:^|_)(?:img_in|x_embedder)$")
_CONTROL = "a LoRA that makes FLUX.1 read a control image beside the noise"
_LAYERS = re.compile(r"(?:^|_)layers_\d+_(?:attention_(?:to_q|to_k|to_v|qkv|out)|attn_to_[qkv])$")
_ANY_DIGIT = str.maketrans("123456789", "0" * 9)


class _Names(NamedTuple):
    """All names of a file's tensors with underscores for dots, a line each."""

    all: str
    kinds: str
    """With 0 for every digit, and each but once: far fewer."""


def _by_names(look: Look, names: _Names) -> _Found | None:
    family = next((family for family, pattern in _NAMED if pattern.search(names.kinds)), "")
    if any(each in names.all for each in _FLUX2_DEEP):
        family = "FLUX.2"
    if family == "Z-Image":
        widths = taken_in(layers_with(look.tensors, ("layers",), _LAYERS))
        family = "Lumina 2" if widths == {2304} else family
    return _Found((family,), f"Its names are those of {_label(family)}'s layers.") if family else None


def _by_streams(look: Look, names: _Names) -> _Found | None:
    """FLUX.1, and what has blocks of the same names: FLUX.2, Hunyuan Video."""
    if not _SAYS_FLUX.search(names.kinds):
        return None
    attention = taken_in(layers_with(look.tensors, ("attn",), _BOTH_STREAMS))
    reads = taken_in(layers_with(look.tensors, ("txt_in", "context_embedder"), _READS))
    widens = given_out(layers_with(look.tensors, ("img_mlp",), _WIDENS))
    if reads and 4096 not in reads:
        width = min(reads)
        family = "FLUX.2" if width in (7680, 12288, 15360) else ""
        return _Found((family,) * bool(family), f"Its layer for the prompt reads vectors of {width} numbers.")
    if attention and 3072 not in attention:
        width = min(attention)
        family = "FLUX.2" if width in (4096, 6144) else ""
        return _Found((family,) * bool(family), f"Its attention is {width} wide, where FLUX.1's is 3072.")
    if widens and 12288 not in widens:
        return _Found(("FLUX.2",), f"Its layers widen to {min(widens)}, where FLUX.1's do to 12288.")
    if any(each in names.all for each in _HUNYUAN_DEEP):
        return _Found(("Hunyuan Video",), "It changes more blocks than FLUX.1 has, as Hunyuan Video does.")
    rests_on = f"Its names are those of {_label(FLUX)}'s blocks."
    deep = any(each in names.all for each in _FLUX_DEEP)
    if 4096 in reads or deep or _FLUX_ALONE.search(names.kinds):
        return _Found((FLUX, "Chroma") if _says(look, "chroma") else (FLUX,), rests_on)
    return _Found((FLUX, "FLUX.2"), "Its names are those of FLUX's blocks; both kinds of FLUX have these.")


def _by_transformer(look: Look, names: _Names) -> _Found | None:
    """Transformers with one kind of block: Stable Diffusion 3, Qwen-Image, and those without a second stream."""
    added = taken_in(layers_with(look.tensors, ("attn",), _ADDS))
    if added:
        width = min(added)
        rests_on = f"Its layers for the prompt's own stream read {width} numbers."
        if width in (1536, 2432):
            return _Found((SD3,), rests_on)
        both = (FLUX, "Qwen-Image") if width == 3072 else ()
        return _Found(both, rests_on)
    if re.search(_BLOCKS, names.kinds):
        return None
    joint = taken_in(layers_with(look.tensors, ("attn",), _JOINT))
    single = taken_in(layers_with(look.tensors, ("attn1", "attn2"), _SINGLE))
    for widths, width, family in (
        (joint, 1536, SD3), (joint, 2432, SD3), (single, 1152, "PixArt"), (single, 2240, "Sana"),
    ):  # fmt: skip
        if widths == {width}:
            return _Found((family,), f"Its attention is {width} wide, as {_label(family)}'s is.")
    return _Found((), _NOTHING) if joint | single else None


# ------------------------------------------------------------------------------------------------ by a U-Net's widths


def _by_prompt(look: Look, _: _Names) -> _Found | None:
    """The width of the prompt's vectors, where the layers that read them are changed."""
    layers = layers_with(look.tensors, ("attn2",), _CROSS)
    widths = taken_in(layers)
    if not widths:
        return None
    width = min(widths)
    if len(widths) > 1 or width not in WIDTHS:
        return _Found((), f"Its layers that read the prompt are {width} wide, as in no family that Easel knows.")
    name = next(iter(layers)).replace(".", "_")
    end = name[name.rindex("attn2") :]
    return _Found((WIDTHS[width],), f"“…{end}” reads vectors of {width} numbers, as {_label(WIDTHS[width])}'s does.")


def _by_depth(look: Look, names: _Names) -> _Found | None:
    """A U-Net of which self-attention or convolutions alone are changed."""
    if not re.search(_BLOCKS, names.kinds):
        return None
    widths = taken_in(layers_with(look.tensors, ("attn1",), _SELF))
    if is_deep(names.all):
        if widths & {768, 1536}:
            return _Found((REFINER,), f"It attends at a width of {min(widths)}, as {_label(REFINER)} does.")
        if widths & {640, 1280}:
            return _Found((XL,), f"It has several blocks at a place, as {_label(XL)} has.")
        return _Found((XL, REFINER), "It has several blocks at a place, as the models of Stable Diffusion XL have.")
    text = _by_text(look, names)
    if text and len(text.families) == 1:
        return text
    if 320 in widths or any(each in names.all for each in _SHALLOW):
        return _by_projection(layers_with(look.tensors, ("proj_in",), _ENTERS))
    return _Found((XL, SD1, SD2), "It changes layers that several families have.")


def _by_projection(enters: Layers) -> _Found:
    """1.x enters its attention by a convolution, 2.x by a linear layer."""
    shapes = {
        len(shape) for factors in enters.values() for role, shape in factors.items() if role in ("lora_down", "down")
    }
    if shapes == {4}:
        return _Found((SD1,), f"Its “…proj_in” is a convolution, as in {_label(SD1)}.")
    if shapes == {2}:
        return _Found((SD2,), f"Its “…proj_in” is no convolution, as in {_label(SD2)}.")
    return _Found((SD1, SD2), "It attends where Stable Diffusion 1.x and 2.x do.")


# ------------------------------------------------------------------------------------------------ by text encoders

_ENCODER = re.compile(r"layers_\d+_self_attn_(?:[qkv]_proj|to_[qkv])$")


def _by_text(look: Look, _: _Names) -> _Found | None:
    """Text encoders alone: CLIP-L is in most families, CLIP-G in XL and 3."""
    widths = taken_in(layers_with(look.tensors, ("self_attn",), _ENCODER))
    if look.begins("lora_te2_encoder_block_", "lora_te3_", "text_encoder_3."):
        first = look.begins("lora_te2_encoder_block_")
        return _Found((FLUX,) if first else (SD3,), f"It changes a T5, which {_label(FLUX if first else SD3)} reads.")
    if look.begins("lora_te_") and widths in ({768}, {1024}):
        family = SD1 if widths == {768} else SD2
        return _Found((family,), f"It changes a text encoder {min(widths)} wide, which {_label(family)} reads.")
    if 1280 in widths or look.begins("lora_te2_", "text_encoder_2."):
        return _Found((XL, SD3), "It changes a text encoder 1280 wide, which Stable Diffusion XL and 3 read.")
    if widths == {1024}:
        return _Found((SD2,), f"It changes a text encoder 1024 wide, which {_label(SD2)} reads.")
    if widths == {768}:
        first = (XL, SD1) if look.begins("lora_te1_") else (SD1, XL)
        return _Found((*first, FLUX, SD3), "It changes a text encoder 768 wide, which several families read.")
    return None


_JUDGES: tuple[Callable[[Look, _Names], _Found | None], ...] = (
    _by_names, _by_streams, _by_prompt, _by_transformer, _by_depth, _by_text,
)  # fmt: skip


def _says(look: Look, word: str) -> bool:
    return word in look.name.casefold()


def _label(family: str) -> str:
    return what("checkpoint", family)
