"""Text encoders, image encoders, and the models that make control images."""

from collections.abc import Iterator

from engine.library.guess import Guess
from engine.library.headers.quantised import packing
from engine.library.headers.signs import Look, Shape, Sign, guess

_ROOTS = (
    "",
    "text_encoder.",
    "model.",
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "text_encoders.clip_l.transformer.",
)
_TOKENS = 49408
"""CLIP's vocabulary."""
_CLIP = {768: ("CLIP-L", 12), 1024: ("CLIP-H", 24), 1280: ("CLIP-G", 32)}
"""By their width: the name and the number of layers; the H that Stable Diffusion 2 reads is stored with one less."""
_VISION = {1024: "CLIP ViT-L", 1280: "CLIP ViT-H", 1664: "CLIP ViT-bigG"}
_LANGUAGE = "a language model, with which newer families read prompts"


def guess_encoder(look: Look) -> Guess | None:
    """An encoder in a file of its own, or a model that makes control images."""
    found = look.match(_SIGNS, _ROOTS)
    if found is None:
        return None
    variants = packing(look)
    if found.sign.kind == "text_encoder" and look.begins("vision_model.", "visual."):
        variants = ("with its image encoder", *variants)
    return guess(look, found, variants)


def _signs() -> Iterator[Sign]:
    for width, (name, layers) in _CLIP.items():
        for begins in ("text_model.", ""):
            table: dict[str, Shape] = {f"{begins}embeddings.token_embedding.weight": (_TOKENS, width)}
            last = f"{begins}encoder.layers.{layers - 2}.self_attn.q_proj.weight"
            yield Sign(
                "text_encoder",
                "",
                table | {last: (width, width)},
                (f"{begins}encoder.layers.{layers}.mlp.fc1.weight",),
                (name,),
            )
        blocks = {
            "token_embedding.weight": (_TOKENS, width),
            f"transformer.resblocks.{layers - 2}.ln_1.weight": (width,),
        }
        yield Sign("text_encoder", "", blocks, (f"transformer.resblocks.{layers}.ln_1.weight",), (name,))
    for table_name in ("shared.weight", "encoder.embed_tokens.weight"):
        first = "encoder.block.0.layer.0.SelfAttention.q.weight"
        yield Sign("text_encoder", "", {table_name: (32128, 4096), first: (4096, 4096)}, (), ("T5-XXL",))
        yield Sign(
            "text_encoder", "", {table_name: (256384, 4096), first: ()}, (), ("UMT5-XXL",), "a text encoder of Wan"
        )
        yield Sign(
            "text_encoder", "", {table_name: (None, None), first: ()}, (), ("T5",), "a T5 that no family of Easel reads"
        )
    for begins in ("model.", "model.language_model.", "language_model.model.", ""):
        has = {f"{begins}embed_tokens.weight": (), f"{begins}layers.0.self_attn.q_proj.weight": ()}
        yield Sign("text_encoder", "", has, refused=_LANGUAGE)
    for width, name in _VISION.items():
        patches: dict[str, Shape] = {"vision_model.embeddings.patch_embedding.weight": (width, 3, 14, 14)}
        yield Sign("image_encoder", "", patches | {"vision_model.pre_layrnorm.weight": (width,)}, (), (name,))
        yield Sign(
            "image_encoder", "", {"visual.conv1.weight": (width, 3, 14, 14), "visual.ln_pre.weight": ()}, (), (name,)
        )
    siglip = {
        "vision_model.embeddings.patch_embedding.weight": (1152, 3, None, None),
        "vision_model.post_layernorm.weight": (),
    }
    yield Sign("image_encoder", "", siglip, (), ("SigLIP",), "SigLIP, an image encoder of FLUX.1 Redux")
    for name, has in _PREPROCESSORS:
        yield Sign("preprocessor", "", has, variants=(name,))


_PREPROCESSORS: tuple[tuple[str, dict[str, Shape]], ...] = (
    ("HED: soft edges", {"block5.projection.weight": ()}),
    (
        "DPT: depth",
        {
            "neck.reassemble_stage.layers.0.projection.weight": (),
            "head.conv1.weight": (),
            "backbone.embeddings.cls_token": (),
        },
    ),
    ("DPT: depth", {"neck.reassemble_stage.layers.0.projection.weight": (), "head.head.0.weight": ()}),
    ("ViTPose: poses", {"head.deconv1.weight": (), "backbone.embeddings.patch_embeddings.projection.weight": ()}),
    ("ViTPose: poses", {"head.conv.weight": (), "backbone.embeddings.patch_embeddings.projection.weight": ()}),
    (
        "SegFormer: things",
        {"decode_head.linear_c.0.proj.weight": (), "segformer.encoder.patch_embeddings.0.proj.weight": ()},
    ),
    ("UperNet: things", {"decode_head.psp_modules.0.1.conv.weight": (), "decode_head.fpn_bottleneck.conv.weight": ()}),
)
_SIGNS = tuple(_signs())
