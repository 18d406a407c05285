"""Stable Diffusion XL's refiner: finishes what the base model began, or draws a picture anew; one text encoder."""

from engine.families.family import Family
from engine.families.sdxl import FAMILY as BASE

FAMILY = Family(
    name="sdxl-refiner",
    label="Stable Diffusion XL refiner",
    pipelines={task: name for task, name in BASE.pipelines.items() if task != "text-to-image"},
    controlled={},
    components={part: name for part, name in BASE.components.items() if part not in ("text_encoder", "tokenizer")},
    options={**BASE.options, "text_encoder": None, "tokenizer": None, "requires_aesthetics_score": True},
    marks={"cross_attention_dim": 1280},
    prefixes={"text_encoder_2": ("conditioner.embedders.0.model.",)},
    autoencoder_of=BASE.name,
    modelspec=("stable-diffusion-xl-v1-refiner", "stable-diffusion-xl-v1-refiner"),
)
