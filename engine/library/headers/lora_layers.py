"""The layers that a LoRA file changes, by its tensors' names, and how many numbers each takes in and gives out.

Of every layer that is asked for, the factors of its change are found whatever the file's form: kohya-ss's, LyCORIS's,
diffusers' old and new one, PEFT's. The arithmetic of the widths follows from that of the changes (see
`engine.adapters.low_rank`): a product takes in what its right factor does, a Kronecker product the product of both.
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice

from engine.formats.safetensors import Tensor

_FACTOR = re.compile(
    r"(?:\.lora_linear_layer|[._]lora\d?)?"
    r"\.(lora_down|lora_up|lora_A|lora_B|down|up|hada_w[12]_[ab]|lokr_w[12](?:_[ab])?|diff|oft_blocks|oft_diag)"
    r"(?:\.[\w-]+)??(?:\.weight)?$"
)
ENDS = (
    ".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora_B.weight", "_lora.down.weight",
    ".lora.down.weight", ".lora_linear_layer.down.weight", "_lora1.down.weight", "_lora2.down.weight",
    ".hada_w1_a", ".lokr_w1", ".lokr_w1_a",
    ".lokr_w2", ".lokr_w2_a", ".oft_blocks", ".oft_diag", ".on_input", ".diff", ".dora_scale", ".lora_mid.weight",
    ".set_weight", ".hada_w1_b", ".diff_b",
)  # fmt: skip
"""How some tensor's name ends in every LoRA file."""
BEGINS = (
    "lora_unet_",
    "lora_te_",
    "lora_te1_",
    "lora_te2_",
    "lora_te3_",
    "lora_transformer_",
    "lora_prior_unet_",
    "lycoris_",
)
_MOST = 24
"""Layers that are measured; one would do, and more show that they agree."""

Layers = Mapping[str, Mapping[str, tuple[int, ...]]]
"""The shapes of the factors, by the layer's name as the file has it."""


def layers_with(tensors: Mapping[str, Tensor], words: tuple[str, ...], pattern: re.Pattern[str]) -> Layers:
    """The first layers whose name, with underscores for dots, the pattern finds itself in.

    `words` are what all such names have in them: most others are passed over by them, quickly.
    """
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for base, role, name in islice(_factors(tensors, words, pattern), 8 * _MOST):
        if base in found or len(found) < _MOST:
            found.setdefault(base, {})[role] = tensors[name].shape
    return found


def taken_in(layers: Layers) -> set[int]:
    """How many numbers the layers take in, as far as their factors tell."""
    return {width for factors in layers.values() if (width := _in(factors))}


def given_out(layers: Layers) -> set[int]:
    """How many numbers the layers give out."""
    return {width for factors in layers.values() if (width := _out(factors))}


def _factors(
    tensors: Mapping[str, Tensor], words: tuple[str, ...], pattern: re.Pattern[str]
) -> Iterator[tuple[str, str, str]]:
    for name in tensors:
        if any(word in name for word in words) and (factor := _FACTOR.search(name)):
            base = name[: factor.start()]
            if pattern.search(base.replace(".", "_")):
                yield base, factor[1], name


def _in(factors: Mapping[str, tuple[int, ...]]) -> int:
    for role in ("lora_down", "lora_A", "down", "hada_w1_b", "hada_w2_b", "diff"):
        if len(factors.get(role, ())) >= 2:
            return factors[role][1]
    return _kronecker(factors, 1)


def _out(factors: Mapping[str, tuple[int, ...]]) -> int:
    for role in ("lora_up", "lora_B", "up", "hada_w1_a", "hada_w2_a", "diff"):
        if len(factors.get(role, ())) >= 2:
            return factors[role][0]
    return _kronecker(factors, 0)


def _kronecker(factors: Mapping[str, tuple[int, ...]], axis: int) -> int:
    """Zero where a factor is missing."""
    part = "_b" if axis else "_a"
    sides = [factors.get(f"lokr_w{each}") or factors.get(f"lokr_w{each}{part}") or () for each in "12"]
    return math.prod(side[axis] for side in sides) if all(len(side) > axis for side in sides) else 0
