"""From an order whose every value is decided to its picture: model, adapters, words and pictures brought together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs
from PIL import Image, ImageOps

from engine.backends.backend import Report
from engine.conditioning import Conditioning, conditioned
from engine.memory import plan
from engine.messages import Device, Draw, ModelCard
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings, Task
from engine.tasks.generate import Given, OnStep, generate
from engine.tasks.masks import part
from engine.tasks.preprocessors import control_image
from engine.tasks.sources import read_mask, read_source

Back = Callable[[Image.Image], Image.Image]


class Pass(NamedTuple):
    """One run of a pipeline, everything loaded and encoded."""

    pipeline: Any
    settings: GenerateSettings
    words: Conditioning
    given: Given


class Prepared(NamedTuple):
    """All that a picture needs."""

    passes: tuple[Pass, ...]
    """Each draws anew, larger, what the one before made. None at all where nothing of the source may change."""
    source: Image.Image | None
    back: Back
    notes: tuple[str, ...]
    """What was changed to make it fit, and what is not as it should be; sentences."""


def prepare(pipelines: Pipelines, order: Draw, device: Device, report: Report) -> Prepared:
    """Load what is not loaded yet, put the adapters in, encode the prompts.

    Raises BadInput for what does not fit together, OutOfMemory, and what `report` raises to stop it.
    """
    settings, card = order.settings, order.model
    loaded = pipelines.holds(card, device)
    larger = _larger(settings, card)
    new_nets = [folder for folder in order.adapters.nets if not (loaded and pipelines.has_net(folder))]
    fits = plan(device, larger, None if loaded else card, list(map(Path, dict.fromkeys(new_nets))))
    if not loaded:
        report("Loading the model", 0.0)
    pipelines.load(card, device, report)
    notes = pipelines.change(order.adapters.loras)
    nets = pipelines.nets(order.adapters.nets, report)
    for decoder in (pipelines.vae, pipelines.preview_decoder):
        (decoder.enable_tiling if fits.tiled else decoder.disable_tiling)()
    given, back = _given(settings)
    asked = [(settings, given)]
    if larger is not settings:
        asked.append((larger, Given(controls=_controls(larger))))
    passes = (_pass(pipelines, order, nets, *each) for each in asked)
    return Prepared(
        tuple(each for each in passes if each is not None),
        given.source,
        back,
        (*fits.notes, *notes, *(() if loaded else pipelines.notes)),
    )


def _pass(pipelines: Pipelines, order: Draw, nets: list[Any], settings: GenerateSettings, given: Given) -> Pass | None:
    """A run with these settings; None where it is so short that it changes nothing."""
    is_first = settings is order.settings
    task: Task = settings.task if is_first else "image-to-image"
    steps = settings.steps if task == "text-to-image" else int(settings.steps * settings.strength)
    if not steps:
        return None
    pipeline = pipelines.pipeline(task, settings.scheduler, nets)
    words = conditioned(pipeline, settings, dict(order.adapters.embeddings), steps)
    return Pass(pipeline, settings, words, given)


def draw(ready: Prepared, on_step: OnStep) -> Image.Image:
    """The picture; of an inpainting the whole source with the new part. `on_step` may raise Cancelled to stop."""
    image, done = ready.source, 0
    steps = sum(each.words.steps for each in ready.passes)
    for place, each in enumerate(ready.passes):
        given = each.given
        if place and image is not None:
            size = (each.settings.width or 0, each.settings.height or 0)
            given = given._replace(source=image.resize(size, Image.Resampling.LANCZOS))
        told = on_step if len(ready.passes) == 1 else _part(on_step, done, each.words.steps, steps)
        image = generate(each.pipeline, each.settings, each.words, told, given)
        done += each.words.steps
    assert image is not None
    return ready.back(image)


def _part(on_step: OnStep, before: int, own: int, steps: int) -> OnStep:
    """Of one pass with `own` steps, as steps of all of them."""
    return lambda step, of, latents: on_step(before + step * own // of, steps, latents)


def _larger(settings: GenerateSettings, card: ModelCard) -> GenerateSettings:
    """The settings of the second drawing; where there is none, the same ones."""
    if settings.hires_scale == 1 or settings.task == "inpaint":
        return settings
    width, height = (
        int(side * settings.hires_scale) // card.size_multiple * card.size_multiple
        for side in (settings.width or 0, settings.height or 0)
    )
    return structs.replace(settings, width=width, height=height, strength=settings.hires_strength)


def _given(settings: GenerateSettings) -> tuple[Given, Back]:
    """The pictures that the settings name, in the size that is drawn; and what makes the finished one of the drawn."""
    size = (settings.width or 0, settings.height or 0)
    controls = _controls(settings)
    if settings.task == "text-to-image":
        return Given(controls=controls), _as_drawn
    source = read_source(Path(settings.source))
    if settings.task == "image-to-image":
        return Given(ImageOps.fit(source, size, Image.Resampling.LANCZOS), None, controls), _as_drawn
    mask = read_mask(Path(settings.mask), source.size)
    padding = settings.mask_padding if settings.inpaint_area == "only masked" else None
    some = part(source, mask, size, padding=padding, feather=settings.mask_feather)
    return Given(some.source, some.mask, controls), some.back


def _controls(settings: GenerateSettings) -> tuple[Image.Image, ...]:
    size = (settings.width or 0, settings.height or 0)
    return tuple(control_image(each.kind, read_source(Path(each.image)), size) for each in settings.controls)


def _as_drawn(drawn: Image.Image) -> Image.Image:
    return drawn
