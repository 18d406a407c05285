"""The transformers of Stable Diffusion 3 and FLUX.1, under their authors' names and diffusers'."""

from collections.abc import Iterator

from engine.library.guess import Guess, Question
from engine.library.headers.quantised import packing
from engine.library.headers.signs import FLUX, SD3, Look, Match, Shape, Sign, guess
from engine.library.headers.unets import few_steps, is_whole, parts

_SD3 = "joint_blocks.0.context_block.adaLN_modulation.1.bias"
_SD3_DIFFUSERS = "transformer_blocks.0.norm1_context.linear.bias"
_GUIDANCE = "guidance_in.in_layer.weight"
_GUIDANCE_DIFFUSERS = "time_text_embed.guidance_embedder.linear_1.weight"
_FLUX: tuple[dict[str, Shape], ...] = tuple(
    {f"double_blocks.0.img_attn.norm.key_norm.{end}": (128,), "txt_in.weight": (3072, 4096),
     "vector_in.in_layer.weight": (3072, 768)}
    for end in ("scale", "weight")
)  # fmt: skip
_FLUX_DIFFUSERS: dict[str, Shape] = {
    "single_transformer_blocks.0.attn.norm_k.weight": (128,),
    "context_embedder.weight": (3072, 4096),
    "time_text_embed.text_embedder.linear_1.weight": (3072, 768),
}
_FILL = "FLUX.1 Fill, which paints into a picture with a mask of its own"
_CONTROL = "FLUX.1 Depth or Canny, which reads a control image beside the noise"


def guess_transformer(look: Look) -> Guess | None:
    """A model, or its transformer alone, of Stable Diffusion 3 or FLUX.1."""
    found = look.match(_SIGNS)
    if found is None:
        return None
    questions: tuple[Question, ...] = ()
    if found.sign.family == SD3 and "3.5 large" in found.sign.variants:
        questions = (few_steps(look, ("Turbo",)),)
    variants = (*_variants(look, found), *parts(look), *packing(look))
    return guess(look, found, variants, questions, "checkpoint" if is_whole(look) else None)


def _signs() -> Iterator[Sign]:
    yield Sign("denoiser", SD3, {_SD3: (14592,), "joint_blocks.37.x_block.mlp.fc1.weight": ()}, (), ("3.5 large",))
    yield Sign("denoiser", SD3, {_SD3: (9216,), "pos_embed": (1, 147456, 1536)}, (), ("3.5 medium",))
    yield Sign("denoiser", SD3, {_SD3: (9216,), "pos_embed": (1, 36864, 1536)}, (), ("3 medium",))
    yield Sign(
        "denoiser", SD3,
        {_SD3_DIFFUSERS: (14592,), "transformer_blocks.36.attn.add_q_proj.weight": (2432, 2432)}, (), ("3.5 large",),
    )  # fmt: skip
    for positions, variant in ((147456, "3.5 medium"), (36864, "3 medium")):
        has: dict[str, Shape] = {_SD3_DIFFUSERS: (9216,), "pos_embed.pos_embed": (1, positions, 1536)}
        yield Sign("denoiser", SD3, has, (), (variant,))
    forms = [(each, "img_in.weight", _GUIDANCE) for each in _FLUX]
    for names, enters, guided in (*forms, (_FLUX_DIFFUSERS, "x_embedder.weight", _GUIDANCE_DIFFUSERS)):
        yield Sign("denoiser", FLUX, names | {enters: (3072, 384)}, (), ("fill",), _FILL)
        yield Sign("denoiser", FLUX, names | {enters: (3072, 128)}, (), ("control",), _CONTROL)
        yield Sign("denoiser", FLUX, names | {enters: (3072, 64), guided: ()}, (), ("dev", "reads guidance"))
        yield Sign("denoiser", FLUX, names | {enters: (3072, 64)}, (guided,), ("schnell",))


_SIGNS = tuple(_signs())
_LAST_BLOCKS = ("double_blocks.18.", "transformer_blocks.18.")


def _variants(look: Look, found: Match) -> Iterator[str]:
    if found.sign.family == FLUX and not look.begins(*(found.root + each for each in _LAST_BLOCKS)):
        yield "fewer blocks"
    if look.begins("text_encoders.clip_l.", "text_encoders.clip_g."):
        yield "with CLIP"
    if look.begins("text_encoders.t5xxl."):
        yield "with T5"
