"""What a header is looked at by: tensors that one kind of file has and another lacks, and how their shapes end."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from engine.families import FAMILIES, flux, sd1, sd2, sd3, sdxl, sdxl_refiner
from engine.formats.safetensors import Tensor
from engine.library.guess import Guess, Kind, Question

SD1, SD2, SD3 = sd1.FAMILY.name, sd2.FAMILY.name, sd3.FAMILY.name
XL, REFINER, FLUX = sdxl.FAMILY.name, sdxl_refiner.FAMILY.name, flux.FAMILY.name

EMA = "model_ema.diffusion_model"
"""Before the names of moving averages, which have no dots: CompVis's `ldm/modules/ema.py` takes them out."""
ROOTS = (
    "model.diffusion_model.", "", "model.", "net.", "diffusion_model.", "unet.", "transformer.", "model.model.",
    "module.", "state_dict.model.diffusion_model.", EMA,
)  # fmt: skip
"""What programs put before a denoiser's names."""

_WORDS: dict[Kind, str] = {
    "lora": "a LoRA",
    "embedding": "an embedding",
    "controlnet": "a ControlNet",
    "t2i_adapter": "a T2I-Adapter",
    "ip_adapter": "an IP-Adapter",
    "vae": "a VAE",
    "preview_decoder": "a preview decoder",
    "upscaler": "an upscaler",
    "text_encoder": "a text encoder",
    "image_encoder": "an image encoder",
    "preprocessor": "a model that makes control images",
    "hypernetwork": "a hypernetwork",
}

Shape = tuple[int | None, ...]


class Sign(NamedTuple):
    """One kind of file, as its header shows it."""

    kind: Kind
    family: str
    has: Mapping[str, Shape]
    """Tensors that are there, and the last numbers of their shapes, None for any. A person is told the first."""
    lacks: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    refused: str = ""
    """What it is, where Easel does not run it: "a video model"."""


@dataclass(frozen=True)
class Look:
    """A header made ready to be asked many things."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    name: str
    """The file's; no proof of anything, but it says what is likely."""

    @cached_property
    def text(self) -> str:
        """All names, a line each: one search through it is far faster than a loop over them."""
        return "\n" + "\n".join(self.tensors) + "\n"

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Those of ROOTS that the file has."""
        return tuple(root for root in ROOTS if not root or self.begins(root))

    def begins(self, *beginnings: str) -> bool:
        """Whether some name begins so."""
        return any(f"\n{each}" in self.text for each in beginnings)

    def ends(self, *ends: str) -> bool:
        """Whether some name ends so."""
        return any(f"{each}\n" in self.text for each in ends)

    def holds(self, *parts: str) -> bool:
        """Whether some name has one of these in it."""
        return any(each in self.text for each in parts)

    def at(self, root: str, name: str) -> Tensor | None:
        """The tensor of that name under a root."""
        return self.tensors.get(path(root, name))

    def shows(self, sign: Sign, root: str) -> bool:
        """Whether the sign is there under a root."""
        for name, shape in sign.has.items():
            tensor = self.at(root, name)
            if tensor is None or not fits(tensor, shape):
                return False
        return not any(self.at(root, name) for name in sign.lacks)

    def match(self, signs: Iterable[Sign], roots: Iterable[str] | None = None) -> "Match | None":
        """The first of the signs that is there, under any of the roots (those of denoisers, if not said)."""
        present = self.roots if roots is None else tuple(roots)
        for sign in signs:
            for root in present:
                if self.shows(sign, root):
                    return Match(sign, root)
        return None


class Match(NamedTuple):
    """A sign that a header shows."""

    sign: Sign
    root: str


def path(root: str, name: str) -> str:
    """The whole name of a tensor under a root."""
    return root + name.replace(".", "") if root == EMA else root + name


def fits(tensor: Tensor, shape: Shape) -> bool:
    """Whether a tensor's shape ends with these numbers; of one packed to 4 bits, whether it has as many."""
    own = tensor.shape
    if len(shape) <= len(own) and all(
        want in (None, got) for want, got in zip(reversed(shape), reversed(own), strict=False)
    ):
        return True
    sides = [side for side in shape if side is not None]
    packed = tensor.dtype == "U8" and len(sides) == len(shape)
    return packed and 2 * math.prod(own) == math.prod(sides)


def guess(
    look: Look,
    match: Match,
    variants: tuple[str, ...] = (),
    questions: tuple[Question, ...] = (),
    kind: Kind | None = None,
) -> Guess:
    """What a sign tells, with what else was found; `kind` where it is another than the sign's own."""
    sign = match.sign
    kind = kind or sign.kind
    return Guess(
        kind,
        sign.family,
        (*sign.variants, *variants),
        _rests_on(look, match, what(kind, sign.family)),
        refusal(kind, sign.family, sign.refused),
        questions,
    )


def what(kind: Kind, family: str) -> str:
    """A kind of file in words: "a LoRA for Stable Diffusion XL"."""
    label = FAMILIES[family].label if family in FAMILIES else family
    word = _WORDS.get(kind, "")
    return f"{word} for {label}" if word and label else word or label or "a model"


def refusal(kind: Kind, family: str, refused: str) -> str:
    """Two sentences about a file that Easel does not run: what it is, and what Easel runs; empty where it does."""
    if not refused:
        return ""
    it_is = refused if family in FAMILIES or not family else f"{what(kind, family)}, {refused}"
    steers = kind in ("controlnet", "t2i_adapter", "ip_adapter")
    labels = [each.label for each in FAMILIES.values() if each.controlled or not steers]
    listed = f"{', '.join(labels[:-1])} and {labels[-1]}"
    if steers:
        return f"This is {it_is}. Easel runs ControlNets, T2I-Adapters and IP-Adapters for {listed}."
    return f"This is {it_is}. Easel runs {listed}, and what is made for them."


def shortened(name: str) -> str:
    """A tensor's name, short enough for a sentence."""
    return name if len(name) <= 40 else "…" + ".".join(name.rsplit(".", 3)[1:])[-40:]


def sides(shape: Iterable[int]) -> str:
    """A shape as people write it."""
    return " × ".join(map(str, shape))


def _rests_on(look: Look, match: Match, like: str) -> str:
    sign, root = match
    name, shape = next(iter(sign.has.items()))
    whole = path(root, name)
    if not shape:
        return f"It has “{shortened(whole)}”, as {like} has."
    return f"“{shortened(whole)}” is {sides(look.tensors[whole].shape)}, as in {like}."
