"""Textual-inversion embeddings: files of token vectors, and a text encoder's table with their rows behind its own."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from engine.errors import BadInput, EaselError
from engine.formats.headers import header_of
from engine.formats.lora_keys import BUNDLED
from engine.formats.safetensors import Header, read_header
from engine.library.converted_pickles import as_safetensors
from engine.library.opened_weights import stamp
from engine.messages import Adapters

_XL = ("clip_l", "clip_g")
_A1111 = "string_to_param."
_IN_LIST = re.compile(r"\d+\.")
_OWN = re.compile(r"<[^<>]+>")
"""The word that a file has for itself, as diffusers writes it; other names of tensors are no words."""
_WIDTH_OF_G = 1280
MAX_VECTORS = 300


def known_words(adapters: Adapters, text: str) -> dict[str, str]:
    """Every word that stands for an embedding in these prompts, in small letters, and the file that it is in.

    The files' names, the words that diffusers' files have for themselves, and what is bundled in the LoRAs in use; that
    goes before a file of the same name. Raises BadInput for a LoRA that is damaged.
    """
    files = dict(adapters.embeddings)
    if "<" in text:
        files = {word: file for file in files.values() if (word := _own_word(Path(file), _changed(file)))} | files
    inside = {lora.path: _bundled(Path(lora.path), _changed(lora.path)) for lora in adapters.loras}
    return files | {word: lora for lora, words in inside.items() for word in words}


def _changed(file: str) -> int:
    """When it was, in nanoseconds; 0 for one that is gone."""
    return stamp(Path(file))[1]


@lru_cache(maxsize=10_000)
def _own_word(path: Path, _changed_ns: int) -> str:
    try:
        names = [_IN_LIST.sub("", name, count=1) for name in header_of(path).tensors]
    except EaselError:  # of no matter before its name is called
        return ""
    return names[0].casefold() if len(names) == 1 and _OWN.fullmatch(names[0]) else ""


@lru_cache(maxsize=100)
def _bundled(path: Path, _changed_ns: int) -> frozenset[str]:
    names = [name.removeprefix(BUNDLED) for name in header_of(path).tensors if name.startswith(BUNDLED)]
    return frozenset(name.partition(".")[0].casefold() for name in names)


def read_embedding(path: Path, widths: Sequence[int], word: str = "") -> list[torch.Tensor]:
    """The vectors [n, width] for each text encoder, given their widths in order; float32. `word` is what calls it.

    A1111's forms have one tensor "emb_params" or "string_to_param.*", diffusers' one of any name, XL's form "clip_l"
    and "clip_g"; pickled ones are read from their copy, lists of such tensors by their widths. Of a LoRA it is the
    embedding of that name that is bundled in it.
    Raises BadInput naming the file where it is damaged, no embedding, or made for text encoders of other widths.
    """
    path = as_safetensors(path, _silently)
    header = read_header(path)
    names = _names_in(header, word, widths)
    shapes = {name: header.tensors[name].shape for name in names}
    if len(names) > 2 or any(len(shape) not in (1, 2) for shape in shapes.values()):
        raise BadInput(f"“{path.name}” is no embedding.", "Choose another file.", where=str(path))
    found = [shape[-1] for shape in shapes.values()]
    if sorted(found) != sorted(widths):
        raise BadInput(
            f"The embedding “{path.name}” has vectors of {_listed(found)} numbers; the model has {_listed(widths)}.",
            "Use an embedding that was made for this family of models.",
            where=str(path),
        )
    names.sort(key=lambda name: widths.index(shapes[name][-1]))
    with safe_open(path, "pt") as file:
        vectors = [file.get_tensor(name).float().reshape(-1, shapes[name][-1]) for name in names]
    if len({len(each) for each in vectors}) != 1 or not 1 <= len(vectors[0]) <= MAX_VECTORS:
        raise BadInput(f"“{path.name}” is no embedding.", "Choose another file.", where=str(path))
    if not all(each.isfinite().all() for each in vectors):
        raise BadInput(
            f"The embedding “{path.name}” has numbers that are none.", "Download or copy it again.", where=str(path)
        )
    return vectors


def _names_in(header: Header, word: str, widths: Sequence[int]) -> list[str]:
    """The names of the embedding's tensors, for a model with these widths."""
    inside = f"{BUNDLED}{word}."
    bundled = {name: name[len(inside) :] for name in header.tensors if name.casefold().startswith(inside)}
    own = {
        name: _IN_LIST.sub("", short, count=1) for name, short in (bundled or {n: n for n in header.tensors}).items()
    }
    names = [name for part in _XL for name, short in own.items() if short == part]
    if len(names) == 2 and list(widths) == [_WIDTH_OF_G]:  # XL's refiner has that one alone
        names = [name for name in names if own[name] == _XL[1]]
    return names or [name for name, short in own.items() if short.startswith(_A1111)] or list(own)


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
