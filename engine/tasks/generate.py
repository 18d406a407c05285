"""One call of a diffusers pipeline: the one place that knows the names of their arguments."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from engine.adapters.ip_adapter import Shown
from engine.adapters.t2i_adapter import Hint, hinted
from engine.conditioning import Conditioning, Pair
from engine.errors import Overflowed
from engine.settings import ControlUse, GenerateSettings
from engine.tasks.guidance import Region
from engine.tasks.guidance import guided as otherwise_guided
from engine.tasks.noise import varied
from engine.tasks.preview import Foresight

OnStep = Callable[[int, int, torch.Tensor | None], None]
"""Told after each step: the step, of how many, and the latents [1, c, h, w] of the picture as now foreseen."""


class Given(NamedTuple):
    """What a picture is made from besides its prompt: pictures of the size that is drawn."""

    source: Image.Image | None = None
    mask: Image.Image | None = None
    """White where the source is drawn anew."""
    controls: tuple[Image.Image, ...] = ()
    """A control image for each of the settings' controls, or of the pipeline's ControlNets."""
    hints: tuple[Hint, ...] = ()
    """What T2I-Adapters found in their control images."""
    shown: tuple[Shown, ...] = ()
    """What was seen in the image prompts."""
    regions: tuple[Region, ...] = ()
    """Parts of the picture with prompts of their own."""
    latents: torch.Tensor | None = None
    """[1, c, h, w] instead of a source: of a picture that another model has begun, or of one to draw anew."""
    start: float = 0.0
    end: float = 1.0
    """From which share of the steps to which this model draws: an ensemble of experts (Podell et al. 2023, SDXL)."""


def generate(
    pipeline: Any, settings: GenerateSettings, words: Conditioning, on_step: OnStep, given: Given | None = None
) -> Image.Image:
    """One picture of width x height pixels; `on_step` may raise Cancelled to stop.

    The noise comes from torch's generator on the CPU, so a seed starts every backend alike.
    Raises Overflowed where the model gives no numbers, rather than a black picture.
    """
    pixels: np.ndarray = _run(pipeline, settings, words, on_step, given or Given(), "np")
    _check(np.isfinite(pixels).all())
    return pipeline.image_processor.numpy_to_pil(pixels)[0]


def _check(finite: Any) -> None:
    if not finite:
        raise Overflowed(
            "The model gave no picture: its numbers overflowed.",
            "Choose the precision “fp32”, or another scheduler.",
        )


def begin(
    pipeline: Any, settings: GenerateSettings, words: Conditioning, on_step: OnStep, given: Given
) -> torch.Tensor:
    """The latents [1, c, h, w] of a picture that is drawn as far as `given.end`, for another run to go on from."""
    latents: torch.Tensor = _run(pipeline, settings, words, on_step, given, "latent")[None]
    return latents if latents.ndim == 4 else _unpacked(pipeline, settings, latents)


def _run(
    pipeline: Any, settings: GenerateSettings, words: Conditioning, on_step: OnStep, given: Given, kind: str
) -> Any:
    """Pixels [h, w, 3] in 0 to 1 of the kind "np"; latents [c, h, w], or FLUX.1's, of the kind "latent"."""
    foreseen = Foresight(pipeline.scheduler)
    noise = torch.Generator("cpu").manual_seed(settings.seed or 0)
    guided = settings.guidance_scale > 1 and _is_guided(pipeline)

    def after_step(running: Any, step: int, _timestep: Any, had: dict[str, Any]) -> dict[str, Any]:
        _check(had["latents"].isfinite().all())
        on_step(step + 1, running.num_timesteps, _spread(pipeline, settings, foreseen.latents))
        now = words.changes.get((step + 1) * words.steps // running.num_timesteps)
        return {} if now is None else _changed(now, guided=guided)

    part = (_run_so_far(settings, given.start), _run_so_far(settings, given.end))
    others = otherwise_guided(pipeline, settings, given.regions, both=guided, part=part)
    with others, hinted(pipeline, given.hints, guided=guided), _own_chance(settings), varied(pipeline, settings):
        images = pipeline(
            **_from_words(words.first, guided=guided),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            generator=noise,
            callback_on_step_end=after_step,
            output_type=kind,
            **_from_pictures(pipeline, settings, given),
            **_from_prompts_shown(given.shown, guided=guided),
        ).images
    return images[0]


def _run_so_far(settings: GenerateSettings, share: float) -> float:
    """Of the steps that are run: from a source, the first ones are not."""
    return max(0.0, 1 - (1 - share) / settings.strength) if settings.source and share < 1 else share


@contextmanager
def _own_chance(settings: GenerateSettings) -> Iterator[None]:
    """Inside, torch's own generators begin with the seed: Stable Diffusion 3's pipeline for ControlNets encodes control
    images by them. Outside they are as they were.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed or 0)
        yield


def _is_guided(pipeline: Any) -> bool:
    """Whether the pipeline draws with two prompts: FLUX.1 and consistency models read the scale instead."""
    unet = getattr(pipeline, "unet", None)
    return hasattr(type(pipeline), "do_classifier_free_guidance") and not (unet and unet.config.time_cond_proj_dim)


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
    if pooled:  # under the name that XL's pipelines take it by, and Stable Diffusion 3's; FLUX.1's take none
        changed |= dict.fromkeys(("add_text_embeds", "pooled_prompt_embeds"), torch.cat(pooled))
    return changed


def _spread(pipeline: Any, settings: GenerateSettings, latents: torch.Tensor | None) -> torch.Tensor | None:
    """The latents as [1, c, h, w], also of FLUX.1, which has each two by two of them in a row."""
    if latents is None or latents.ndim == 4:
        return latents
    return _unpacked(pipeline, settings, latents)


def _unpacked(pipeline: Any, settings: GenerateSettings, latents: torch.Tensor) -> torch.Tensor:
    return pipeline._unpack_latents(latents, settings.height, settings.width, pipeline.vae_scale_factor)


def _from_prompts_shown(shown: Sequence[Shown], *, guided: bool) -> dict[str, Any]:
    """The argument for image prompts."""
    return {"ip_adapter_image_embeds": [each.both(guided=guided) for each in shown]} if shown else {}


def _from_pictures(pipeline: Any, settings: GenerateSettings, given: Given) -> dict[str, Any]:
    """The arguments for size, source, mask and control images; a U-Net's image to image takes its source's size."""
    arguments: dict[str, Any] = {}
    is_new = given.source is None and given.latents is None
    if is_new or given.mask is not None or hasattr(pipeline, "transformer"):
        arguments |= {"width": settings.width, "height": settings.height}
    if given.source is not None:
        arguments |= {"image": given.source, "strength": settings.strength}
    if given.mask is not None:
        arguments["mask_image"] = given.mask
    if given.latents is not None:
        begun = {"denoising_start": given.start} if given.start else {"strength": settings.strength}
        arguments |= {"image": given.latents, **begun}
    if given.end < 1:
        arguments["denoising_end"] = given.end
    if given.controls:
        uses: tuple[ControlUse, ...] = pipeline.controlnet.uses
        is_first = is_new and hasattr(pipeline, "unet")
        arguments |= {
            "image" if is_first else "control_image": list(given.controls),
            "controlnet_conditioning_scale": [each.weight for each in uses],
            "control_guidance_start": [each.start for each in uses],
            "control_guidance_end": [each.end for each in uses],
        }
        if hasattr(pipeline.controlnet, "modes"):
            arguments["control_mode"] = pipeline.controlnet.modes
    return arguments
