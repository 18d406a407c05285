"""Stable Diffusion 1.x, and the starter model, which is built of the same parts."""

from engine.families.family import Family
from engine.settings import Task

COMPONENTS = {
    "text_encoder": "CLIPTextModel",
    "vae": "AutoencoderKL",
    "unet": "UNet2DConditionModel",
    "tokenizer": "CLIPTokenizer",
    "scheduler": "",
}
OPTIONS = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
PIPELINES: dict[Task, str] = {
    "text-to-image": "StableDiffusionPipeline",
    "image-to-image": "StableDiffusionImg2ImgPipeline",
    "inpaint": "StableDiffusionInpaintPipeline",
}
CONTROLLED: dict[Task, str] = {
    "text-to-image": "StableDiffusionControlNetPipeline",
    "image-to-image": "StableDiffusionControlNetImg2ImgPipeline",
    "inpaint": "StableDiffusionControlNetInpaintPipeline",
}

FAMILY = Family(
    name="sd1",
    label="Stable Diffusion 1.x",
    pipelines=PIPELINES,
    controlled=CONTROLLED,
    components=COMPONENTS,
    options=OPTIONS,
    marks={"cross_attention_dim": 768},
    prefixes={"text_encoder": ("cond_stage_model.transformer.", "cond_stage_model.model.")},
    modelspec=("stable-diffusion-v1", "stable-diffusion-v1"),
)
