# ruff: noqa: E501 (tables of names and shapes are long)
"""Cases: families that Easel does not run, from diffusers' classes and under their authors' names."""

from collections.abc import Iterator
from typing import Any

from tests.headers.architectures import LDM, Shapes, built, checkpoint, flux, of, shortened, under
from tests.headers.cases import Case
from tests.headers.models import TRANSFORMER

_CLASSES = {
    "FLUX.2": ("Flux2Transformer2DModel",),
    "Chroma": ("ChromaTransformer2DModel",),
    "Z-Image": ("ZImageTransformer2DModel",),
    "Lumina 2": ("Lumina2Transformer2DModel",),
    "PixArt": ("PixArtTransformer2DModel",),
    "AuraFlow": ("AuraFlowTransformer2DModel",),
    "HunyuanDiT": ("HunyuanDiT2DModel",),
    "Qwen-Image": ("QwenImageTransformer2DModel",),
    "Sana": ("SanaTransformer2DModel",),
    "Stable Cascade": ("StableCascadeUNet",),
    "Kandinsky": ("Kandinsky3UNet", "Kandinsky5Transformer3DModel"),
    "Bria": ("BriaTransformer2DModel",),
    "LongCat-Image": ("LongCatImageTransformer2DModel",),
    "Ovis-Image": ("OvisImageTransformer2DModel",),
    "CogView": ("CogView3PlusTransformer2DModel", "CogView4Transformer2DModel"),
    "GLM-Image": ("GlmImageTransformer2DModel",),
    "PRX": ("PRXTransformer2DModel",),
    "DiT": ("DiTTransformer2DModel",),
    "Hunyuan Image": ("HunyuanImageTransformer2DModel",),
    "Hunyuan Video": ("HunyuanVideoTransformer3DModel", "HunyuanVideo15Transformer3DModel"),
    "Wan": ("WanTransformer3DModel", "WanVACETransformer3DModel", "WanAnimateTransformer3DModel"),
    "LTX-Video": ("LTXVideoTransformer3DModel", "LTX2VideoTransformer3DModel"),
    "Mochi": ("MochiTransformer3DModel",),
    "CogVideoX": ("CogVideoXTransformer3DModel",),
    "Cosmos": ("CosmosTransformer3DModel",),
    "Allegro": ("AllegroTransformer3DModel",),
    "Stable Video Diffusion": ("UNetSpatioTemporalConditionModel",),
    "ModelScope": ("UNet3DConditionModel", "I2VGenXLUNet"),
}
_NEEDED: dict[str, dict[str, Any]] = {
    "HunyuanDiT2DModel": {"in_channels": 4, "patch_size": 2},
    "WanVACETransformer3DModel": {"vace_layers": [0]},
}
_NATIVE: dict[str, tuple[Shapes, ...]] = {
    "FLUX.2": (
        {"double_stream_modulation_img.lin.weight": (18432, 3072), "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
         "img_in.weight": (3072, 128), "txt_in.weight": (3072, 7680)},
    ),
    "Z-Image": ({"cap_embedder.0.weight": (2560,), "cap_embedder.1.weight": (3840, 2560), "x_embedder.weight": (3840, 64),
                 "noise_refiner.0.attention.k_norm.weight": (128,), "layers.0.attention.qkv.weight": (11520, 3840)},),
    "Lumina 2": ({"cap_embedder.1.weight": (2304, 2304), "noise_refiner.0.attention.k_norm.weight": (96,),
                  "layers.0.attention.qkv.weight": (3840, 2304)},),
    "PixArt": ({"t_block.1.weight": (6912, 1152), "blocks.0.cross_attn.q_linear.weight": (1152, 1152),
                "y_embedder.y_embedding": (300, 4096), "x_embedder.proj.weight": (1152, 4, 2, 2)},),
    "Sana": ({"t_block.1.weight": (13440, 2240), "blocks.0.cross_attn.q_linear.weight": (2240, 2240),
              "attention_y_norm.weight": (2240,), "blocks.0.mlp.inverted_conv.conv.weight": (11200, 2240, 1, 1)},),
    "AuraFlow": ({"double_layers.0.attn.w1q.weight": (3072, 3072), "cond_seq_linear.weight": (3072, 2048),
                  "t_embedder.mlp.0.weight": (3072, 256), "positional_encoding": (1, 4096, 3072)},),
    "HunyuanDiT": ({"mlp_t5.0.weight": (8192, 2048), "blocks.0.attn1.Wqkv.weight": (4224, 1408)},),
    "Qwen-Image": ({"txt_norm.weight": (3584,), "img_in.weight": (3072, 64), "txt_in.weight": (3072, 3584),
                    "transformer_blocks.0.img_mod.1.weight": (18432, 3072)},),
    "HiDream": ({"caption_projection.0.linear.weight": (2560, 4096), "x_embedder.proj.weight": (2560, 64),
                 "double_stream_blocks.0.block.adaLN_modulation.1.bias": (30720,)},),
    "Wan": ({"head.modulation": (1, 2, 1536), "patch_embedding.weight": (1536, 16, 1, 2, 2),
             "blocks.0.cross_attn.k.weight": (1536, 1536)},),
    "Hunyuan Video": ({"txt_in.individual_token_refiner.blocks.0.norm1.weight": (3072,), "img_in.proj.weight": (3072, 16, 1, 2, 2),
                       "double_blocks.0.img_attn_qkv.weight": (9216, 3072)},),
    "LTX-Video": ({"patchify_proj.weight": (2048, 128), "adaln_single.emb.timestep_embedder.linear_1.bias": (2048,),
                   "transformer_blocks.0.attn2.to_k.weight": (2048, 2048)},),
    "Mochi": ({"t5_yproj.weight": (1536, 4096), "blocks.0.attn.qkv_x.weight": (9216, 3072)},),
    "Cosmos": ({"blocks.0.mlp.layer1.weight": (8192, 2048), "x_embedder.proj.1.weight": (2048, 68)},
               {"blocks.block0.blocks.0.block.attn.to_q.0.weight": (4096, 4096), "x_embedder.proj.1.weight": (4096, 68)}),
    "Anima": ({"blocks.0.mlp.layer1.weight": (8192, 2048), "x_embedder.proj.1.weight": (2048, 68),
               "llm_adapter.blocks.0.cross_attn.q_proj.weight": (1024, 1024)},),
    "Stable Cascade": ({"clf.1.weight": (64, 2048, 1, 1), "clip_txt_mapper.weight": (2048, 1280)},),
    "OmniGen 2": ({"time_caption_embed.timestep_embedder.linear_1.bias": (1024,), "x_embedder.weight": (2520, 64),
                   "noise_refiner.0.attn.norm_q.weight": (120,)},),
    "Kandinsky": ({"visual_transformer_blocks.0.cross_attention.key_norm.weight": (64,), "visual_embeddings.in_layer.weight": (1792, 132)},),
    "SeedVR2": ({"blocks.31.mlp.all.proj_in_gate.weight": (6912, 2560)},),
    "Stable Audio": ({"transformer.rotary_pos_emb.inv_freq": (16,), "to_global_embed.0.weight": (1536, 1536)},),
    "ACE-Step": ({"genre_embedder.weight": (2560, 768)},),
    "Hunyuan3D": ({"latent_in.weight": (1024, 64), "cond_in.weight": (1024, 1536)},),
    "Krea 2": ({"txtfusion.projector.weight": (1, 12), "first.weight": (6144, 64)},),
}  # fmt: skip


def foreigners() -> Iterator[Case]:
    """All of them."""
    for label, classes in _CLASSES.items():
        for each in classes:
            sizes = _NEEDED.get(each, {})
            yield Case(
                f"{label} ({each})",
                shortened(each, **sizes),
                "denoiser",
                label,
                refused=True,
                turns=("", "transformer."),
            )
    for label, files in _NATIVE.items():
        for number, shapes in enumerate(files):
            yield Case(
                f"{label}, its authors' names, {number}", shapes, "denoiser", label, refused=True, turns=TRANSFORMER
            )
    chroma = {
        name: shape
        for name, shape in flux().items()
        if "_mod" not in name and not name.startswith(("guidance", "vector"))
    }
    chroma |= {"distilled_guidance_layer.in_proj.bias": (5120,), "distilled_guidance_layer.norms.0.scale": (5120,)}
    yield Case("Chroma, its authors' names", chroma, "denoiser", "Chroma", refused=True, turns=TRANSFORMER)
    yield from _unets()


def _unets() -> Iterator[Case]:
    """U-Nets that resemble Stable Diffusion's."""
    kolors = of(
        "sdxl",
        "unet",
        projection_class_embeddings_input_dim=5632,
        encoder_hid_dim=4096,
        encoder_hid_dim_type="text_proj",
    )
    yield Case("Kolors U-Net", kolors, "denoiser", "Kolors", refused=True)
    zero = checkpoint("sd1", in_channels=8) | {"cc_projection.weight": (768, 772)}
    yield Case("Zero123", zero, "checkpoint", "Zero123", refused=True)
    example = checkpoint("sd1", in_channels=9) | {"cond_stage_model.mapper.resblocks.0.attn.c_qkv.weight": (3072, 1024)}
    yield Case("Paint by Example", example, "checkpoint", "Paint by Example", refused=True)
    boxes = checkpoint("sd1") | {f"{LDM}input_blocks.1.1.transformer_blocks.0.fuser.alpha_attn": ()}
    yield Case("GLIGEN", boxes, "denoiser", "GLIGEN", refused=True)
    video = checkpoint("sd2", in_channels=8) | {f"{LDM}input_blocks.1.1.time_stack.0.attn1.to_q.weight": (320, 320)}
    yield Case("Stable Video Diffusion checkpoint", video, "denoiser", "Stable Video Diffusion", refused=True)
    scope = checkpoint("sd2") | {f"{LDM}input_blocks.1.2.transformer_blocks.0.attn1.to_q.weight": (320, 320)}
    yield Case("ModelScope checkpoint", scope, "denoiser", "ModelScope", refused=True)
    yield Case("AnimateDiff, diffusers names", built("MotionAdapter"), "unknown", "AnimateDiff", refused=True)
    motion = {f"down_blocks.{level}.motion_modules.{place}.temporal_transformer.{name}.weight": (320,)
              for level in range(4) for place in range(2) for name in ("norm", "proj_in")}  # fmt: skip
    yield Case("AnimateDiff, its authors' names", motion, "unknown", "AnimateDiff", refused=True)
    pixels = built("UNet2DModel")
    yield Case("an unconditional U-Net", pixels, "unknown")
    wide = of("sd1", "unet", cross_attention_dim=1152)
    yield Case("a U-Net of a width that nobody knows", wide, "unknown")
    many = of("sd1", "unet", out_channels=8)
    yield Case("a U-Net that gives 8 channels", many, "unknown")
    audio = under(
        "", of("sd1", "unet", block_out_channels=[128, 256, 384, 640], in_channels=8, cross_attention_dim=1024)
    )
    yield Case("a U-Net for sound", audio, "unknown")
