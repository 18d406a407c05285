"""What a denoiser sees while it draws: the inputs of a few sampling runs, for choosing int8 ranges."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import openvino
import torch

from engine.backends.openvino.exports import SIDE, behind_blocks, from_adapters, told_guidance
from engine.backends.openvino.shells import make_denoiser
from engine.components import Component, config_of, diffusers_class, load, scheduler, tokenizer
from engine.families import FAMILIES
from engine.families.family import Family
from engine.library.recognise import parts_of
from engine.manners import openvino_options
from engine.schedulers import SCHEDULERS

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
REFINED_SCORE = 6.0
"""How beautiful XL's refiner is told that a picture is, as diffusers' pipelines tell it."""


def denoiser_inputs(
    denoiser: openvino.Model, components: dict[str, Component], report: Callable[[float], object]
) -> Iterator[dict[str, np.ndarray]]:
    """Named inputs of batch 1 over all noise levels, guided and unguided, from runs at a small size."""
    family = next(each for each in FAMILIES.values() if each.components.items() >= _classes(components).items())
    if family.denoiser == "unet":
        return _of_unet(denoiser, components, report)
    return _of_transformer(denoiser, components, family, report)


def _classes(components: dict[str, Component]) -> dict[str, str]:
    return {part: each.class_name for part, each in components.items()}


class _Recorded:
    """A graph as shells call it, that keeps what it is given, and what it takes besides that is not given."""

    def __init__(self, graph: openvino.Model, besides: dict[str, np.ndarray] | None = None) -> None:
        self._run = openvino.Core().compile_model(graph, "CPU", openvino_options())
        self._besides = besides or {}
        self.inputs: list[dict[str, np.ndarray]] = []

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        self.inputs.append(self._besides | {name: each.copy() for name, each in inputs.items()})
        return [self._run(self.inputs[-1])[0].copy()]


def _of_transformer(
    transformer: openvino.Model, components: dict[str, Component], family: Family, report: Callable[[float], object]
) -> Iterator[dict[str, np.ndarray]]:
    """From diffusers' own pipeline, with every second prompt: these models are large."""
    model = components["transformer"].folder.parent
    parts: dict[str, Any] = dict.fromkeys(family.optional)
    parts |= {part: load(each) for part, each in components.items() if part != "transformer"}
    parts |= {
        part: tokenizer(model / part, name)
        for part, name in parts_of(model, family).items()
        if part.startswith("tokenizer")
    }
    silence = behind_blocks(make_denoiser(components["transformer"], None).config)
    recorded = _Recorded(transformer, {name: each.numpy() for name, each in silence.items()})
    pipeline = diffusers_class(family.pipelines["text-to-image"])(
        **parts,
        transformer=make_denoiser(components["transformer"], recorded),
        scheduler=scheduler(model / "scheduler", family.schedulers[family.scheduler("")]),
    )
    pipeline.set_progress_bar_config(disable=True)
    chosen = PROMPTS[::2]
    for number, prompt in enumerate(chosen):
        pipeline(
            prompt,
            num_inference_steps=STEPS,
            guidance_scale=family.defaults["guidance_scale"],
            generator=torch.Generator().manual_seed(number),
            width=SIDE * pipeline.vae_scale_factor,
            height=SIDE * pipeline.vae_scale_factor,
            output_type="latent",
        )
        yield from recorded.inputs
        recorded.inputs.clear()
        report((number + 1) / len(chosen))


def _of_unet(
    unet: openvino.Model, components: dict[str, Component], report: Callable[[float], object]
) -> Iterator[dict[str, np.ndarray]]:
    model = components["unet"].folder.parent
    recorded = _Recorded(unet, _silence(components["unet"]))
    shell, words = make_denoiser(components["unet"], recorded), _words(components)
    own = config_of(components["vae"])["latent_channels"]
    channels = unet.input("sample").get_partial_shape()[1].get_length()
    masked = torch.zeros(1, channels - own, SIDE, SIDE)  # of inpainting models: an empty mask, and nothing behind it
    for number, prompt in enumerate(PROMPTS):
        steps = scheduler(model / "scheduler", SCHEDULERS["DDIM trailing"])
        steps.set_timesteps(STEPS)
        noise = torch.Generator().manual_seed(number)
        latents = torch.randn(1, own, SIDE, SIDE, generator=noise)
        for timestep in steps.timesteps:
            seen = torch.cat((latents, masked), dim=1)
            predicted = [shell(seen, timestep, **words(text)).sample for text in ("", prompt)]
            guided = predicted[0] + GUIDANCE * (predicted[1] - predicted[0])
            latents = steps.step(guided, timestep, latents, return_dict=False)[0]
        yield from recorded.inputs
        recorded.inputs.clear()
        report((number + 1) / len(PROMPTS))


def _silence(unet: Component) -> dict[str, np.ndarray]:
    """Zeros, of the sizes that OpenVINO asks for, for the inputs that only adapters speak to, and a guidance scale."""
    config = make_denoiser(unet, None).config
    return {name: each.numpy() for name, each in (from_adapters(config) | told_guidance(config)).items()}


def _words(components: dict[str, Component]) -> Callable[[str], dict[str, Any]]:
    """From a prompt to the denoiser's arguments that come from it, as Stable Diffusion or XL makes them."""
    encoders = [
        (load(component), tokenizer(component.folder.parent / part.replace("text_encoder", "tokenizer")))
        for part, component in components.items()
        if part.startswith("text_encoder")
    ]
    return lambda prompt: _seen_in(prompt, encoders)


@torch.no_grad()
def _seen_in(prompt: str, encoders: list[tuple[Any, Any]]) -> dict[str, Any]:
    seen = [encoder(_ids(prompt, words), output_hidden_states=True) for encoder, words in encoders]
    if not hasattr(seen[-1], "text_embeds"):
        return {"encoder_hidden_states": seen[0].last_hidden_state}
    size = float(SIDE * 8)
    about = [size, size, 0, 0, *([size, size] if len(encoders) > 1 else [REFINED_SCORE])]
    return {
        "encoder_hidden_states": torch.cat([each.hidden_states[-2] for each in seen], dim=-1),
        "added_cond_kwargs": {"text_embeds": seen[-1].text_embeds, "time_ids": torch.tensor([about])},
    }


def _ids(prompt: str, words: Any) -> torch.Tensor:
    length = words.model_max_length
    return words(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
