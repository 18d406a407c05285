"""Text to image: the one place that knows the argument names of diffusers' pipelines."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.errors import EaselError
from engine.settings import GenerateSettings
from engine.tasks.preview import Foresight

OnStep = Callable[[int, int, torch.Tensor | None], None]
"""Told after each step: the step, of how many, and the latents [1, c, h, w] of the picture as now foreseen."""


def generate(pipeline: Any, settings: GenerateSettings, on_step: OnStep) -> Image.Image:
    """One picture of width x height pixels; `on_step` may raise Cancelled to stop.

    The noise comes from torch's generator on the CPU, so a seed starts every backend alike.
    Raises EaselError where the model gives no numbers, rather than a black picture.
    """
    foreseen = Foresight(pipeline.scheduler)

    def after_step(running: Any, step: int, _timestep: Any, _: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1, running.num_timesteps, foreseen.latents)
        return {}

    pixels: np.ndarray = pipeline(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        width=settings.width,
        height=settings.height,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(settings.seed or 0),
        callback_on_step_end=after_step,
        output_type="np",
    ).images[0]
    if not np.isfinite(pixels).all():
        raise EaselError(
            "The model gave no picture: its numbers overflowed.",
            "Choose the precision “fp32”, or another scheduler.",
        )
    return pipeline.image_processor.numpy_to_pil(pixels)[0]
