"""Stable Diffusion 1.x, and the starter model, which is built of the same parts."""

from engine.families.family import Family

FAMILY = Family(
    name="sd1",
    label="Stable Diffusion 1.x",
    pipeline="StableDiffusionPipeline",
    components={
        "text_encoder": "CLIPTextModel",
        "vae": "AutoencoderKL",
        "unet": "UNet2DConditionModel",
        "tokenizer": "CLIPTokenizer",
        "scheduler": "",
    },
    cross_attention_dim=768,
)
