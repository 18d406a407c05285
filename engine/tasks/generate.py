"""Text to image: the one place that knows the argument names of diffusers' pipelines."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.errors import EaselError
from engine.settings import GenerateSettings

OnStep = Callable[[int, int, torch.Tensor | None], None]
"""Told after each step: the step, of how many, and the latents [1, c, h, w] of the picture as now foreseen."""


def generate(pipeline: Any, settings: GenerateSettings, on_step: OnStep) -> Image.Image:
    """One picture of width x height pixels; `on_step` may raise Cancelled to stop.

    The noise comes from torch's generator on the CPU, so a seed starts every backend alike.
    Raises EaselError where the model gives no numbers, rather than a black picture.
    """
    foreseen = _Foresight(pipeline.scheduler)

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


def decoded(pipeline: Any, latents: torch.Tensor) -> Image.Image:
    """The picture that latents [1, c, h, w] stand for."""
    with torch.no_grad():
        pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(pixels, output_type="pil")[0]


class _Foresight:
    """The picture a scheduler is heading for, read from what the denoiser predicts at each step.

    Progressive distillation, Salimans and Ho 2022, appendix D: with alpha² + sigma² = 1,
    x0 = (x - sigma e) / alpha for noise prediction, x0 = alpha x - sigma v for velocity.
    """

    def __init__(self, scheduler: Any) -> None:
        self.latents: torch.Tensor | None = None
        step = scheduler.step

        @wraps(step)  # pipelines read the signature to know which arguments a scheduler takes
        def watched(model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.latents = _foreseen(scheduler, model_output, timestep, sample)
            return step(model_output, timestep, sample, *args, **kwargs)

        scheduler.step = watched


def _foreseen(scheduler: Any, predicted: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
    noisy = scheduler.scale_model_input(sample, timestep)
    alpha_squared = scheduler.alphas_cumprod[int(timestep)].to(noisy.device)
    alpha, sigma = alpha_squared.sqrt(), (1 - alpha_squared).sqrt()
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return alpha * noisy - sigma * predicted
    return predicted if kind == "sample" else (noisy - sigma * predicted) / alpha
