"""The smallest U-Net and text encoder that have every shape of weight a LoRA changes; two calls make the same ones."""

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

_BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0."
QUERY, KEY, OUT = _BLOCK + "attn1.to_q", _BLOCK + "attn2.to_k", _BLOCK + "attn1.to_out.0"
FF = _BLOCK + "ff.net.2"
POINTWISE = "down_blocks.0.attentions.0.proj_in"
CONV = "down_blocks.1.resnets.0.conv1"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"
TEXT_OUT = "text_model.encoder.layers.0.self_attn.out_proj"
TEXT_MLP = "text_model.encoder.layers.0.mlp.fc1"


def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=12,
            attention_head_dim=2,
            norm_num_groups=4,
        )


def text_encoder() -> CLIPTextModel:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return CLIPTextModel(
            CLIPTextConfig(
                vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2
            )
        )
