"""Stable Diffusion 3 and 3.5: a transformer that reads CLIP's tokens and T5's; the large T5 may be left out."""

from engine.families.family import Family
from engine.schedulers import FLOW

FAMILY = Family(
    name="sd3",
    label="Stable Diffusion 3",
    pipelines={
        "text-to-image": "StableDiffusion3Pipeline",
        "image-to-image": "StableDiffusion3Img2ImgPipeline",
        "inpaint": "StableDiffusion3InpaintPipeline",
    },
    controlled={"text-to-image": "StableDiffusion3ControlNetPipeline"},  # its inpainting one is for nets of their own
    components={
        "text_encoder": "CLIPTextModelWithProjection",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "text_encoder_3": "T5EncoderModel",
        "vae": "AutoencoderKL",
        "transformer": "SD3Transformer2DModel",
        "tokenizer": "CLIPTokenizer",
        "tokenizer_2": "CLIPTokenizer",
        "tokenizer_3": "T5Tokenizer",
        "scheduler": "",
    },
    options={},
    marks={"_class_name": "SD3Transformer2DModel", "in_channels": 16, "patch_size": 2},
    denoiser="transformer",
    optional=frozenset({"text_encoder_3", "tokenizer_3"}),
    schedulers=FLOW,
    defaults={"guidance_scale": 4.5, "scheduler": "Euler", "steps": 28},
    prefixes={  # as ComfyUI writes them
        "text_encoder": ("text_encoders.clip_l.transformer.",),
        "text_encoder_2": ("text_encoders.clip_g.transformer.",),
        "text_encoder_3": ("text_encoders.t5xxl.transformer.",),
    },
    unprojected=frozenset({"text_encoder"}),
)
