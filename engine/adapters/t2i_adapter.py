"""T2I-Adapters: what they find in a control picture is added inside the denoiser, in every pipeline alike."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from engine.uses import ControlUse

GENTLE = (0.25, 0.62, 0.825, 1.0)
"""What each feature counts, the finest first, where the prompt is to count more (AUTOMATIC1111's web UI)."""


class Hint(NamedTuple):
    """What one adapter adds to the denoiser."""

    features: tuple[torch.Tensor, ...]
    """[1, c, h, w] each, from fine to coarse, for the denoiser's blocks in their order."""
    use: ControlUse

    def counts(self, step: int, steps: int) -> bool:
        """Whether it steers in that step of so many, counted from 0."""
        return step / steps >= self.use.start and (step + 1) / steps <= self.use.end


@torch.no_grad()
def hint(adapter: Any, image: Image.Image, use: ControlUse) -> Hint:
    """What a placed T2IAdapter finds in a control image of the size that is drawn."""
    channels = adapter.config.in_channels
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32) / 255
    seen = torch.from_numpy(pixels.reshape(1, *pixels.shape[:2], channels)).permute(0, 3, 1, 2)
    features = adapter(seen.to(adapter.device, adapter.dtype))
    shares = [1.0] * len(features) if use.mode == "balanced" else GENTLE[-len(features) :]
    return Hint(tuple(each * (use.weight * share) for each, share in zip(features, shares, strict=True)), use)


@contextmanager
def hinted(pipeline: Any, hints: Sequence[Hint], *, guided: bool) -> Iterator[None]:
    """Inside, the pipeline's denoiser draws with the hints. `guided`: the first example of a batch has no prompt.

    As diffusers' StableDiffusionAdapterPipeline does it, whose denoiser is given the same argument.
    """
    if not hints:
        yield
        return
    calls = count()

    def with_features(
        _: torch.nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        step = next(calls)
        now = [each for each in hints if each.counts(step, pipeline.num_timesteps)]
        if now:
            given["down_intrablock_additional_residuals"] = _together(now, args[0], guided=guided)
        return args, given

    handle = pipeline.unet.register_forward_pre_hook(with_features, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _together(hints: Sequence[Hint], sample: torch.Tensor, *, guided: bool) -> list[torch.Tensor]:
    """The sum of the hints' features [b, c, h, w] for the latents [b, ...]."""
    every = [_spread(each, sample, guided=guided) for each in hints]
    return [reduce(torch.add, level) for level in zip(*every, strict=True)]


def _spread(one: Hint, sample: torch.Tensor, *, guided: bool) -> list[torch.Tensor]:
    wide = [each.to(sample.device, sample.dtype).repeat(len(sample), 1, 1, 1) for each in one.features]
    if one.use.mode == "control" and guided and len(sample) > 1:
        for each in wide:
            each[0] = 0
    return wide
