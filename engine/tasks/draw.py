"""From an order whose every value is decided to its picture: model, adapters, words and pictures brought together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from msgspec import structs
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from engine.expand import few_steps_note
from engine.families import FAMILIES
from engine.memory import Plan
from engine.messages import Adapters, Draw, ModelCard
from engine.patience import Report
from engine.pictures import Encode, as_png
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings
from engine.tasks.generate import Given, OnStep
from engine.tasks.guidance import variation
from engine.tasks.left_aside import left_aside
from engine.tasks.masks import outpainted, part
from engine.tasks.preprocessors import control_image
from engine.tasks.sources import Source, framed, read_mask, read_photo, read_source, written_back
from engine.tasks.stages import Continued, Enlarging, Ensemble, Made, Redrawing, fitted, redrawing, refined

Back = Callable[[Image.Image], Image.Image]


class Stage(Protocol):
    """A part of the work on a picture."""

    @property
    def steps(self) -> int:
        """How much work it is, in steps of a denoiser or tiles of an upscaler."""
        ...

    def run(self, image: Image.Image | None, on_step: OnStep) -> Made:
        """The picture after it; `image` is the picture before. `on_step` may raise Cancelled to stop."""
        ...


class Prepared(NamedTuple):
    """All that a picture needs."""

    stages: tuple[Stage, ...]
    """None at all where nothing of the source may change."""
    source: Image.Image | None
    back: Back
    """From what was drawn to the whole picture."""
    photo: Source | None
    """What the finished picture gets its profile, EXIF, alpha and bits from."""
    notes: tuple[str, ...]
    """What was changed to make it fit, and what is not as it should be; sentences."""

    @property
    def pipeline(self) -> Any:
        """The diffusers pipeline of the first drawing; None where nothing is drawn."""
        return next((each.pipeline for each in self.stages if isinstance(each, (Redrawing, Ensemble, Continued))), None)


class Drawn(NamedTuple):
    """A finished picture, as pixels and as a file."""

    image: Image.Image
    encoded: Encode
    notes: tuple[str, ...]
    """What was done otherwise than asked, and what of the source could not be kept; sentences."""


class _Task(NamedTuple):
    """What is to be drawn first, and what becomes of it."""

    given: Given
    back: Back
    photo: Source | None


def prepare(pipelines: Pipelines, order: Draw, plan: Plan, report: Report) -> Prepared:
    """Load what is not loaded yet as the plan has it, put the adapters in, encode the prompts.

    Raises BadInput for what does not fit together, OutOfMemory, and what `report` raises to stop it.
    """
    settings, adapters, device = order.settings, order.adapters, plan.device
    task = _task(settings, adapters)
    if settings.task == "upscale" and not settings.strength:
        enlarging = Enlarging.by(order.adapters.upscaler, _size(settings), device, task.given.source)
        notes = (*left_aside(settings, order.model), *_notes(task.photo))
        return Prepared((enlarging,), task.given.source, task.back, task.photo, notes)
    largest = drawn_last(settings, order.model)
    notes = _load(pipelines, order, plan, report)
    nets = pipelines.nets(order.adapters.nets, report)
    stages: list[Stage | None] = []
    source = task.given.source
    if settings.task == "upscale":
        stages += [
            Enlarging.by(order.adapters.upscaler, _size(largest), device, source),
            redrawing(pipelines, order, largest, nets, Given(controls=_controls(largest, adapters)), in_windows=True),
        ]
    else:
        drawing = redrawing(pipelines, order, settings, nets, task.given)
        first = refined(pipelines, order, drawing, device, report)
        again = None
        if largest is not settings:
            again = redrawing(pipelines, order, largest, nets, Given(controls=_controls(largest, adapters)))
        if first and again and settings.enlarges_latents and again.given.mask is None:
            stages.append(Continued(first, again))
        else:
            stages.append(first)
            if largest is not settings:
                stages += [Enlarging.by(order.adapters.upscaler, _size(largest), device, source), again]
        if settings.enlarges_latents and again and again.given.mask is not None:
            notes = (*notes, "A model made for inpainting draws from no latents, so Lanczos enlarges.")
    return Prepared(
        tuple(each for each in stages if each is not None), source, task.back, task.photo,
        (*notes, *_notes(task.photo)),
    )  # fmt: skip


def draw(ready: Prepared, on_step: OnStep) -> Drawn:
    """The picture; of an inpainting the whole source with the new part. `on_step` may raise Cancelled to stop."""
    image, done = ready.source, 0
    notes: tuple[str, ...] = ()
    steps = sum(each.steps for each in ready.stages)
    for each in ready.stages:
        made = each.run(image, on_step if len(ready.stages) == 1 else _part(on_step, done, each.steps, steps))
        image, notes = made.image, (*notes, *made.notes)
        done += each.steps
    assert image is not None
    whole = ready.back(image)
    if ready.photo is None:
        return Drawn(whole, as_png(whole), notes)
    kept = written_back(ready.photo, np.asarray(whole.convert("RGB")), "PNG")

    def encoded(text: PngInfo) -> bytes:
        return kept.encoded(text)

    return Drawn(kept.image, encoded, (*notes, *kept.notes))


def _part(on_step: OnStep, before: int, own: int, steps: int) -> OnStep:
    """Of one stage with `own` steps, as steps of all of them."""
    return lambda step, of, latents: on_step(before + step * own // of, steps, latents)


def _load(pipelines: Pipelines, order: Draw, plan: Plan, report: Report) -> tuple[str, ...]:
    """Have the model and its LoRAs on the device; sentences about them and the plan."""
    card = order.model
    loaded = pipelines.holds(card, plan.device)
    if not loaded:
        report("Loading the model", 0.0)
    pipelines.load(card, plan.device, report)
    notes = pipelines.change(order.adapters.loras)
    pipelines.show(order.adapters.image_prompts, read_source, report)
    pipelines.wear(order.adapters.vae, report)
    pipelines.vary(variation(order.settings), tiled=plan.tile > 0)
    if plan.tile and order.settings.seamless != "off":
        notes = (*notes, "Decoded in tiles, so the edges of the picture may not quite meet.")
    for decoder in (pipelines.vae, pipelines.preview_decoder):
        _tile(decoder, plan.tile)
    if quick := few_steps_note(order.settings, card):
        notes = (*notes, quick)
    left = (*FAMILIES[card.family].notes(order.settings), *left_aside(order.settings, card))
    return (*plan.notes, *left, *notes, *(() if loaded else pipelines.notes))


def _tile(decoder: Any, side: int) -> None:
    """Have it decode in tiles of so many pixels a side, or whole."""
    if not side:
        decoder.disable_tiling()
        return
    pixels = decoder.tile_sample_min_size // decoder.tile_latent_min_size
    decoder.tile_sample_min_size, decoder.tile_latent_min_size = side, side // pixels
    decoder.enable_tiling()


def drawn_last(settings: GenerateSettings, card: ModelCard) -> GenerateSettings:
    """The settings of the last drawing; where it is the first, the same ones."""
    if settings.task == "upscale":
        width, height = (_whole(side, card.size_multiple) for side in _size(settings))
        return structs.replace(settings, width=width, height=height)
    if settings.hires_scale == 1 or settings.task == "inpaint":
        return settings
    width, height = (
        int(side * settings.hires_scale) // card.size_multiple * card.size_multiple for side in _size(settings)
    )
    return structs.replace(settings, width=width, height=height, strength=settings.hires_strength)


def _whole(side: int, multiple: int) -> int:
    """The multiple that is nearest to a side, and not nothing."""
    return max(1, round(side / multiple)) * multiple


def _task(settings: GenerateSettings, adapters: Adapters) -> _Task:
    """The pictures that the settings name, in the size that is drawn; and what makes the finished one of the drawn."""
    size, controls = _size(settings), _controls(settings, adapters)
    if settings.task == "text-to-image":
        return _Task(Given(controls=controls), _as_drawn, None)
    photo = read_photo(Path(settings.source))
    source = photo.picture
    if settings.task == "upscale":
        return _Task(Given(source), lambda drawn: fitted(drawn, size), photo)
    if settings.task == "image-to-image":
        whole = ImageOps.fit(source, size, Image.Resampling.LANCZOS)
        return _Task(Given(whole, None, controls), _as_drawn, photo)
    mask, feather = Image.new("L", source.size), settings.mask_feather
    if settings.mask:
        mask = read_mask(Path(settings.mask), source.size)
    if settings.extend:
        frame = outpainted(source, *settings.extend)
        frame.mask.paste(255, (settings.extend.left, settings.extend.top), mask)
        photo = framed(photo, np.asarray(frame.source), settings.extend)
        source, mask, feather = frame.source, frame.mask, max(frame.feather, feather)
    padding = settings.mask_padding if settings.inpaint_area == "only masked" else None
    some = part(source, mask, size, padding=padding, feather=feather)
    return _Task(Given(some.source, some.mask, controls), some.back, photo)


def _controls(settings: GenerateSettings, adapters: Adapters) -> tuple[Image.Image, ...]:
    models = adapters.preprocessors or ("",) * len(settings.controls)
    return tuple(
        control_image(each.kind, read_source(Path(each.image)), _size(settings), model)
        for each, model in zip(settings.controls, models, strict=True)
    )


def _size(settings: GenerateSettings) -> tuple[int, int]:
    return settings.width or 0, settings.height or 0


def _notes(photo: Source | None) -> tuple[str, ...]:
    return photo.notes if photo else ()


def _as_drawn(drawn: Image.Image) -> Image.Image:
    return drawn
