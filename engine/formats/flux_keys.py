"""The modules of FLUX.1's transformer by the names of the original code, which holds some of diffusers' as one.

Source: https://github.com/black-forest-labs/flux, `src/flux/modules/layers.py` and `model.py`. A fused matrix has the
rows of its pieces one after the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Shapes = Mapping[str, tuple[int, ...]]

DOUBLE: dict[str, tuple[str, ...]] = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "img_attn.proj": ("attn.to_out.0",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "txt_attn.proj": ("attn.to_add_out",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "txt_mod.lin": ("norm1_context.linear",),
}
SINGLE: dict[str, tuple[str, ...]] = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
}
_XLABS = {"qkv": ("attn.to_q", "attn.to_k", "attn.to_v"), "proj": ("proj_out",)}
"""What XLabs's files name so."""
OUTSIDE = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
}
SWAPPED = "norm_out.linear"
"""Shift and scale stand the other way round in diffusers."""


class Piece(NamedTuple):
    """A module of diffusers as some rows of one of the original."""

    path: str
    rows: tuple[slice, ...]
    """One after the other; none for all as they are."""


def original_pieces(shapes: Shapes) -> dict[str, tuple[Piece, ...]]:
    """By the original's path, what each of its modules is made of, given the shapes of the transformer's weights.

    Empty for a transformer that is not FLUX.1's.
    """
    if not any(path.startswith("single_transformer_blocks.") for path in shapes):
        return {}
    return {theirs: tuple(_pieces(ours, shapes)) for theirs, ours in _modules(shapes) if set(ours) <= shapes.keys()}


def _modules(shapes: Shapes) -> Iterator[tuple[str, Sequence[str]]]:
    for theirs, ours in OUTSIDE.items():
        yield theirs, (ours,)
    for beginning, blocks, table in (
        ("transformer_blocks.", "double_blocks", DOUBLE),
        ("single_transformer_blocks.", "single_blocks", SINGLE | _XLABS),
    ):
        for number in sorted({path.split(".")[1] for path in shapes if path.startswith(beginning)}):
            for theirs, ours in table.items():
                yield f"{blocks}.{number}.{theirs}", [f"{beginning}{number}.{each}" for each in ours]


def _pieces(paths: Sequence[str], shapes: Shapes) -> Iterator[Piece]:
    if paths == (SWAPPED,):
        half = shapes[SWAPPED][0] // 2
        yield Piece(SWAPPED, (slice(half, 2 * half), slice(0, half)))
    elif len(paths) == 1:
        yield Piece(paths[0], ())
    else:
        begin = 0
        for path in paths:
            yield Piece(path, (slice(begin, begin + shapes[path][0]),))
            begin += shapes[path][0]
