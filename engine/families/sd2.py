"""Stable Diffusion 2.x: the first's parts around a wider text encoder; its scheduler's file says if it predicts v."""

from engine.families.family import Family
from engine.families.sd1 import COMPONENTS, CONTROLLED, OPTIONS, PIPELINES
from engine.families.sd1 import FAMILY as FIRST

FAMILY = Family(
    name="sd2",
    label="Stable Diffusion 2.x",
    pipelines=PIPELINES,
    controlled=CONTROLLED,
    components=COMPONENTS,
    options=OPTIONS,
    marks={"cross_attention_dim": 1024},
    prefixes={"text_encoder": ("cond_stage_model.model.", "cond_stage_model.transformer.")},
    velocity_latents=96,
    autoencoder_of=FIRST.name,
    modelspec=("stable-diffusion-v2-512", "stable-diffusion-v2-768-v"),
)
