"""The stages a picture is made in: drawn by a model, enlarged by an upscaler."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from msgspec import structs
from PIL import Image
from torch.nn.functional import interpolate

from engine.adapters.embedding import known_words
from engine.conditioning import Conditioning, conditioned
from engine.errors import BadInput
from engine.messages import Device, Draw
from engine.patience import Report
from engine.pipelines import Pipelines
from engine.settings import GenerateSettings, Task
from engine.tasks.generate import Given, OnStep, begin, generate
from engine.tasks.guidance import variation
from engine.tasks.left_aside import begun_by_base, is_refined
from engine.tasks.regions import regions_of
from engine.tasks.steering import steered
from engine.tasks.upscale import Tiling, lanczos, upscale
from engine.tasks.windows import Windowed
from engine.upscalers.reading import read_upscaler
from engine.upscalers.upscaler import Upscaler

_INPAINT = 9
"""Channels: four of latents, one of the mask, four of latents."""


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in that width and height."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


class Made(NamedTuple):
    """The picture after a stage."""

    image: Image.Image
    notes: tuple[str, ...] = ()
    """What was done otherwise than asked, in sentences."""


@dataclass(frozen=True)
class Redrawing:
    """One run of a pipeline, everything loaded and encoded; after another stage it draws on that one's picture."""

    pipeline: Any
    settings: GenerateSettings
    words: Conditioning
    given: Given

    @property
    def steps(self) -> int:
        """The denoiser's steps, each as many times as it has windows."""
        return self.words.steps * self._windows()

    def run(self, image: Image.Image | None, on_step: OnStep) -> Made:
        """The picture [height x width of the settings]."""
        given, windows = self.given, self._windows()
        size = (self.settings.width or 0, self.settings.height or 0)
        if given.source is None and image is not None:
            given = given._replace(source=fitted(image, size))
        if windows == 1:
            return Made(generate(self.pipeline, self.settings, self.words, on_step, given))
        done = 0

        def after_window(window: int, _of: int) -> None:
            on_step(done * windows + min(window, windows - 1), self.steps, None)

        def after_step(step: int, of: int, latents: Any) -> None:
            nonlocal done
            done = step
            on_step(step * windows, of * windows, latents)

        self.pipeline.unet.on_window = after_window
        return Made(generate(self.pipeline, self.settings, self.words, after_step, given))

    def latents(self, on_step: OnStep) -> torch.Tensor:
        """The picture as latents [1, c, h, w], not decoded."""
        return begin(self.pipeline, self.settings, self.words, on_step, self.given)

    def _windows(self) -> int:
        denoiser = getattr(self.pipeline, "unet", None)
        if not isinstance(denoiser, Windowed):
            return 1
        scale = self.pipeline.vae_scale_factor
        return denoiser.windows((self.settings.height or 0) // scale, (self.settings.width or 0) // scale)


def redrawing(
    pipelines: Pipelines,
    order: Draw,
    settings: GenerateSettings,
    nets: list[Any],
    given: Given,
    *,
    in_windows: bool = False,
) -> Redrawing | None:
    """A run with these settings; None where it is so short that it changes nothing.

    `in_windows` has the denoiser see a large picture through windows of half as much again as its own size. A model
    that is made for inpainting draws all of a picture as what is masked.
    """
    task: Task = settings.task if settings is order.settings else "image-to-image"
    if fills(pipelines.denoiser) and given.mask is None:
        task, settings, given = _filling(task, settings, given)
    steps = settings.steps if task == "text-to-image" else int(settings.steps * settings.strength)
    if not steps:
        return None
    controlnet, given = steered(nets, settings, given._replace(shown=pipelines.shown), pipelines.denoiser)
    pipeline = pipelines.pipeline(task, settings.scheduler, controlnet)
    if in_windows and hasattr(pipeline, "unet"):
        scale = pipeline.vae_scale_factor
        side, multiple = order.model.native_size * 3 // 2 // scale, order.model.size_multiple // scale
        pipeline.unet = Windowed(pipeline.unet, side, multiple)
    embeddings = _embeddings(order)
    words = conditioned(pipeline, settings, embeddings, steps)
    given = given._replace(regions=regions_of(pipeline, settings, embeddings, steps))
    return Redrawing(pipeline, settings, words, given)


def _embeddings(order: Draw) -> dict[str, str]:
    settings = order.settings
    prompts = (settings.prompt, settings.negative_prompt, *(each.prompt for each in settings.regions))
    return known_words(order.adapters, " ".join(prompts))


def fills(denoiser: Any) -> bool:
    """Whether it is made for inpainting: beside the latents it reads the mask, and the latents of what is around."""
    return denoiser.config.in_channels == _INPAINT


def _filling(task: Task, settings: GenerateSettings, given: Given) -> tuple[Task, GenerateSettings, Given]:
    """What draws a whole picture by inpainting: over an empty one, all of it, where there is no source."""
    size = (settings.width or 0, settings.height or 0)
    if task == "text-to-image":
        settings, given = structs.replace(settings, strength=1.0), given._replace(source=Image.new("RGB", size))
    return "inpaint", settings, given._replace(mask=Image.new("L", size, 255))


def _counted(on_step: OnStep, before: int, own: int, whole: int) -> OnStep:
    """Tells one drawing's steps as its `own` ones of a `whole` of several drawings, behind those `before`."""
    return lambda step, of, latents: on_step(before + own * step // of, whole, latents)


@dataclass(frozen=True)
class Ensemble:
    """Two models that draw one picture: the first as far as the settings' `refiner_start`, the second to the end."""

    first: Redrawing
    second: Redrawing

    @property
    def pipeline(self) -> Any:
        """The first one's."""
        return self.first.pipeline

    @property
    def steps(self) -> int:
        """The denoisers' steps together."""
        return self.first.steps + self.second.steps

    def run(self, image: Image.Image | None, on_step: OnStep) -> Made:
        """The picture; of the one before it each model has its own."""
        return Made(self._finished(generate, on_step))

    def latents(self, on_step: OnStep) -> torch.Tensor:
        """The picture as latents [1, c, h, w], not decoded."""
        return self._finished(begin, on_step)

    def _finished(self, finish: Callable[..., Any], on_step: OnStep) -> Any:
        first, second = self.first, self.second
        told = _counted(on_step, 0, first.steps, self.steps)
        given = second.given._replace(latents=begin(first.pipeline, first.settings, first.words, told, first.given))
        told = _counted(on_step, first.steps, second.steps, self.steps)
        return finish(second.pipeline, second.settings, second.words, told, given)


@dataclass(frozen=True)
class Continued:
    """A picture that is drawn, and drawn again from its latents, enlarged: A1111's hires fix by “Latent”."""

    first: Redrawing | Ensemble
    second: Redrawing

    @property
    def pipeline(self) -> Any:
        """The first one's."""
        return self.first.pipeline

    @property
    def steps(self) -> int:
        """The denoisers' steps together."""
        return self.first.steps + self.second.steps

    def run(self, image: Image.Image | None, on_step: OnStep) -> Made:
        """The larger picture; the first drawing has its own source."""
        before, second = self.first.steps, self.second
        small = self.first.latents(_counted(on_step, 0, before, self.steps))
        scale = second.pipeline.vae_scale_factor
        size = ((second.settings.height or 0) // scale, (second.settings.width or 0) // scale)
        larger = interpolate(small.float(), size=size, mode="bilinear").to(small)
        given = second.given._replace(latents=larger)
        told = _counted(on_step, before, second.steps, self.steps)
        return Made(generate(second.pipeline, second.settings, second.words, told, given))


def refined(
    pipelines: Pipelines, order: Draw, drawing: Redrawing | None, device: Device, report: Report
) -> Redrawing | Ensemble | None:
    """A drawing and the refiner that finishes it, where the order has one; else the drawing as it is.

    A source that may change no more than the refiner's share of the steps is the refiner's alone. Raises BadInput for
    a refiner that is made for inpainting.
    """
    settings = order.settings
    if order.refiner is None or drawing is None or not is_refined(settings):
        return drawing
    refiner = pipelines.beside
    report("Loading the refiner", 0.0)
    refiner.load(order.refiner, device, report)
    if fills(refiner.denoiser):
        raise BadInput(
            f"“{order.refiner.name}” is made for inpainting, and cannot finish what another model began.",
            "Choose another refiner, or none.",
            where="refiner",
        )
    refiner.wear(order.adapters.vae, report)
    refiner.vary(variation(settings))
    pipeline = refiner.pipeline("inpaint" if settings.task == "inpaint" else "image-to-image", settings.scheduler, None)
    embeddings, steps = _embeddings(order), drawing.words.steps
    words = conditioned(pipeline, settings, embeddings, steps)
    given = Given(mask=drawing.given.mask if settings.mask or settings.extend else None)
    given = given._replace(regions=regions_of(pipeline, settings, embeddings, steps))
    begun, share = begun_by_base(settings), settings.refiner_start
    if begun <= 0:
        return Redrawing(pipeline, settings, words, given._replace(source=drawing.given.source))
    first = replace(drawing, words=drawing.words.before(begun), given=drawing.given._replace(end=share))
    return Ensemble(first, Redrawing(pipeline, settings, words.after(begun), given._replace(start=share)))


@dataclass(frozen=True)
class Enlarging:
    """A picture brought to a larger size by a network in tiles, or by Lanczos."""

    upscaler: Upscaler | None
    size: tuple[int, int]
    """Width and height in pixels afterwards."""
    steps: int

    @classmethod
    def by(cls, file: str, size: tuple[int, int], device: Device, before: Image.Image | None) -> "Enlarging":
        """With the upscaler in the file, empty for Lanczos, on the device. Raises BadInput for a file that is none."""
        if not file:
            return cls(None, size, 1)
        width, height = before.size if before else size
        tiles = ceil(width / Tiling().side) * ceil(height / Tiling().side)
        return cls(_read(file, Path(file).stat().st_mtime_ns, device), size, tiles)

    def run(self, image: Image.Image | None, on_step: OnStep) -> Made:
        """The enlarged picture, in RGB."""
        assert image is not None
        pixels = np.asarray(image.convert("RGB"))
        if self.upscaler is None:
            on_step(1, 1, None)
            return Made(Image.fromarray(lanczos(pixels, self.size)))
        factor = max(to / of for to, of in zip(self.size, image.size, strict=True))
        made = upscale(pixels, factor, self.upscaler, lambda done, of: on_step(done, of, None))
        return Made(Image.fromarray(lanczos(made.pixels, self.size)), made.notes)


@lru_cache(maxsize=1)
def _read(file: str, _changed_ns: int, device: Device) -> Upscaler:
    """The last one used stays loaded."""
    precision = device.precisions[0]
    on_torch = device.backend != "openvino" and precision == "int8"
    return read_upscaler(Path(file), device.backend, "fp32" if on_torch else precision)
