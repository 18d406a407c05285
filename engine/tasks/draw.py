"""From an order whose every value is decided to its picture: model, adapters, words and pictures brought together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from engine.backends.backend import Report
from engine.conditioning import Conditioning, conditioned
from engine.memory import plan
from engine.messages import Device, Draw
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.generate import Given, OnStep, generate
from engine.tasks.masks import part
from engine.tasks.preprocessors import control_image
from engine.tasks.sources import read_mask, read_source

Back = Callable[[Image.Image], Image.Image]


class Prepared(NamedTuple):
    """All that a picture needs, loaded and encoded."""

    pipeline: Any
    settings: GenerateSettings
    words: Conditioning
    given: Given
    back: Back
    notes: tuple[str, ...]
    """What was changed to make it fit, and what is not as it should be; sentences."""


def prepare(pipelines: Pipelines, order: Draw, device: Device, report: Report) -> Prepared:
    """Load what is not loaded yet, put the adapters in, encode the prompts.

    Raises BadInput for what does not fit together, OutOfMemory, and what `report` raises to stop it.
    """
    settings, card = order.settings, order.model
    loaded = pipelines.holds(card, device)
    fits = plan(card, device, settings, loaded)
    if not loaded:
        report("Loading the model", 0.0)
    pipelines.load(card, device, report)
    notes = pipelines.change(order.adapters.loras)
    nets = pipelines.nets(order.adapters.nets, report)
    pipeline = pipelines.pipeline(settings.task, settings.scheduler, nets)
    for decoder in (pipeline.vae, pipelines.preview_decoder):
        (decoder.enable_tiling if fits.tiled else decoder.disable_tiling)()
    given, back = _given(settings)
    words = conditioned(pipeline, settings, dict(order.adapters.embeddings))
    return Prepared(
        pipeline,
        settings,
        words,
        given,
        back,
        (*fits.notes, *notes, *(() if loaded else pipelines.notes)),
    )


def draw(ready: Prepared, on_step: OnStep) -> Image.Image:
    """The picture; of an inpainting the whole source with the new part. `on_step` may raise Cancelled to stop."""
    settings, source = ready.settings, ready.given.source
    if source is not None and int(settings.steps * settings.strength) == 0:
        return ready.back(source)  # nothing may change
    return ready.back(generate(ready.pipeline, settings, ready.words, on_step, ready.given))


def _given(settings: GenerateSettings) -> tuple[Given, Back]:
    """The pictures that the settings name, in the size that is drawn; and what makes the finished one of the drawn."""
    size = (settings.width or 0, settings.height or 0)
    controls = tuple(control_image(each.kind, read_source(Path(each.image)), size) for each in settings.controls)
    if settings.task == "text-to-image":
        return Given(controls=controls), _as_drawn
    source = read_source(Path(settings.source))
    if settings.task == "image-to-image":
        return Given(ImageOps.fit(source, size, Image.Resampling.LANCZOS), None, controls), _as_drawn
    mask = read_mask(Path(settings.mask), source.size)
    padding = settings.mask_padding if settings.inpaint_area == "only masked" else None
    some = part(source, mask, size, padding=padding, feather=settings.mask_feather)
    return Given(some.source, some.mask, controls), some.back


def _as_drawn(drawn: Image.Image) -> Image.Image:
    return drawn
