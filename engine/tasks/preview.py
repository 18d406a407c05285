"""What a picture will be, seen while it is made: the latents a scheduler is heading for, and their pixels."""

from functools import wraps
from typing import Any

import torch
from PIL import Image


class Foresight:
    """The picture a scheduler is heading for, read from what the denoiser predicts at each step.

    Progressive distillation, Salimans and Ho 2022, appendix D: with alpha² + sigma² = 1,
    x0 = (x - sigma e) / alpha for noise prediction, x0 = alpha x - sigma v for velocity. Of a straight flow from noise
    to picture (Liu et al. 2022, equation 1) x0 = x - t v at the time t, from 1 to 0.
    """

    def __init__(self, scheduler: Any) -> None:
        self.latents: torch.Tensor | None = None
        step = scheduler.step

        @wraps(step)  # pipelines read the signature to know which arguments a scheduler takes
        def watched(model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.latents = _foreseen(scheduler, model_output, timestep, sample)
            return step(model_output, timestep, sample, *args, **kwargs)

        scheduler.step = watched


def decoded(pipeline: Any, decoder: Any, latents: torch.Tensor) -> Image.Image:
    """The picture that a pipeline's latents [1, c, h, w] stand for, by its own VAE or a tiny one for the same latents.

    Both are fed as diffusers' pipelines feed a VAE: divided by its `scaling_factor`, which is 1 for tiny ones, and
    moved by its `shift_factor`, where it has one.
    """
    given = latents.to(decoder.device, decoder.dtype) / decoder.config.scaling_factor
    given = given + (decoder.config.get("shift_factor") or 0.0)
    with torch.no_grad():
        pixels = decoder.decode(given, return_dict=False)[0]
    return pipeline.image_processor.postprocess(pixels, output_type="pil")[0]


def _foreseen(scheduler: Any, predicted: torch.Tensor, timestep: Any, sample: torch.Tensor) -> torch.Tensor:
    if hasattr(scheduler, "scale_noise"):
        return sample - float(timestep) / scheduler.config.num_train_timesteps * predicted
    noisy = scheduler.scale_model_input(sample, timestep)
    alpha_squared = scheduler.alphas_cumprod[int(timestep)].to(noisy.device)
    alpha, sigma = alpha_squared.sqrt(), (1 - alpha_squared).sqrt()
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return alpha * noisy - sigma * predicted
    return predicted if kind == "sample" else (noisy - sigma * predicted) / alpha
