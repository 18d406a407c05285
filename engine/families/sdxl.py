"""Stable Diffusion XL's base model: two text encoders, and pictures conditioned on their sizes."""

from engine.families.family import Family

FAMILY = Family(
    name="sdxl",
    label="Stable Diffusion XL",
    pipelines={
        "text-to-image": "StableDiffusionXLPipeline",
        "image-to-image": "StableDiffusionXLImg2ImgPipeline",
        "inpaint": "StableDiffusionXLInpaintPipeline",
    },
    controlled={
        "text-to-image": "StableDiffusionXLControlNetPipeline",
        "image-to-image": "StableDiffusionXLControlNetImg2ImgPipeline",
        "inpaint": "StableDiffusionXLControlNetInpaintPipeline",
    },
    components={
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "vae": "AutoencoderKL",
        "unet": "UNet2DConditionModel",
        "tokenizer": "CLIPTokenizer",
        "tokenizer_2": "CLIPTokenizer",
        "scheduler": "",
    },
    options={"add_watermarker": False},
    refined_by=frozenset({"sdxl", "sdxl-refiner"}),
    marks={"cross_attention_dim": 2048},
    prefixes={
        "text_encoder": ("conditioner.embedders.0.transformer.",),
        "text_encoder_2": ("conditioner.embedders.1.model.",),
    },
    modelspec=("stable-diffusion-xl-v1-base", "stable-diffusion-xl-v1-base"),
)
