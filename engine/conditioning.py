"""Prompt embeds from a prompt: chunks of 77 tokens, weights, embeddings, clip skip, one to three text encoders.

The rules for long and weighted prompts are those that AUTOMATIC1111's web UI made usual: 75 tokens a chunk between the
start and the end token, chunks side by side; a token's embeds times its weight, and then the chunk's mean as it was.
T5 reads a prompt in one piece; its mean is near nothing, so that weights are all that changes there.
"""

import inspect
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad
from transformers import T5EncoderModel

from engine.adapters.embedding import extended, read_embedding, width_of
from engine.backends.offload import device_of
from engine.patience import told
from engine.prompt import Fragment, parse, schedule
from engine.settings import GenerateSettings

BACKTRACK = 20
"""So many tokens at most are moved to the next chunk, that a phrase between commas stays whole."""

MANY = 8
"""Chunks that are read before it is worth a word."""
_NO_MEAN = 1e-5
"""A mean that is such a share of the deviation is none."""

Token = tuple[int, float]
Chunks = list[list[Token]]


class Embeds(NamedTuple):
    """What a denoiser reads of one prompt."""

    tokens: torch.Tensor
    """[1, 77 a chunk, d], where there is a T5 followed or replaced by its tokens"""
    pooled: torch.Tensor | None
    """[1, d], the sum of the first chunk by each text encoder that gives one, side by side; None without."""


class Pair(NamedTuple):
    """Both prompts, of as many chunks. The same twice for FLUX.1, which reads one."""

    negative: Embeds
    positive: Embeds


class Conditioning(NamedTuple):
    """What the prompts say, and from which step on they say something else."""

    first: Pair
    changes: Mapping[int, Pair]
    """By how many steps are done."""
    steps: int

    def before(self, done: int) -> "Conditioning":
        """What they say in the first steps."""
        return self._replace(steps=done)

    def after(self, done: int) -> "Conditioning":
        """What they say once so many steps are done."""
        past = [step for step in self.changes if step <= done]
        now = self.changes[max(past)] if past else self.first
        changes = {step - done: pair for step, pair in self.changes.items() if step > done}
        return Conditioning(now, changes, self.steps - done)


class _Encoder(NamedTuple):
    """A tokenizer and its text encoder, with the ids of the embeddings that are in its table now."""

    tokenizer: Any
    text_encoder: Any
    ids: Mapping[str, list[int]]


class _T5(NamedTuple):
    """The text encoder for whole sentences that transformers read."""

    tokenizer: Any
    text_encoder: Any
    """None where the model leaves it out: then nothing is said in its place."""
    width: int
    length: int
    """Tokens it is always given; longer prompts fill up several times as many."""
    alone: bool
    """Whether its tokens are all that is read besides the pooled embeds."""


def conditioned(pipeline: Any, settings: GenerateSettings, embeddings: Mapping[str, str], steps: int) -> Conditioning:
    """The settings' prompts as the pipeline's denoiser reads them in so many steps; `embeddings` are files by name.

    Raises BadInput for a prompt that is wrong, and for an embedding in it that is damaged or of other widths.
    """
    negative, positive = (schedule(parse(text), steps) for text in (settings.negative_prompt, settings.prompt))
    spoken = " ".join(each.text or "" for span in (*negative, *positive) for each in span.fragments)
    starts = sorted({span.first for span in (*negative, *positive)})
    t5 = _t5(pipeline, [span.fragments for span in (*negative, *positive)])
    with ExitStack() as stack:
        encoders = _encoders(pipeline, _used(spoken, embeddings), stack)
        pairs = [
            _pair(encoders, t5, (_of_step(negative, first), _of_step(positive, first)), settings.clip_skip)
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
    """Any of the names as a word of its own, the longest first; one in angle brackets is that anywhere."""
    any_of_them = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    return re.compile(rf"(?:(?<!\w)|(?=<))({any_of_them})(?:(?!\w)|(?<=>))", re.IGNORECASE)


def _encoders(pipeline: Any, used: Mapping[str, Path], stack: ExitStack) -> list[_Encoder]:
    parts = [(pipeline.tokenizer, pipeline.text_encoder)] if pipeline.text_encoder is not None else []  # XL's refiner
    second = getattr(pipeline, "text_encoder_2", None)
    if second is not None and not isinstance(second, T5EncoderModel):
        parts.append((pipeline.tokenizer_2, second))
    widths = [width_of(encoder) for _, encoder in parts]
    read = {name: read_embedding(path, widths, name) for name, path in used.items()}
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


def _pair(encoders: list[_Encoder], t5: _T5 | None, prompts: tuple[tuple[Fragment, ...], ...], clip_skip: int) -> Pair:
    """What is read of the negative prompt and of the positive one."""
    if t5 is None:
        return _of_clip(encoders, prompts, clip_skip)
    if t5.alone:
        positive = Embeds(_sentences(t5, prompts[1]), _sum(encoders[0], prompts[1]))
        return Pair(positive, positive)
    joined: list[Embeds] = []
    for clip, fragments in zip(_of_clip(encoders, prompts, clip_skip), prompts, strict=True):
        padded = pad(clip.tokens, (0, t5.width - clip.tokens.shape[-1]))
        sentences = _sentences(t5, fragments).to(padded)
        joined.append(Embeds(torch.cat((padded, sentences), dim=1), clip.pooled))
    return Pair(*joined)


def _of_clip(encoders: list[_Encoder], prompts: tuple[tuple[Fragment, ...], ...], clip_skip: int) -> Pair:
    both = [[_chunks(encoder, fragments) for encoder in encoders] for fragments in prompts]
    count = max(len(chunks) for prompt in both for chunks in prompt)
    alone = not any(hasattr(each.text_encoder, "text_projection") for each in encoders)
    made = [
        [_encoded(encoder, chunks + [[]] * (count - len(chunks)), clip_skip, alone=alone)
         for encoder, chunks in zip(encoders, prompt, strict=True)]
        for prompt in both
    ]  # fmt: skip
    return Pair(*(Embeds(torch.cat([each.tokens for each in prompt], dim=-1), _pooled(prompt)) for prompt in made))


def _pooled(prompt: list[Embeds]) -> torch.Tensor | None:
    found = [each.pooled for each in prompt if each.pooled is not None]
    return torch.cat(found, dim=-1) if found else None


@torch.no_grad()
def _sum(encoder: _Encoder, fragments: tuple[Fragment, ...]) -> torch.Tensor:
    """The pooled embeds of the first chunk by a text encoder without a projection."""
    ids, _ = _padded(encoder.tokenizer, _chunks(encoder, fragments)[0])
    return encoder.text_encoder(ids.to(device_of(encoder.text_encoder))).pooler_output


@torch.no_grad()
def _encoded(encoder: _Encoder, chunks: Chunks, clip_skip: int, *, alone: bool) -> Embeds:
    """One text encoder's embeds. Stable Diffusion's one and only speaks from its last layer, normed; XL's two and its
    refiner's one from the last but one, as it is."""
    made: dict[tuple[Token, ...], torch.Tensor] = {}
    pooled: torch.Tensor | None = None
    for done, chunk in enumerate(chunks):
        if tuple(chunk) in made:  # the shorter prompt is filled up with empty ones
            continue
        if done >= MANY:
            told("Reading the prompt", done / len(chunks))
        ids, weights = _padded(encoder.tokenizer, chunk)
        seen = encoder.text_encoder(ids.to(device_of(encoder.text_encoder)), output_hidden_states=True)
        pooled = getattr(seen, "text_embeds", None) if pooled is None else pooled
        made[tuple(chunk)] = _weighted(_spoken(seen, encoder.text_encoder, clip_skip, alone=alone), weights)
    return Embeds(torch.cat([made[tuple(chunk)] for chunk in chunks], dim=1), pooled)


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
    if changed.mean().abs() < _NO_MEAN * changed.std():  # what is left of it by rounding says nothing
        return changed
    return changed * (embeds.mean() / changed.mean())


# ---------------------------------------------------------------- T5


def _t5(pipeline: Any, prompts: list[tuple[Fragment, ...]]) -> _T5 | None:
    """T5, ready for the longest of the prompts; None for pipelines that have no place for it."""
    transformer = getattr(pipeline, "transformer", None)
    if transformer is None:
        return None
    alone = not hasattr(pipeline, "text_encoder_3")
    place = "_2" if alone else "_3"
    tokenizer, text_encoder = (getattr(pipeline, f"{part}{place}") for part in ("tokenizer", "text_encoder"))
    usual = inspect.signature(pipeline.__call__).parameters["max_sequence_length"].default
    found = _T5(tokenizer, text_encoder, transformer.config.joint_attention_dim, usual, alone)
    longest = max(len(_pieces(found, each)) for each in prompts)
    return found._replace(length=usual * math.ceil(longest / usual))


def _pieces(t5: _T5, fragments: tuple[Fragment, ...]) -> list[Token]:
    """The tokens of a prompt with their weights, and the end."""
    if t5.text_encoder is None:
        return [(0, 1.0)]
    pieces = [
        (token, fragment.weight)
        for fragment in fragments
        for token in t5.tokenizer(fragment.text or "", add_special_tokens=False, verbose=False).input_ids
    ]
    return [*pieces, (t5.tokenizer.eos_token_id, 1.0)]


@torch.no_grad()
def _sentences(t5: _T5, fragments: tuple[Fragment, ...]) -> torch.Tensor:
    """T5's last state of a prompt, [1, length, d], each token's as strong as its weight."""
    if t5.text_encoder is None:
        return torch.zeros(1, t5.length, t5.width)
    pieces = _pieces(t5, fragments)
    pieces += [(t5.tokenizer.pad_token_id, 1.0)] * (t5.length - len(pieces))
    ids, weights = (torch.tensor([row]) for row in zip(*pieces, strict=True))
    seen = t5.text_encoder(ids.to(device_of(t5.text_encoder)))[0]
    return seen * weights.to(seen)[..., None]
