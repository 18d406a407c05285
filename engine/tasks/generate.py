"""One call of a diffusers pipeline: the one place that knows the names of their arguments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from engine.conditioning import Conditioning, Pair
from engine.errors import EaselError
from engine.settings import GenerateSettings
from engine.tasks.preview import Foresight

OnStep = Callable[[int, int, torch.Tensor | None], None]
"""Told after each step: the step, of how many, and the latents [1, c, h, w] of the picture as now foreseen."""


class Given(NamedTuple):
    """What a picture is made from besides its prompt: pictures of the size that is drawn."""

    source: Image.Image | None = None
    mask: Image.Image | None = None
    """White where the source is drawn anew."""
    controls: tuple[Image.Image, ...] = ()
    """A control image for each of the settings' controls."""


def generate(
    pipeline: Any, settings: GenerateSettings, words: Conditioning, on_step: OnStep, given: Given | None = None
) -> Image.Image:
    """One picture of width x height pixels; `on_step` may raise Cancelled to stop.

    The noise comes from torch's generator on the CPU, so a seed starts every backend alike.
    Raises EaselError where the model gives no numbers, rather than a black picture.
    """
    foreseen = Foresight(pipeline.scheduler)
    noise = torch.Generator("cpu").manual_seed(settings.seed or 0)
    guided = settings.guidance_scale > 1

    def after_step(running: Any, step: int, _timestep: Any, _: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1, running.num_timesteps, foreseen.latents)
        now = words.changes.get((step + 1) * words.steps // running.num_timesteps)
        return {} if now is None else _changed(now, guided=guided)

    pixels: np.ndarray = pipeline(
        **_from_words(words.first, guided=guided),
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=noise,
        callback_on_step_end=after_step,
        output_type="np",
        **_from_pictures(settings, given or Given()),
        **_varied(pipeline, settings, noise, given or Given()),
    ).images[0]
    if not np.isfinite(pixels).all():
        raise EaselError(
            "The model gave no picture: its numbers overflowed.",
            "Choose the precision “fp32”, or another scheduler.",
        )
    return pipeline.image_processor.numpy_to_pil(pixels)[0]


def _from_words(words: Pair, *, guided: bool) -> dict[str, Any]:
    """The arguments for the prompts."""
    arguments: dict[str, Any] = {"prompt_embeds": words.positive.tokens, "pooled_prompt_embeds": words.positive.pooled}
    if guided:
        arguments |= {
            "negative_prompt_embeds": words.negative.tokens,
            "negative_pooled_prompt_embeds": words.negative.pooled,
        }
    return {name: each for name, each in arguments.items() if each is not None}


def _changed(words: Pair, *, guided: bool) -> dict[str, torch.Tensor]:
    """What a pipeline's callback gives back so that other prompts are read from the next step on."""
    spoken = words if guided else (words.positive,)
    pooled = [each.pooled for each in spoken if each.pooled is not None]
    changed = {"prompt_embeds": torch.cat([each.tokens for each in spoken])}
    return changed | ({"add_text_embeds": torch.cat(pooled)} if pooled else {})


def _varied(pipeline: Any, settings: GenerateSettings, noise: torch.Generator, given: Given) -> dict[str, torch.Tensor]:
    """The noise to begin with, where some of another seed's is mixed in; else the pipeline makes its own.

    Between the two on a great circle, so that the mixture is as strong as each (A1111's variation seed).
    """
    if not settings.variation_strength or given.source is not None:
        return {}
    scale = pipeline.vae_scale_factor
    shape = (1, pipeline.unet.config.in_channels, (settings.height or 0) // scale, (settings.width or 0) // scale)
    other = torch.Generator("cpu").manual_seed(settings.variation_seed or 0)
    one, two = (torch.randn(shape, generator=each) for each in (noise, other))
    cosine = (one * two).sum() / (one.norm() * two.norm())
    angle, share = torch.arccos(cosine.clamp(-1, 1)), settings.variation_strength
    mixed = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * two) / torch.sin(angle)
    return {"latents": mixed.to(pipeline.unet.device, pipeline.unet.dtype)}


def _from_pictures(settings: GenerateSettings, given: Given) -> dict[str, Any]:
    """The arguments for size, source, mask and control images; an image to image pipeline takes its source's size."""
    arguments: dict[str, Any] = {}
    if given.source is None or given.mask is not None:
        arguments |= {"width": settings.width, "height": settings.height}
    if given.source is not None:
        arguments |= {"image": given.source, "strength": settings.strength}
    if given.mask is not None:
        arguments["mask_image"] = given.mask
    if given.controls:
        images = list(given.controls)
        arguments["image" if given.source is None else "control_image"] = images if len(images) > 1 else images[0]
        columns = {
            "controlnet_conditioning_scale": [each.weight for each in settings.controls],
            "control_guidance_start": [each.start for each in settings.controls],
            "control_guidance_end": [each.end for each in settings.controls],
        }
        arguments |= {name: each if len(each) > 1 else each[0] for name, each in columns.items()}
    return arguments
