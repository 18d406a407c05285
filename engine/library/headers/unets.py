"""The U-Nets of Stable Diffusion 1.x, 2.x and XL, under the original code's names and diffusers'.

Widths of the published models: 768, 1024 and 2048 numbers a token for the prompt in XL's base, 1280 in its refiner;
4 channels of latents come in, more where a picture or a mask is read beside them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine.few_steps import KINDS, kind_of
from engine.library.guess import Guess, Question
from engine.library.headers.quantised import packing
from engine.library.headers.signs import REFINER, SD1, SD2, XL, Look, Match, Shape, Sign, guess

PREDICTIONS = ("epsilon", "v-prediction")
LINES = ("Stable Diffusion XL", "Pony", "Illustrious", "NoobAI")
"""What models with XL's base were trained on from; their prompts are written in different ways."""


class _Form(NamedTuple):
    """Where one way of naming a U-Net has what tells it apart."""

    enters: str
    leaves: str
    crosses: tuple[str, str]
    """A layer that reads the prompt: in the first level that has one, and in the deepest."""
    crosses_xl: tuple[str, str]
    adds: str
    """What XL reads sizes with, and unCLIP pictures."""
    classes: str
    deepest: str
    """XL's deepest level, with the block's number to be filled in."""
    second: str
    """A layer that the smaller ones distilled from 1.x and 2.x lack."""


_ATTENTION = "transformer_blocks.0.attn2.to_k.weight"
_FORMS = (
    _Form(
        "input_blocks.0.0.weight",
        "out.2.weight",
        (f"input_blocks.1.1.{_ATTENTION}", f"input_blocks.8.1.{_ATTENTION}"),
        (f"input_blocks.4.1.{_ATTENTION}", f"input_blocks.8.1.{_ATTENTION}"),
        "label_emb.0.0.weight",
        "label_emb.weight",
        "input_blocks.8.1.transformer_blocks.{}.attn2.to_k.weight",
        f"middle_block.1.{_ATTENTION}",
    ),
    _Form(
        "conv_in.weight",
        "conv_out.weight",
        (f"down_blocks.0.attentions.0.{_ATTENTION}", f"down_blocks.2.attentions.0.{_ATTENTION}"),
        (f"down_blocks.1.attentions.0.{_ATTENTION}", f"down_blocks.2.attentions.0.{_ATTENTION}"),
        "add_embedding.linear_1.weight",
        "class_embedding.weight",
        "down_blocks.2.attentions.0.transformer_blocks.{}.attn2.to_k.weight",
        f"mid_block.attentions.0.{_ATTENTION}",
    ),
)
_UNCLIP = ("label_emb.0.0.weight", "class_embedding.linear_1.weight")
_MORE_CHANNELS: dict[int, tuple[tuple[str, ...], str]] = {
    4: ((), ""),
    9: (("inpaint",), ""),
    8: (("reads a second picture",), "a model that reads a second picture beside the noise, as InstructPix2Pix does"),
}
_SMALLER_XL = {2: "Segmind Vega", 4: "SSD-1B", 5: "KOALA-700M", 6: "KOALA-1B"}
"""Models distilled from XL's base, by the blocks in their deepest level, where it has ten."""
_WRAPPED = ("", "state_dict.")
_ENCODERS = ("cond_stage_model.", "conditioner.embedders.", "text_encoders.", "text_encoder.")
_TEXT = tuple(outer + each for outer in _WRAPPED for each in _ENCODERS)
_DECODERS = tuple(outer + each for outer in _WRAPPED for each in ("first_stage_model.decoder.", "vae.decoder."))


def guess_unet(look: Look) -> Guess | None:
    """A model, or its U-Net alone, of Stable Diffusion 1.x, 2.x or XL."""
    found = look.match(_SIGNS)
    if found is None:
        return None
    variants = (*_variants(look, found), *parts(look), *packing(look))
    return guess(look, found, variants, tuple(_questions(look, found.sign)), "checkpoint" if is_whole(look) else None)


def is_whole(look: Look) -> bool:
    """Whether there is more than the denoiser."""
    return look.begins(*_TEXT, *_DECODERS)


def parts(look: Look) -> tuple[str, ...]:
    """What a checkpoint lacks."""
    if not is_whole(look):
        return ()
    lacks = (("no VAE", _DECODERS), ("no text encoder", _TEXT))
    return tuple(variant for variant, names in lacks if not look.begins(*names))


def _signs() -> Iterator[Sign]:
    for form in _FORMS:
        yield _sign(SD2, form, 7, 256, {form.classes: (1000, 1024)}, ("x4 upscaler",), "Stability's x4 upscaler")
        for channels, (variants, refused) in _MORE_CHANNELS.items():
            crossing: dict[str, Shape] = {form.crosses_xl[0]: (640, 2048), form.adds: (2816,)}
            yield _sign(XL, form, channels, 320, crossing, variants, refused)
            for family, width in ((SD1, 768), (SD2, 1024)):
                crossing = {form.crosses[0]: (320, width), form.crosses[1]: (1280, width)}
                yield _sign(family, form, channels, 320, crossing, variants, refused)._replace(
                    lacks=(form.adds, form.classes, *_UNCLIP)
                )
        crossing = {form.crosses_xl[0]: (768, 1280), form.adds: (2560,)}
        yield _sign(REFINER, form, 4, 384, crossing, (), "")
        yield _sign(
            SD2,
            form,
            5,
            320,
            {form.crosses[0]: (320, 1024)},
            ("depth",),
            "a depth-to-image model of Stable Diffusion 2",
        )
    for form, embeds in zip(_FORMS, _UNCLIP, strict=True):
        for width in (1536, 2048):
            crossing = {form.crosses[0]: (320, 1024), embeds: (width,)}
            yield _sign(SD2, form, 4, 320, crossing, ("unCLIP",), "a model that makes variations of a picture (unCLIP)")


def _sign(
    family: str, form: _Form, channels: int, width: int, more: dict[str, Shape], told: tuple[str, ...], refused: str
) -> Sign:  # fmt: skip
    ends: dict[str, Shape] = {form.enters: (width, channels, 3, 3), form.leaves: (4, width, 3, 3)}
    return Sign("denoiser", family, more | ends, variants=told, refused=refused)


_SIGNS = tuple(_signs())


def _variants(look: Look, found: Match) -> Iterator[str]:
    sign, root = found
    form = _FORMS[0] if _FORMS[0].enters in sign.has else _FORMS[1]
    if sign.family == XL:
        depth = next(n for n in range(100) if look.at(root, form.deepest.format(n)) is None)
        if depth != 10:
            yield _SMALLER_XL.get(depth, "fewer blocks")
    elif sign.family in (SD1, SD2) and look.at(root, form.second) is None and "x4 upscaler" not in sign.variants:
        yield "fewer blocks"
    if look.at(root, "time_embedding.cond_proj.weight"):
        yield "few steps: LCM"
        yield "reads guidance"
    if root.startswith("model_ema"):
        yield "moving averages only"
    if "v_pred" in look.tensors:
        yield PREDICTIONS[1]
    if "ztsnr" in look.tensors:
        yield "zero terminal SNR"


def _questions(look: Look, sign: Sign) -> Iterator[Question]:
    """What no header tells; the file's name says what is likely, but proves nothing."""
    name = look.name.casefold()
    if sign.refused:
        return
    flat = name.replace("-", "").replace("_", "").replace(" ", "")
    says_v = "vpred" in flat or "768v" in flat
    if "v_pred" not in look.tensors and (sign.family == SD2 or (says_v and sign.family in (SD1, XL))):
        base = "inpaint" in sign.variants or "512" in name
        yield Question("prediction", PREDICTIONS if base and not says_v else PREDICTIONS[::-1])
    if sign.family == XL:
        named = next((line for line in LINES[1:] if line.casefold() in flat), LINES[0])
        yield Question("base model", (named, *(line for line in LINES if line != named)))
    if sign.family in (SD1, XL) and "inpaint" not in sign.variants and not look.holds("time_embedding.cond_proj"):
        yield few_steps(look)


def few_steps(look: Look, kinds: tuple[str, ...] = tuple(KINDS)) -> Question:
    """Whether it draws in few steps, and of which kind it then is."""
    named = kind_of(look.name)
    return Question("few steps", tuple(sorted(("no", *kinds), key=lambda kind: kind != (named or "no"))))
