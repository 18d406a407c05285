# ruff: noqa: E501 (tables of names and shapes are long)
"""Cases: ControlNets and their like, VAEs, encoders, embeddings, upscalers, and what is nothing that Easel knows."""

from collections.abc import Iterator

from engine.formats.sd_keys import single_file_names
from tests.headers.architectures import (
    LDM,
    Shapes,
    built,
    checkpoint,
    clip,
    ldm_vae,
    of,
    open_clip,
    published,
    shortened,
    t5,
    under,
    vision,
)
from tests.headers.cases import Case

NETS = ("", "control_model.", "controlnet.", "module.")


def others() -> Iterator[Case]:
    """All of them."""
    yield from _controlnets()
    yield from _of_transformers()
    yield from _pictures()
    yield from _autoencoders()
    yield from _encoders()
    yield from _embeddings()
    yield from _upscalers()
    yield from _nothing()


def controlnet(family: str, union: int = 0, **changes: object) -> Shapes:
    """diffusers' ControlNet for a family."""
    config = published(family, "unet") | changes
    names = ("block_out_channels", "down_block_types", "cross_attention_dim", "attention_head_dim", "use_linear_projection",
             "transformer_layers_per_block", "addition_embed_type", "addition_time_embed_dim",
             "projection_class_embeddings_input_dim", "layers_per_block", "mid_block_type")  # fmt: skip
    own = {name: config[name] for name in names if config.get(name) is not None}
    own.pop("mid_block_type", None) if config.get("mid_block_type") is None else None
    if union:
        return built("ControlNetUnionModel", **own, num_control_type=union, num_trans_channel=320, num_proj_channel=320)
    return built("ControlNetModel", **own)


def original_net(family: str) -> Shapes:
    """The same under the original code's names: a U-Net's first half, convolutions, and the hint's embedding."""
    names = single_file_names("unet", published(family, "unet"))
    half = {
        names[name].removeprefix(LDM): shape
        for name, shape in of(family, "unet").items()
        if name in names
        and names[name].startswith(
            (f"{LDM}input_blocks.", f"{LDM}middle_block.", f"{LDM}time_embed.", f"{LDM}label_emb.")
        )
    }
    zero = {f"zero_convs.{number}.0.weight": (320, 320, 1, 1) for number in range(9 if family == "sdxl" else 12)}
    hint = {f"input_hint_block.{2 * number}.weight": (16, 3 if number == 0 else 16, 3, 3) for number in range(8)}
    return half | zero | hint | {"middle_block_out.0.weight": (1280, 1280, 1, 1)}


def _controlnets() -> Iterator[Case]:
    for family in ("sd1", "sd2", "sdxl"):
        yield Case(
            f"{family} ControlNet", controlnet(family), "controlnet", family, turns=("", "controlnet.", "module.")
        )
        yield Case(f"{family} ControlNet, original names", original_net(family), "controlnet", family, turns=NETS)
    whole = checkpoint("sd1") | under("control_model.", original_net("sd1"))
    yield Case("ControlNet of 2023 with its model", whole, "controlnet", "sd1", ("with its base model",))
    difference = under("control_model.", original_net("sd1") | {"difference": ()})
    yield Case("ControlNet as a difference", difference, "controlnet", "sd1", ("difference",), True)
    for number in (6, 8):
        yield Case(
            f"SDXL union of {number}",
            controlnet("sdxl", number),
            "controlnet",
            "sdxl",
            ("union", f"{number} kinds of control images"),
        )
    mid = {name: shape for name, shape in controlnet("sdxl").items() if "transformer_blocks" not in name}
    yield Case("SDXL ControlNet, mid", mid, "controlnet", "sdxl", ("mid",))
    small = {name: shape for name, shape in mid.items() if "attentions" not in name}
    yield Case("SDXL ControlNet, small", small, "controlnet", "sdxl", ("small",))
    lora = {"lora_controlnet": (), "label_emb.0.0.weight": (1280, 2816), "input_blocks.4.1.proj_in.up": (640, 128)}
    yield Case("SDXL Control-LoRA", lora, "controlnet", "sdxl", ("Control-LoRA",), True)
    lite = {f"lllite_unet_input_blocks_7_1_transformer_blocks_{block}_attn1_to_q.{part}.weight": (32, 64)
            for block in range(10) for part in ("down.0", "mid.0", "up.0", "conditioning1.0")}  # fmt: skip
    yield Case("SDXL ControlNet-LLLite", lite, "controlnet", "sdxl", ("LLLite",), True)
    dit = {
        "lllite_conditioning1.0.weight": (16, 3, 4, 4),
        "lllite_dit_blocks_0_self_attn_q_proj.down.weight": (32, 2048),
    }
    yield Case("Anima ControlNet-LLLite", dit, "controlnet", "Anima", ("LLLite",), True)
    yield Case("ControlNet-XS", built("UNetControlNetXSModel"), "controlnet", "", refused=True)
    yield Case("SparseCtrl", built("SparseControlNetModel"), "controlnet", "AnimateDiff", refused=True)
    kolors = controlnet("sdxl", projection_class_embeddings_input_dim=5632)
    yield Case("Kolors ControlNet", kolors, "controlnet", "Kolors", refused=True)


def _of_transformers() -> Iterator[Case]:
    instant = built("FluxControlNetModel", num_layers=5, num_single_layers=10, guidance_embeds=True)
    yield Case("FLUX.1 ControlNet, InstantX", instant, "controlnet", "flux")
    union = built("FluxControlNetModel", num_layers=5, num_single_layers=0, guidance_embeds=True, num_mode=10)
    yield Case("FLUX.1 ControlNet, union", union, "controlnet", "flux", ("union",))
    xlabs = {"controlnet_blocks.0.weight": (3072, 3072), "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
             "txt_in.weight": (3072, 4096), "img_in.weight": (3072, 64), "input_hint_block.0.weight": (16, 3, 3, 3)}  # fmt: skip
    yield Case("FLUX.1 ControlNet, XLabs", xlabs, "controlnet", "flux", refused=True)
    yield Case(
        "FLUX.1 ControlNet, Mistoline",
        {"controlnet_blocks.0.linear.weight": (3072, 3072)},
        "controlnet",
        "flux",
        refused=True,
    )
    medium = {"num_attention_heads": 24, "attention_head_dim": 64, "caption_projection_dim": 1536, "num_layers": 6}
    yield Case("SD3 ControlNet", built("SD3ControlNetModel", **medium), "controlnet", "sd3")
    paints = built("SD3ControlNetModel", **medium, extra_conditioning_channels=1)
    yield Case("SD3 ControlNet, inpainting", paints, "controlnet", "sd3", ("inpaint",), True)
    large = {
        "controlnet_blocks.0.weight": (2432, 2432),
        "transformer_blocks.0.adaLN_modulation.1.bias": (14592,),
        "control_type": (),
    }
    yield Case("SD3.5 large ControlNet", large, "controlnet", "sd3", refused=True)
    yield Case("Qwen-Image ControlNet", shortened("QwenImageControlNetModel"), "controlnet", "Qwen-Image", refused=True)
    yield Case("Sana ControlNet", shortened("SanaControlNetModel"), "controlnet", "Sana", refused=True)
    yield Case(
        "Z-Image ControlNet", {"control_all_x_embedder.2-1.weight": (3840, 132)}, "controlnet", "Z-Image", refused=True
    )


def _pictures() -> Iterator[Case]:
    """Adapters that read pictures."""
    for kind, family, size in (("full_adapter", "sd1", 8), ("full_adapter_xl", "sdxl", 16)):
        for channels in (1, 3):
            net = built("T2IAdapter", in_channels=channels, channels=[320, 640, 1280, 1280], num_res_blocks=2,
                        downscale_factor=size, adapter_type=kind)  # fmt: skip
            yield Case(f"{family} T2I-Adapter, {channels} colours", net, "t2i_adapter", family)
            bare: Shapes = {"conv_in.weight": (320, channels * size**2, 3, 3), "body.0.block1.weight": (320, 320, 3, 3),
                            "body.0.block2.weight": (320, 320, 1, 1)}  # fmt: skip
            yield Case(f"{family} T2I-Adapter, original names, {channels} colours", bare, "t2i_adapter", family)
    light = built(
        "T2IAdapter",
        in_channels=3,
        channels=[320, 640, 1280],
        num_res_blocks=4,
        downscale_factor=8,
        adapter_type="light_adapter",
    )
    yield Case("T2I-Adapter for colours", light, "t2i_adapter", "sd1")
    projections: dict[str, Shapes] = {
        "": {"image_proj.proj.weight": (3072, 1024), "image_proj.norm.weight": (768,)},
        "plus": {"image_proj.proj_in.weight": (768, 1280), "image_proj.latents": (1, 16, 768)},
        "full": {"image_proj.proj.0.weight": (1280, 1280), "image_proj.proj.2.weight": (768, 1280)},
        "face": {"image_proj.proj.0.weight": (1024, 512), "ip_adapter.0.to_q_lora.down.weight": (128, 320)},
    }
    for variant, projection in projections.items():
        for family, keys in (("sd1", (320, 768)), ("sdxl", (640, 2048))):
            shapes = projection | {"ip_adapter.1.to_k_ip.weight": keys, "ip_adapter.1.to_v_ip.weight": keys}
            yield Case(
                f"{family} IP-Adapter {variant}",
                shapes,
                "ip_adapter",
                family,
                (variant,) * bool(variant),
                variant == "face",
            )
    instant = {"image_proj.proj_in.weight": (1280, 512), "ip_adapter.1.to_k_ip.weight": (640, 2048)}
    yield Case("InstantID", instant, "ip_adapter", "sdxl", ("face",), True)
    xlabs = {"double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight": (3072, 4096)}
    yield Case("FLUX.1 IP-Adapter, XLabs", xlabs, "ip_adapter", "flux", refused=True)
    redux = {"redux_up.weight": (12288, 1152), "redux_down.weight": (4096, 12288), "redux_up.bias": (12288,)}
    yield Case("FLUX.1 Redux", redux, "ip_adapter", "flux", ("redux",), True)
    maker = {
        "id_encoder.visual_projection_2.weight": (1280, 1024),
        "lora_weights.unet.down_blocks.1.lora_A.weight": (4, 640),
    }
    yield Case("PhotoMaker", maker, "unknown", "PhotoMaker", refused=True)


def _autoencoders() -> Iterator[Case]:
    asks = ("family",)
    bare = {name.removeprefix("first_stage_model."): shape for name, shape in ldm_vae().items()}
    yield Case("SD VAE, original names", bare, "vae", asks=asks, turns=("", "first_stage_model.", "vae."))
    yield Case("SD VAE, diffusers names", of("sd1", "vae"), "vae", asks=asks, turns=("", "vae."))
    yield Case("SDXL VAE, by its name", bare, "vae", asks=asks, name="sdxl_vae_fp16_fix")
    said = {"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}
    yield Case("SDXL VAE, by its metadata", bare, "vae", "sdxl", metadata=said)
    sixteen = of("flux", "vae")
    yield Case("FLUX.1 VAE", sixteen, "vae", asks=asks, name="ae", turns=("", "vae."))
    original = {name.removeprefix("first_stage_model."): shape for name, shape in ldm_vae("flux").items()}
    yield Case("FLUX.1 VAE, original names", original, "vae", asks=asks, name="ae")
    yield Case("FLUX.2 VAE", built("AutoencoderKLFlux2"), "vae", "FLUX.2", refused=True)
    for name in (
        "AutoencoderKLWan",
        "AutoencoderKLQwenImage",
        "AutoencoderKLHunyuanVideo",
        "AutoencoderKLCogVideoX",
        "AutoencoderKLLTXVideo",
    ):
        yield Case(f"VAE of moving pictures ({name})", built(name), "vae", refused=True)
    temporal = built(
        "AutoencoderKLTemporalDecoder",
        block_out_channels=[128, 256, 512, 512],
        down_block_types=["DownEncoderBlock2D"] * 4,
    )
    yield Case("VAE of Stable Video Diffusion", temporal, "vae", refused=True)
    asymmetric = built("AsymmetricAutoencoderKL")
    yield Case("asymmetric VAE", asymmetric, "vae", refused=True)
    odd = built(
        "AutoencoderKL",
        block_out_channels=[64, 128, 256, 256],
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
    )
    yield Case("a VAE of widths that nobody knows", odd, "unknown")
    yield Case("TAESD, diffusers names", built("AutoencoderTiny"), "preview_decoder", asks=asks)
    for channels in (4, 16):
        tiny = {
            "1.weight": (64, channels, 3, 3),
            "1.bias": (64,),
            "3.conv.0.weight": (64, 64, 3, 3),
            "18.weight": (3, 64, 3, 3),
        }
        yield Case(f"TAESD's decoder of {channels}", tiny, "preview_decoder", "", (f"{channels} channels",), asks=asks)


def _encoders() -> Iterator[Case]:
    for width, layers, name in ((768, 12, "CLIP-L"), (1024, 23, "CLIP-H"), (1280, 32, "CLIP-G")):
        yield Case(
            f"{name} text encoder", clip(width, layers), "text_encoder", "", (name,), turns=("", "text_encoder.")
        )
    yield Case("CLIP-L of transformers 5", clip(768, 12, ""), "text_encoder", "", ("CLIP-L",))
    yield Case("CLIP-G, open_clip names", open_clip(1280, 32), "text_encoder", "", ("CLIP-G",))
    both = clip(768, 12) | vision(1024, 24)
    yield Case("whole CLIP-L", both, "text_encoder", "", ("CLIP-L", "with its image encoder"))
    yield Case("T5-XXL", t5(), "text_encoder", "", ("T5-XXL",))
    yield Case("T5-XXL in fp8", t5(), "text_encoder", "", ("T5-XXL", "fp8"), dtype="F8_E4M3")
    yield Case("UMT5-XXL", t5(words=256384), "text_encoder", refused=True)
    yield Case("T5 base", t5(768, 12, inner=2048), "text_encoder", refused=True)
    language = {"model.embed_tokens.weight": (152064, 3584), "model.layers.0.self_attn.q_proj.weight": (3584, 3584)}
    yield Case("Qwen2.5-VL", language, "text_encoder", refused=True)
    for width, layers, name in ((1024, 24, "CLIP ViT-L"), (1280, 32, "CLIP ViT-H"), (1664, 48, "CLIP ViT-bigG")):
        yield Case(f"{name} image encoder", vision(width, layers), "image_encoder", "", (name,))
    siglip = {name: shape for name, shape in vision(1152, 27).items() if "pre_layrnorm" not in name}
    yield Case("SigLIP", siglip, "image_encoder", "", ("SigLIP",), True)
    hed = {"block5.projection.weight": (1, 512, 1, 1), "block1.convs.0.weight": (64, 3, 3, 3), "norm": (1, 3, 1, 1)}
    yield Case("HED", hed, "preprocessor")
    depth = {"neck.reassemble_stage.layers.0.projection.weight": (48, 384, 1, 1), "head.conv1.weight": (32, 64, 3, 3),
             "backbone.embeddings.cls_token": (1, 1, 384)}  # fmt: skip
    yield Case("Depth Anything", depth, "preprocessor")
    checker = {
        "special_care_embeds": (3, 768),
        "concept_embeds": (17, 768),
        "visual_projection.weight": (768, 1024),
    } | under("vision_model.", vision(1024, 24))
    yield Case("safety checker", checker, "unknown", "a safety checker", refused=True)


def _embeddings() -> Iterator[Case]:
    for width, family in ((768, "sd1"), (1024, "sd2"), (1280, "sdxl")):
        yield Case(f"A1111 embedding of {width}", {"emb_params": (8, width)}, "embedding", family)
        yield Case(f"diffusers embedding of {width}", {"<my-style>": (width,)}, "embedding", family)
        yield Case(f"diffusers embedding of {width}, several vectors", {"<my-style>": (4, width)}, "embedding", family)
    yield Case("SDXL embedding", {"clip_l": (8, 768), "clip_g": (8, 1280)}, "embedding", "sdxl")
    converted = {"string_to_param.*": (3, 768)}
    yield Case("A1111 embedding, once a pickle", converted, "embedding", "sd1")
    yield Case("embedding of a width that nobody knows", {"emb_params": (8, 4096)}, "unknown")
    hyper = {
        f"{width}.{place}.linear.0.weight": (2 * width, width) for width in (320, 640, 768, 1280) for place in (0, 1)
    }
    yield Case("hypernetwork", hyper, "hypernetwork", refused=True)


def _upscalers() -> Iterator[Case]:
    wrapped = ("", "params_ema.", "params.", "module.", "netG.", "state_dict.")
    new = {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3), "conv_body.weight": (64, 64, 3, 3),
           "conv_last.weight": (3, 64, 3, 3), "conv_first.bias": (64,)}  # fmt: skip
    yield Case("Real-ESRGAN", new, "upscaler", "", ("ESRGAN",), turns=wrapped)
    old = {
        "model.0.weight": (64, 3, 3, 3),
        "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3),
        "model.10.weight": (3, 64, 3, 3),
    }
    yield Case("ESRGAN of old", old, "upscaler", "", ("ESRGAN",), turns=("", "params_ema."))
    bsrgan = {"conv_first.weight": (64, 3, 3, 3), "RRDB_trunk.0.RDB1.conv1.weight": (32, 64, 3, 3), "trunk_conv.weight": (64, 64, 3, 3),
              "conv_last.weight": (3, 64, 3, 3)}  # fmt: skip
    yield Case("BSRGAN", bsrgan, "upscaler", "", ("ESRGAN",), turns=wrapped)
    compact = {
        f"body.{number}.weight": (64,) if number % 2 else (64, 3 if number == 0 else 64, 3, 3) for number in range(35)
    }
    compact |= {f"body.{number}.bias": (64,) for number in range(0, 35, 2)}
    yield Case("Real-ESRGAN compact", compact, "upscaler", "", ("Real-ESRGAN compact",), turns=wrapped)
    span = {"block_1.c1_r.sk.weight": (48, 48, 1, 1), "conv_cat.weight": (48, 192, 1, 1), "upsampler.0.weight": (48, 48, 3, 3),
            "conv_1.sk.weight": (48, 3, 1, 1)}  # fmt: skip
    yield Case("SPAN", span, "upscaler", "", ("SPAN",), turns=wrapped)
    swin = {"conv_first.weight": (180, 3, 3, 3), "layers.0.residual_group.blocks.0.attn.relative_position_bias_table": (225, 6),
            "layers.0.residual_group.blocks.0.attn.relative_position_index": (64, 64), "norm.weight": (180,)}  # fmt: skip
    yield Case("SwinIR", swin, "upscaler", "", ("SwinIR",), turns=wrapped)
    swin2 = swin | {
        "patch_embed.proj.weight": (180, 180, 1, 1),
        "layers.0.residual_group.blocks.0.attn.logit_scale": (6, 1, 1),
    }
    yield Case("Swin2SR", swin2, "upscaler", "", ("Swin2SR",), True, turns=wrapped)
    hat = {"relative_position_index_SA": (256, 256), "conv_first.weight": (180, 3, 3, 3),
           "layers.0.residual_group.blocks.0.conv_block.cab.0.weight": (60, 180, 3, 3)}  # fmt: skip
    yield Case("HAT", hat, "upscaler", "", ("HAT",), True)
    yield Case("ATD", hat | {"layers.0.residual_group.td": (128, 210)}, "upscaler", "", ("ATD",), True)
    dat = {"conv_first.weight": (180, 3, 3, 3), "before_RG.1.weight": (180,), "layers.0.blocks.0.attn.attns.0.rpe_biases": (945, 2),
           "layers.0.blocks.0.ffn.fc1.weight": (720, 180), "norm.weight": (180,)}  # fmt: skip
    yield Case("DAT", dat, "upscaler", "", ("DAT",), turns=wrapped)
    rgt = {
        "before_RG.1.weight": (180,),
        "layers.0.blocks.0.gamma": (180,),
        "layers.0.blocks.0.attn.attns.0.rpe_biases": (945, 2),
    }
    yield Case("RGT", rgt, "upscaler", "", ("RGT",), True)
    for key, name in (
        ("layers.0.swin1.norm1.weight", "DRCT"), ("residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "OmniSR"),
        ("feats.1.lk.conv.weight", "PLKSR"), ("unet1.conv1.conv.0.weight", "Real-CUGAN"), ("feats.0.safm.mfr.0.weight", "SAFMN"),
        ("stylegan_decoder.style_mlp.1.weight", "GFPGAN"),
    ):  # fmt: skip
        yield Case(name, {key: (64,), "conv_first.weight": (64, 3, 3, 3)}, "upscaler", "", (name,), True)


def _nothing() -> Iterator[Case]:
    yield Case("an empty file", {}, "unknown")
    yield Case("somebody's classifier", {"layer1.0.conv1.weight": (64, 64, 3, 3), "fc.weight": (1000, 2048)}, "unknown")
    yield Case("one matrix", {"weight": (768, 768)}, "unknown")
    yield Case("a table of a thousand vectors", {"vectors": (1000, 768)}, "unknown")
    yield Case(
        "a speech model", {"encoder.conv1.weight": (512, 80, 3), "decoder.embed_tokens.weight": (51865, 512)}, "unknown"
    )
    yield Case("names in Chinese", {"模型.权重": (320, 768), "模型.偏置": (320,)}, "unknown")
