"""Guidance beside the usual one: rescaled, in a part of the steps only, by perturbed attention, and region by region.

All of it happens around the denoiser, so that every pipeline of diffusers has it on every backend: what the denoiser
predicts for the two prompts comes back as one prediction, given as both. The pipeline's own guidance between two that
are the same changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from PIL import Image

from engine.components import Variation
from engine.conditioning import Conditioning, Embeds
from engine.errors import BadInput
from engine.settings import SEAMLESS, GenerateSettings

_ONES = ("cross_attention_kwargs", "joint_attention_kwargs")
"""Arguments of the denoiser that are for the whole batch."""

_NEARLY = 1e-6
"""What may be missing from a number of steps that is computed from a share."""


class Region(NamedTuple):
    """A part of the picture with a prompt of its own."""

    mask: Image.Image
    """8-bit grey, white where the region is."""
    weight: float
    """How much of the main prompt it replaces there, 0 to 1."""
    words: Conditioning


def variation(settings: GenerateSettings) -> Variation:
    """How the parts of a model draw with these settings."""
    freeu = (settings.freeu_b1, settings.freeu_b2, settings.freeu_s1, settings.freeu_s2)
    return Variation(SEAMLESS[settings.seamless], freeu, settings.pag_scale > 0)


@contextmanager
def guided(
    pipeline: Any, settings: GenerateSettings, regions: Sequence[Region], *, both: bool, part: tuple[float, float]
) -> Iterator[None]:
    """Inside, the pipeline's denoiser predicts as the settings ask for.

    `both` says that the pipeline asks it for the negative and the positive prompt at once, `part` from which share of
    the picture's steps to which it draws. Raises BadInput for a model that draws without a negative prompt (FLUX.1).
    """
    whole = (settings.guidance_start, settings.guidance_end) == (0.0, 1.0)
    if not (settings.guidance_rescale or settings.pag_scale or regions or not whole):
        yield
        return
    if not hasattr(type(pipeline), "do_classifier_free_guidance"):
        raise BadInput(
            "This model knows no other guidance than the usual one.",
            "Leave rescale, start, end and regions as they are.",
            where="guidance_rescale",
        )
    denoiser = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    plain, hooked = denoiser.forward, denoiser.__dict__.get("forward")
    with _perturbing(denoiser, is_asked=settings.pag_scale > 0) as perturb:
        denoiser.forward = _Guidance(pipeline, plain, settings, (tuple(regions), perturb), both=both, part=part)
        try:
            yield
        finally:
            del denoiser.forward
            if hooked is not None:
                denoiser.forward = hooked


class _Call(NamedTuple):
    """What a pipeline asks its denoiser for: latents, timestep, prompt and more, by batch."""

    args: tuple[Any, ...]
    given: dict[str, Any]

    @property
    def sample(self) -> torch.Tensor:
        """The latents [b, c, h, w]: given first to a U-Net, by name to a transformer."""
        return self.args[0] if self.args else self.given["hidden_states"]

    def rows(self, places: list[int]) -> "_Call":
        """Of some examples of the batch, which may come twice."""
        batch = len(self.sample)
        cut = {name: value if name in _ONES else _rows(value, places, batch) for name, value in self.given.items()}
        return _Call(tuple(_rows(value, places, batch) for value in self.args), cut)

    def saying(self, words: Embeds) -> "_Call":
        """With another prompt, for each example."""
        count = len(self.sample)
        changed: dict[str, Any] = {"encoder_hidden_states": words.tokens.repeat(count, 1, 1).to(self.sample)}
        if words.pooled is not None:
            pooled = words.pooled.repeat(count, 1).to(self.sample)
            added: dict[str, Any] = self.given.get("added_cond_kwargs") or {}
            is_transformer = "pooled_projections" in self.given
            changed |= (
                {"pooled_projections": pooled}
                if is_transformer
                else {"added_cond_kwargs": added | {"text_embeds": pooled}}
            )
        return self._replace(given=self.given | changed)


class _Guidance:
    """Stands in the place of a denoiser's forward for one run of its pipeline."""

    def __init__(
        self,
        pipeline: Any,
        denoiser: Callable[..., Any],
        settings: GenerateSettings,
        ways: tuple[tuple[Region, ...], Callable[[int], None]],
        *,
        both: bool,
        part: tuple[float, float],
    ) -> None:
        self._pipeline = pipeline
        self._denoiser = denoiser
        self._settings = settings
        self._regions, self._perturb = ways
        self._both, self._part = both, part
        self._done = 0
        self._masks: list[torch.Tensor] = []

    def __call__(self, *args: Any, **given: Any) -> tuple[torch.Tensor]:
        """One prediction, as often as there are examples in the batch; the pipelines never ask for a dict."""
        first, last = self._part
        before, behind = (first + (last - first) * done / self._pipeline.num_timesteps for done in self._next_step())
        call = _Call(args, given)
        is_guided = not (before < self._settings.guidance_start or behind > self._settings.guidance_end)
        found = self._by_region(call, before, is_guided) if self._regions else self._at_once(call, is_guided)
        predicted = self._combined(*found)
        return (torch.cat([predicted] * len(call.sample)),)

    def _next_step(self) -> tuple[int, int]:
        """How many steps are done before this prediction and behind it."""
        self._done += 1
        return self._done - 1, self._done

    def _at_once(self, call: _Call, is_guided: bool) -> "_Predictions":
        last = len(call.sample) - 1
        negative = [0] if self._both and is_guided else []
        perturbed = [last] if self._settings.pag_scale and is_guided else []
        found = list(
            self._asked(call.rows([*negative, last, *perturbed]), len(perturbed)).chunk(1 + len(negative + perturbed))
        )
        return _Predictions(found[len(negative)], found[0] if negative else None, found[-1] if perturbed else None)

    def _by_region(self, call: _Call, done: float, is_guided: bool) -> "_Predictions":
        """What each region's prompt predicts, put together by the masks; the main prompt has what they leave."""
        last = len(call.sample) - 1
        one = call.rows([last, last] if self._settings.pag_scale and is_guided else [last])
        shares = self._shares(call.sample)
        covered = torch.stack(shares).sum(dim=0)
        rest = (1 - covered).clamp(min=0)
        blended = sum(
            share * self._asked(one.saying(_said(each.words, done)), len(one.sample) - 1)
            for share, each in zip(shares, self._regions, strict=True)
        )
        if rest.any():
            blended = blended + rest * self._asked(one, len(one.sample) - 1)
        text, *perturbed = (blended / (rest + covered)).chunk(len(one.sample))
        negative = self._asked(call.rows([0]), 0) if self._both and is_guided else None
        return _Predictions(text, negative, perturbed[0] if perturbed else None)

    def _shares(self, sample: torch.Tensor) -> list[torch.Tensor]:
        """How much each region says of every latent [1, 1, h, w]."""
        if not self._masks:
            height, width = sample.shape[-2:]
            self._masks = [each.weight * _latents(each.mask, width, height).to(sample) for each in self._regions]
        return self._masks

    def _asked(self, call: _Call, perturbed: int) -> torch.Tensor:
        self._perturb(perturbed)
        given = {name: list(each) if isinstance(each, list) else each for name, each in call.given.items()}  # consumed
        return self._denoiser(*call.args, **given)[0]

    def _combined(
        self, text: torch.Tensor, negative: torch.Tensor | None, perturbed: torch.Tensor | None
    ) -> torch.Tensor:
        """As diffusers' pipelines with PAG and with guidance_rescale have it, operation by operation."""
        settings = self._settings
        result = text if negative is None else negative + settings.guidance_scale * (text - negative)
        if perturbed is not None:
            result = result + settings.pag_scale * (text - perturbed)
        if negative is not None and settings.guidance_rescale:
            result = rescale_noise_cfg(result, text, guidance_rescale=settings.guidance_rescale)
        return result


class _Predictions(NamedTuple):
    """Each [1, c, h, w]; None for what is not asked for."""

    text: torch.Tensor
    negative: torch.Tensor | None
    perturbed: torch.Tensor | None


def _said(words: Conditioning, done: float) -> Embeds:
    """The prompt that holds after a share of the steps."""
    changed = [step for step in words.changes if step <= done * words.steps + _NEARLY]
    return (words.changes[max(changed)] if changed else words.first).positive


def _rows(value: Any, places: list[int], batch: int) -> Any:
    """Those examples of everything in a value that has one for each of the batch."""
    if isinstance(value, torch.Tensor):
        return value[places] if value.ndim and len(value) == batch else value
    if isinstance(value, dict):
        return {name: _rows(each, places, batch) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rows(each, places, batch) for each in value]
    return value


def _latents(mask: Image.Image, width: int, height: int) -> torch.Tensor:
    """How much of each latent [1, 1, h, w] lies in the mask, 0 to 1."""
    small = mask.resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, np.float32) / 255)[None, None]


# ---------------------------------------------------------------- perturbed attention


@contextmanager
def _perturbing(unet: Any, *, is_asked: bool) -> Iterator[Callable[[int], None]]:
    """What tells the denoiser of how many examples, the last of a batch, to perturb the middle's self-attention.

    Raises BadInput where the middle has none.
    """
    inner = getattr(unet, "denoiser", unet)
    if not is_asked:
        yield lambda _count: None
    elif hasattr(inner, "perturbed"):  # the shell of a graph

        def count_is(count: int) -> None:
            inner.perturbed = count

        yield count_is
    else:
        layers: list[Any] = [
            each
            for name, each in inner.named_modules()
            if isinstance(each, Attention) and not each.is_cross_attention and "mid" in name
        ]
        if not layers:
            raise BadInput("This model has no attention to perturb.", "Set the PAG scale to 0.", where="pag_scale")
        own = [each.processor for each in layers]
        perturbed = _Perturbed()
        for each in layers:
            each.processor = perturbed
        try:
            yield perturbed.count_is
        finally:
            for each, processor in zip(layers, own, strict=True):
                each.processor = processor


class _Perturbed:
    """A self-attention that is the identity for the last examples of a batch; counts as diffusers' own for PAG do."""

    def __init__(self) -> None:
        self._count = 0

    def count_is(self, count: int) -> None:
        """So many examples are perturbed from now on."""
        self._count = count

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """The layer's output for tokens [b, n, d]."""
        kept = len(hidden_states) - self._count
        plain, perturbed = hidden_states[:kept], hidden_states[kept:]
        query, key, value = (
            part(plain).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for part in (attention.to_q, attention.to_k, attention.to_v)
        )
        seen = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        out, dropout = attention.to_out
        found = [dropout(out(seen.transpose(1, 2).flatten(2)))]
        if self._count:
            found.append(dropout(out(attention.to_v(perturbed))))
        return torch.cat(found)
