"""Textual-inversion embeddings: files of token vectors, and a text encoder's table with their rows behind its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from engine.errors import BadInput
from engine.formats.safetensors import read_header
from engine.library.converted_pickles import as_safetensors

_XL = ("clip_l", "clip_g")
_A1111 = "string_to_param."
MAX_VECTORS = 300


def read_embedding(path: Path, widths: Sequence[int]) -> list[torch.Tensor]:
    """The vectors [n, width] for each text encoder, given their widths in order; float32.

    A1111's forms have one tensor "emb_params" or "string_to_param.*", diffusers' one of any name, XL's form "clip_l"
    and "clip_g"; pickled ones are read from their copy.
    Raises BadInput naming the file where it is damaged, no embedding, or made for text encoders of other widths.
    """
    path = as_safetensors(path, _silently)
    header = read_header(path)
    names = [name for name in _XL if name in header.tensors]
    names = names or [name for name in header.tensors if name.startswith(_A1111)] or list(header.tensors)
    if names == list(_XL) and [header.tensors[names[1]].shape[-1]] == list(widths):  # XL's refiner has that one alone
        names = names[1:]
    shapes = [header.tensors[name].shape for name in names]
    if len(names) > 2 or any(len(shape) not in (1, 2) for shape in shapes):
        raise BadInput(f"“{path.name}” is no embedding.", "Choose another file.", where=str(path))
    found = [shape[-1] for shape in shapes]
    if found != list(widths):
        raise BadInput(
            f"The embedding “{path.name}” has vectors of {_listed(found)} numbers; the model has {_listed(widths)}.",
            "Use an embedding that was made for this family of models.",
            where=str(path),
        )
    tensors = load_file(path)
    vectors = [tensors[name].to(torch.float32).reshape(-1, width) for name, width in zip(names, found, strict=True)]
    if len({len(each) for each in vectors}) != 1 or not 1 <= len(vectors[0]) <= MAX_VECTORS:
        raise BadInput(f"“{path.name}” is no embedding.", "Choose another file.", where=str(path))
    if not all(each.isfinite().all() for each in vectors):
        raise BadInput(
            f"The embedding “{path.name}” has numbers that are none.", "Download or copy it again.", where=str(path)
        )
    return vectors


@contextmanager
def extended(text_encoder: Any, vectors: torch.Tensor) -> Iterator[int]:
    """The text encoder with rows [n, width] behind its table of tokens for the time of the block; the first new id."""
    with (
        _shell_table(text_encoder, vectors)
        if hasattr(_inner(text_encoder), "table")
        else _torch_table(text_encoder, vectors) as first
    ):
        yield first


def width_of(text_encoder: Any) -> int:
    """Numbers a token's vector has."""
    return text_encoder.config.hidden_size


def _silently(_what: str, _done: float) -> None:
    """A file of some kilobytes is not worth a word."""


def _inner(text_encoder: Any) -> Any:
    return getattr(text_encoder, "inner", text_encoder)


@contextmanager
def _shell_table(text_encoder: Any, vectors: torch.Tensor) -> Iterator[int]:
    shell = _inner(text_encoder)
    table = shell.table
    shell.table = torch.cat((table, vectors.to(table)))
    try:
        yield len(table)
    finally:
        shell.table = table


@contextmanager
def _torch_table(text_encoder: Any, vectors: torch.Tensor) -> Iterator[int]:
    own = text_encoder.get_input_embeddings()
    longer = torch.nn.Embedding.from_pretrained(torch.cat((own.weight, vectors.to(own.weight))))
    text_encoder.set_input_embeddings(longer)
    try:
        yield len(own.weight)
    finally:
        text_encoder.set_input_embeddings(own)


def _listed(widths: Sequence[int]) -> str:
    return " and ".join(map(str, widths)) or "no"
