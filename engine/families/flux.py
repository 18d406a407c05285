"""FLUX.1: a transformer that reads T5's tokens and CLIP's sum of the prompt; guided without a negative prompt."""

from engine.families.family import Family
from engine.schedulers import FLOW

FAMILY = Family(
    name="flux",
    label="FLUX.1",
    pipelines={
        "text-to-image": "FluxPipeline",
        "image-to-image": "FluxImg2ImgPipeline",
        "inpaint": "FluxInpaintPipeline",
    },
    controlled={
        "text-to-image": "FluxControlNetPipeline",
        "image-to-image": "FluxControlNetImg2ImgPipeline",
        "inpaint": "FluxControlNetInpaintPipeline",
    },
    components={
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "T5EncoderModel",
        "vae": "AutoencoderKL",
        "transformer": "FluxTransformer2DModel",
        "tokenizer": "CLIPTokenizer",
        "tokenizer_2": "T5Tokenizer",
        "scheduler": "",
    },
    options={},
    marks={"_class_name": "FluxTransformer2DModel", "in_channels": 64},
    denoiser="transformer",
    native_latents=128,
    schedulers={name: each for name, each in FLOW.items() if name != "Heun"},  # its pipelines give their own sigmas
    defaults={"guidance_scale": 3.5, "scheduler": "Euler", "steps": 28},
    without=frozenset({"negative_prompt", "clip_skip"}),
    prefixes={  # as ComfyUI writes them
        "text_encoder": ("text_encoders.clip_l.transformer.",),
        "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
    },
    unguided={"shift": 1.0, "use_dynamic_shifting": False},
    has_lone_autoencoder=True,  # the checkpoints of Stable Diffusion 3, whose shapes are the same, have theirs inside
)
