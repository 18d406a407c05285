"""Stable Diffusion 1.x, and the starter model, which is built of the same parts."""

from engine.families.family import Family

FAMILY = Family(
    name="sd1",
    label="Stable Diffusion 1.x",
    pipeline="StableDiffusionPipeline",
    components={
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
        "scheduler": "",
    },
    cross_attention_dim=768,
)
