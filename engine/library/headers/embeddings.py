"""Textual-inversion embeddings, and hypernetworks.

An embedding has a few vectors as wide as its text encoder's tokens: 768 in Stable Diffusion 1.x, 1024 in 2.x; XL's has
two tensors, one for each encoder.
"""

from engine.library.guess import Guess
from engine.library.headers.signs import SD1, SD2, XL, Look, refusal, shortened, sides, what

_MOST_TENSORS = 10
_MOST_VECTORS = 300
_WIDTHS = {768: SD1, 1024: SD2, 1280: XL}
_PART_OF = (".weight", ".bias", ".alpha", "_weight", "_bias")
"""How the names of a network's tensors end."""


def guess_embedding(look: Look) -> Guess | None:
    """An embedding: A1111's form "emb_params", diffusers' of any name, or XL's."""
    if not 1 <= len(look.tensors) <= _MOST_TENSORS:
        return None
    for name, family in (("clip_g", XL), ("emb_params", ""), ("string_to_param.*", ""), ("*", "")):
        if name in look.tensors:
            return _embedding(look, name, family)
    vectors = [name for name, tensor in look.tensors.items() if _is_some_vectors(tensor.shape)]
    if len(vectors) == 1 == len(look.tensors) and not vectors[0].endswith(_PART_OF) and vectors[0] != "clip_l":
        return _embedding(look, vectors[0], "")
    return None


def guess_hypernetwork(look: Look) -> Guess | None:
    """A hypernetwork as A1111 trains them, for layers of these widths."""
    for width in ("320", "640", "768", "1024", "1280"):
        if f"{width}.0.linear.0.weight" in look.tensors:
            said = refusal("hypernetwork", "", "a hypernetwork, which LoRAs have taken the place of")
            return Guess("hypernetwork", "", rests_on=f"It has “{width}.0.linear.0.weight”.", refusal=said)
    return None


def _embedding(look: Look, name: str, family: str) -> Guess | None:
    shape = look.tensors[name].shape
    if not _is_some_vectors(shape) or (family and shape[-1] != 1280):
        return None
    found = _WIDTHS[shape[-1]]
    rests_on = f"“{shortened(name)}” is {sides(shape)}, as in {what('embedding', found)}."
    return Guess("embedding", found, rests_on=rests_on)


def _is_some_vectors(shape: tuple[int, ...]) -> bool:
    return 1 <= len(shape) <= 2 and shape[-1] in _WIDTHS and (len(shape) == 1 or 1 <= shape[0] <= _MOST_VECTORS)
