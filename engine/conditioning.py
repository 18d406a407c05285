"""Prompt embeds from a prompt: chunks of 77 tokens, weights, embeddings, clip skip, one or two text encoders.

The rules for long and weighted prompts are those that AUTOMATIC1111's web UI made usual: 75 tokens a chunk between the
start and the end token, chunks side by side; a token's embeds times its weight, and then the chunk's mean as it was.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.adapters.embedding import extended, read_embedding, width_of
from engine.prompt import Fragment, parse, schedule
from engine.settings import GenerateSettings

BACKTRACK = 20
"""So many tokens at most are moved to the next chunk, that a phrase between commas stays whole."""

Token = tuple[int, float]
Chunks = list[list[Token]]


class Embeds(NamedTuple):
    """What a denoiser reads of one prompt."""

    tokens: torch.Tensor
    """[1, 77 a chunk, d]"""
    pooled: torch.Tensor | None
    """[1, d], of Stable Diffusion XL's second text encoder; None for other families."""


class Pair(NamedTuple):
    """Both prompts, of as many chunks."""

    negative: Embeds
    positive: Embeds


class Conditioning(NamedTuple):
    """What the prompts say, and from which step on they say something else."""

    first: Pair
    changes: Mapping[int, Pair]
    """By how many steps are done."""
    steps: int


class _Encoder(NamedTuple):
    """A tokenizer and its text encoder, with the ids of the embeddings that are in its table now."""

    tokenizer: Any
    text_encoder: Any
    ids: Mapping[str, list[int]]


def conditioned(pipeline: Any, settings: GenerateSettings, embeddings: Mapping[str, str], steps: int) -> Conditioning:
    """The settings' prompts as the pipeline's denoiser reads them in so many steps; `embeddings` are files by name.

    Raises BadInput for a prompt that is wrong, and for an embedding in it that is damaged or of other widths.
    """
    negative, positive = (schedule(parse(text), steps) for text in (settings.negative_prompt, settings.prompt))
    spoken = " ".join(each.text or "" for span in (*negative, *positive) for each in span.fragments)
    starts = sorted({span.first for span in (*negative, *positive)})
    with ExitStack() as stack:
        encoders = _encoders(pipeline, _used(spoken, embeddings), stack)
        pairs = [
            _pair(encoders, _of_step(negative, first), _of_step(positive, first), settings.clip_skip)
            for first in starts
        ]
    changes = {first - 1: pair for first, pair in zip(starts, pairs, strict=True) if first > 1}
    return Conditioning(pairs[0], changes, steps)


def _of_step(spans: Sequence[Any], step: int) -> tuple[Fragment, ...]:
    return next(span.fragments for span in spans if span.first <= step <= span.last)


# ---------------------------------------------------------------- embeddings


def _used(text: str, embeddings: Mapping[str, str]) -> dict[str, Path]:
    """Those of the embeddings whose names stand in the text."""
    found = {match.casefold() for match in _names(embeddings).findall(text)} if embeddings else set()
    return {name: Path(path) for name, path in embeddings.items() if name in found}


def _names(known: Mapping[str, object]) -> re.Pattern[str]:
    """Any of the names as a word of its own, the longest first."""
    return re.compile(
        rf"(?<!\w)({'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})(?!\w)", re.IGNORECASE
    )


def _encoders(pipeline: Any, used: Mapping[str, Path], stack: ExitStack) -> list[_Encoder]:
    parts = [(pipeline.tokenizer, pipeline.text_encoder)]
    if getattr(pipeline, "text_encoder_2", None) is not None:
        parts.append((pipeline.tokenizer_2, pipeline.text_encoder_2))
    widths = [width_of(encoder) for _, encoder in parts]
    read = {name: read_embedding(path, widths) for name, path in used.items()}
    encoders: list[_Encoder] = []
    for place, (tokenizer, encoder) in enumerate(parts):
        rows = {name: vectors[place] for name, vectors in read.items()}
        ids: dict[str, list[int]] = {}
        if rows:
            first = stack.enter_context(extended(encoder, torch.cat(list(rows.values()))))
            for name, vectors in rows.items():
                ids[name] = list(range(first, first + len(vectors)))
                first += len(vectors)
        encoders.append(_Encoder(tokenizer, encoder, ids))
    return encoders


# ---------------------------------------------------------------- tokens


def _chunks(encoder: _Encoder, fragments: tuple[Fragment, ...]) -> Chunks:
    """Tokens with their weights, as many a chunk as the text encoder takes between its start and its end token."""
    room = encoder.tokenizer.model_max_length - 2
    comma = encoder.tokenizer(",", add_special_tokens=False).input_ids[-1:]
    chunks: Chunks = [[]]
    for fragment in fragments:
        if fragment.text is None:
            chunks.append([])
            continue
        for token in _tokens(encoder, fragment.text):
            if len(chunks[-1]) == room:
                chunks.append(_moved(chunks[-1], comma))
            chunks[-1].append((token, fragment.weight))
    return chunks


def _moved(full: list[Token], comma: list[int]) -> list[Token]:
    """Take what stands behind the last comma off a full chunk, where that is not much."""
    places = [place for place, (token, _) in enumerate(full) if [token] == comma]
    if not places or len(full) - 1 - places[-1] > BACKTRACK:
        return []
    tail = full[places[-1] + 1 :]
    del full[places[-1] + 1 :]
    return tail


def _tokens(encoder: _Encoder, text: str) -> Iterator[int]:
    pieces = _names(encoder.ids).split(text) if encoder.ids else [text]
    for place, piece in enumerate(pieces):
        if place % 2:
            yield from encoder.ids[piece.casefold()]
        else:
            yield from encoder.tokenizer(piece, add_special_tokens=False, verbose=False).input_ids


# ---------------------------------------------------------------- embeds


def _pair(
    encoders: list[_Encoder], negative: tuple[Fragment, ...], positive: tuple[Fragment, ...], clip_skip: int
) -> Pair:
    both = [[_chunks(encoder, fragments) for encoder in encoders] for fragments in (negative, positive)]
    count = max(len(chunks) for prompt in both for chunks in prompt)
    made = [
        [_encoded(encoder, chunks + [[]] * (count - len(chunks)), clip_skip, alone=len(encoders) == 1)
         for encoder, chunks in zip(encoders, prompt, strict=True)]
        for prompt in both
    ]  # fmt: skip
    return Pair(*(Embeds(torch.cat([each.tokens for each in prompt], dim=-1), prompt[-1].pooled) for prompt in made))


@torch.no_grad()
def _encoded(encoder: _Encoder, chunks: Chunks, clip_skip: int, *, alone: bool) -> Embeds:
    """One text encoder's embeds. Alone, its last layer speaks, normed; of two, each one's last but one, as it is."""
    rows: list[torch.Tensor] = []
    pooled: torch.Tensor | None = None
    for chunk in chunks:
        ids, weights = _padded(encoder.tokenizer, chunk)
        seen = encoder.text_encoder(ids.to(encoder.text_encoder.device), output_hidden_states=True)
        pooled = getattr(seen, "text_embeds", None) if pooled is None else pooled
        rows.append(_weighted(_spoken(seen, encoder.text_encoder, clip_skip, alone=alone), weights))
    return Embeds(torch.cat(rows, dim=1), pooled)


def _spoken(seen: Any, text_encoder: Any, clip_skip: int, *, alone: bool) -> torch.Tensor:
    layers = len(seen.hidden_states) - 1
    if not alone:
        return seen.hidden_states[-min(clip_skip + 1, layers)]
    if clip_skip == 1:
        return seen.last_hidden_state
    return text_encoder.text_model.final_layer_norm(seen.hidden_states[-min(clip_skip, layers)])


def _padded(tokenizer: Any, chunk: list[Token]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and weights [1, 77] with start, end and padding."""
    missing = tokenizer.model_max_length - 2 - len(chunk)
    ids = [tokenizer.bos_token_id, *(token for token, _ in chunk), tokenizer.eos_token_id]
    ids += [tokenizer.pad_token_id] * missing
    weights = [1.0, *(weight for _, weight in chunk), 1.0] + [1.0] * missing
    return torch.tensor([ids]), torch.tensor([weights])


def _weighted(embeds: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each token's embeds times its weight, and the mean of all of them as it was."""
    if (weights == 1).all():
        return embeds
    changed = embeds * weights.to(embeds)[..., None]
    return changed * (embeds.mean() / changed.mean())
