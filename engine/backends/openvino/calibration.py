"""What a denoiser sees while it draws: the inputs of a few sampling runs, for choosing int8 ranges."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openvino
import torch

from engine.backends.openvino.exports import RESIDUAL, SIDE
from engine.components import Component, config_of, load, scheduler, tokenizer

PROMPTS = (
    "a red house on a meadow at sunset",
    "portrait of an old man, oil painting, dramatic light",
    "a blue sailboat on the sea, night, stars",
    "city street in the rain, neon signs, photograph",
    "a yellow flower in the snow, watercolour",
    "一只白色的猫，草地，白天",
    "a white lighthouse, fog, flat illustration",
    "",
)
STEPS = 10
GUIDANCE = 6.0


def denoiser_inputs(
    unet: openvino.Model, components: dict[str, Component], report: Callable[[float], object]
) -> Iterator[dict[str, np.ndarray]]:
    """Named inputs of batch 1 over all noise levels, guided and unguided, from runs at a small size."""
    model = components["unet"].folder.parent
    run = openvino.Core().compile_model(unet, "CPU")
    words, silence = _words(components), _silence(unet)
    own = config_of(components["vae"])["latent_channels"]
    channels = unet.input("sample").get_partial_shape()[1].get_length()
    masked = torch.zeros(1, channels - own, SIDE, SIDE)  # of inpainting models: an empty mask, and nothing behind it
    for number, prompt in enumerate(PROMPTS):
        steps = scheduler(model / "scheduler", "DDIM trailing")
        steps.set_timesteps(STEPS)
        noise = torch.Generator().manual_seed(number)
        latents = torch.randn(1, own, SIDE, SIDE, generator=noise)
        for timestep in steps.timesteps:
            predicted: list[torch.Tensor] = []
            seen = torch.cat((latents, masked), dim=1)
            for text in ("", prompt):
                inputs = silence | words(text) | {"sample": seen.numpy(), "timestep": np.float32(timestep)}
                predicted.append(torch.from_numpy(run(inputs)[0].copy()))
                yield inputs
            guided = predicted[0] + GUIDANCE * (predicted[1] - predicted[0])
            latents = steps.step(guided, timestep, latents, return_dict=False)[0]
        report((number + 1) / len(PROMPTS))


def _silence(unet: openvino.Model) -> dict[str, np.ndarray]:
    """Zeros for the inputs that only ControlNets speak to."""
    return {
        each.get_any_name(): np.zeros((1, 1, 1, 1), np.float32)
        for each in unet.inputs
        if each.get_any_name().startswith(RESIDUAL)
    }


def _words(components: dict[str, Component]) -> Callable[[str], dict[str, np.ndarray]]:
    """From a prompt to the denoiser's inputs that come from it, as Stable Diffusion or XL makes them."""
    encoders = [
        (load(component), tokenizer(component.folder.parent / part.replace("text_encoder", "tokenizer")))
        for part, component in components.items()
        if part.startswith("text_encoder")
    ]
    return lambda prompt: _seen_in(prompt, encoders)


@torch.no_grad()
def _seen_in(prompt: str, encoders: list[tuple[Any, Any]]) -> dict[str, np.ndarray]:
    seen = [encoder(_ids(prompt, words), output_hidden_states=True) for encoder, words in encoders]
    if len(encoders) == 1:
        return {"encoder_hidden_states": seen[0].last_hidden_state.numpy()}
    size = float(SIDE * 8)
    return {
        "encoder_hidden_states": torch.cat([each.hidden_states[-2] for each in seen], dim=-1).numpy(),
        "text_embeds": seen[-1].text_embeds.numpy(),
        "time_ids": np.array([[size, size, 0, 0, size, size]], np.float32),
    }


def _ids(prompt: str, words: Any) -> torch.Tensor:
    length = words.model_max_length
    return words(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
