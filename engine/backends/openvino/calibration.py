"""What a denoiser sees while it draws: the inputs of a few sampling runs, for choosing int8 ranges."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openvino
import torch

from engine.components import Component, load, scheduler, tokenizer

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
    latents_size = 16
    embeds = _embeds(components)
    for number, prompt in enumerate(PROMPTS):
        steps = scheduler(model / "scheduler", "DDIM trailing")
        steps.set_timesteps(STEPS)
        channels = unet.inputs[0].get_partial_shape()[1].get_length()
        noise = torch.Generator().manual_seed(number)
        latents = torch.randn(1, channels, latents_size, latents_size, generator=noise)
        for timestep in steps.timesteps:
            predicted: list[torch.Tensor] = []
            for text in ("", prompt):
                inputs = {
                    "sample": latents.numpy(),
                    "timestep": np.float32(timestep),
                    "encoder_hidden_states": embeds(text),
                }
                predicted.append(torch.from_numpy(run(inputs)[0].copy()))
                yield inputs
            guided = predicted[0] + GUIDANCE * (predicted[1] - predicted[0])
            latents = steps.step(guided, timestep, latents, return_dict=False)[0]
        report((number + 1) / len(PROMPTS))


def _embeds(components: dict[str, Component]) -> Callable[[str], np.ndarray]:
    text_encoder: Any = load(components["text_encoder"])
    words = tokenizer(components["text_encoder"].folder.parent / "tokenizer")

    def embeds(prompt: str) -> np.ndarray:
        tokens = words(
            prompt,
            padding="max_length",
            truncation=True,
            max_length=words.model_max_length,
            return_tensors="pt",
        )
        with torch.no_grad():
            return text_encoder(tokens.input_ids)[0].numpy()

    return embeds
