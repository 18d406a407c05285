"""The noise that a picture begins with, where some of another seed's is mixed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from engine.settings import GenerateSettings

_DRAWN_BY = "randn_tensor"
"""The function that each module of diffusers' pipelines calls by this name for the noise to begin with, and for no
other: autoencoders and schedulers have theirs in modules of their own."""


@contextmanager
def varied(pipeline: Any, settings: GenerateSettings) -> Iterator[None]:
    """Inside, the pipeline begins with noise between its own and that of the settings' variation seed.

    On a great circle, so that the mixture is as strong as each (A1111's variation seed). From a source, too: what is
    added to it is mixed.
    """
    if not settings.variation_strength:
        yield
        return
    names = type(pipeline).prepare_latents.__globals__
    plain = names[_DRAWN_BY]

    def drawn(shape: tuple[int, ...], generator: torch.Generator, **given: Any) -> torch.Tensor:
        one = plain(shape, generator=generator, **given)
        other = torch.Generator("cpu").manual_seed(settings.variation_seed or 0)
        return _between(one, plain(shape, generator=other, **given), settings.variation_strength)

    names[_DRAWN_BY] = drawn
    try:
        yield
    finally:
        names[_DRAWN_BY] = plain


def _between(one: torch.Tensor, two: torch.Tensor, share: float) -> torch.Tensor:
    """The noise at a share of the way from one to the other, as they are shaped; reckoned in float32."""
    first, second = one.float(), two.float()
    cosine = (first * second).sum() / (first.norm() * second.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle == 0:  # the same seed twice
        return one
    mixed = (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * second) / torch.sin(angle)
    return mixed.to(one)
