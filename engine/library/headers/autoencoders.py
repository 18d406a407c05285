"""VAEs and the tiny decoders that draw previews.

The VAEs of Stable Diffusion 1.x, 2.x and XL have the same shapes, as have those of 3 and FLUX.1: which one it is, only
its name or its metadata can tell. Tiny ones: https://github.com/madebyollin/taesd.
"""

from collections.abc import Iterator

from engine.library.guess import Guess, Question
from engine.library.headers.signs import FLUX, SD1, SD3, XL, Look, Shape, Sign, guess

_ROOTS = ("", "first_stage_model.", "vae.", "module.")
_ENTERS, _LEAVES = "decoder.conv_in.weight", "decoder.conv_out.weight"
_TEMPORAL = (
    "decoder.time_conv_out.weight",
    "decoder.temp_conv_in.weight",
    "decoder.up.0.block.0.time_stack.in_layers.0.weight",
)
_VIDEO = "a VAE of a video model"


def guess_autoencoder(look: Look) -> Guess | None:
    """A VAE or a preview decoder in a file of its own."""
    found = look.match(_SIGNS, _ROOTS)
    if found is None:
        return None
    questions = () if found.sign.refused or found.sign.family else (_question(look, found.sign),)
    return guess(look, found, questions=questions)


def _signs() -> Iterator[Sign]:
    yield Sign("vae", "FLUX.2", {_ENTERS: (512, 32, 3, 3), "bn.running_mean": (128,)}, refused="an image model")
    yield Sign("vae", "", {_ENTERS: (512, 4, 3, 3), "quantize.embedding.weight": ()}, refused="a VAE with a codebook")
    asymmetric = {"decoder.condition_encoder.layers.0.weight": (), _ENTERS: ()}
    yield Sign("vae", "", asymmetric, refused="a VAE that reads the masked picture as well")
    for name in _TEMPORAL:
        yield Sign("vae", "", {name: ()}, refused=_VIDEO)
    ends: dict[str, Shape] = {_LEAVES: (3, 128, 3, 3)}
    yield Sign("vae", "", {_ENTERS: (512, 4, 3, 3), **ends}, (), ("4 channels",))
    lacks = ("quant_conv.weight", "post_quant_conv.weight")
    yield Sign("vae", "", {_ENTERS: (512, 16, 3, 3), **ends}, lacks, ("16 channels",))
    for name in (_ENTERS, "decoder.conv_in.conv.weight", "decoder.conv1.weight"):
        yield Sign("vae", "", {name: (None, None, 3, 3, 3)}, refused=_VIDEO)
    yield Sign("vae", "Sana", {"decoder.stages.1.op_list.0.main.conv.conv.bias": ()}, refused="an image model")
    for channels in (4, 16):
        for name, inside in _TINY:
            has: dict[str, Shape] = {name: (64, channels, 3, 3), inside: (64, 64, 3, 3)}
            yield Sign("preview_decoder", "", has, (), (f"{channels} channels",))


_TINY = (
    ("1.weight", "3.conv.0.weight"),
    ("decoder.layers.0.weight", "decoder.layers.2.conv.0.weight"),
    ("decoder.1.weight", "decoder.3.conv.0.weight"),
    ("taesd_decoder.1.weight", "taesd_decoder.3.conv.0.weight"),
)
_SIGNS = tuple(_signs())


def _question(look: Look, sign: Sign) -> Question:
    name = look.name.casefold()
    if "4 channels" in sign.variants:
        likely = XL if "xl" in name else SD1
        return Question("family", (likely, SD1 if likely == XL else XL))
    likely = SD3 if SD3 in name or "3.5" in name else FLUX
    return Question("family", (likely, FLUX if likely == SD3 else SD3))
