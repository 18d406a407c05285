# ruff: noqa: E501 (tables of names and shapes are long)
"""Cases: checkpoints and denoisers of the families that Easel runs, in the forms they are found in."""

from collections.abc import Iterator

from tests.headers.architectures import LDM, Shapes, checkpoint, clip, flux, ldm_unet, ldm_vae, of, sd3, t5, under
from tests.headers.cases import Case

BARE = ("", LDM, "model.", "net.", "diffusion_model.", "module.", "unet.")
TRANSFORMER = ("", LDM, "model.", "net.", "diffusion_model.", "transformer.")
_STEPS = ("few steps",)
_XL = ("base model", "few steps")


def _bare(shapes: Shapes, prefix: str = LDM) -> Shapes:
    return {name.removeprefix(prefix): shape for name, shape in shapes.items()}


def models() -> Iterator[Case]:
    """All of them."""
    yield from _sd1()
    yield from _sd2()
    yield from _xl()
    yield from _said()
    yield from _packed()
    yield from _sd3()
    yield from _flux()


def _sd1() -> Iterator[Case]:
    whole = checkpoint("sd1")
    yield Case("SD 1.5 checkpoint", whole, "checkpoint", "sd1", asks=_STEPS)
    old = {name.replace("transformer.text_model.", "transformer."): shape for name, shape in whole.items()}
    yield Case("SD 1.4 checkpoint of 2022", old, "checkpoint", "sd1", asks=_STEPS)
    yield Case("SD 1.5 with its training state", under("state_dict.", whole), "checkpoint", "sd1", asks=_STEPS)
    averages = {f"model_ema.diffusion_model{name.removeprefix(LDM).replace('.', '')}": shape
                for name, shape in whole.items() if name.startswith(LDM)}  # fmt: skip
    yield Case("SD 1.5 with moving averages", whole | averages, "checkpoint", "sd1", asks=_STEPS)
    rest = {name: shape for name, shape in whole.items() if not name.startswith(LDM)}
    yield Case(
        "SD 1.5, moving averages only", rest | averages, "checkpoint", "sd1", ("moving averages only",), asks=_STEPS
    )
    yield Case("SD 1.5 inpainting", checkpoint("sd1", in_channels=9), "checkpoint", "sd1", ("inpaint",))
    pix2pix = checkpoint("sd1", in_channels=8)
    yield Case("InstructPix2Pix", pix2pix, "checkpoint", "sd1", ("reads a second picture",), True)
    no_vae = {name: shape for name, shape in whole.items() if not name.startswith("first_stage_model.")}
    yield Case("SD 1.5 without VAE", no_vae, "checkpoint", "sd1", ("no VAE",), asks=_STEPS)
    no_text = {name: shape for name, shape in whole.items() if not name.startswith("cond_stage_model.")}
    yield Case("SD 1.5 without text encoder", no_text, "checkpoint", "sd1", ("no text encoder",), asks=_STEPS)
    stray = {"lora_unet_mid_block_attentions_0_proj_in.alpha": (), "lora_te_x.lora_down.weight": (8, 768)}
    yield Case("SD 1.5 with stray LoRA keys", whole | stray, "checkpoint", "sd1", asks=_STEPS)
    yield Case("SD 1.5 U-Net, original names", _bare(ldm_unet("sd1")), "denoiser", "sd1", asks=_STEPS, turns=BARE)
    yield Case("SD 1.5 U-Net, diffusers names", of("sd1", "unet"), "denoiser", "sd1", asks=_STEPS, turns=BARE)
    painting = of("sd1", "unet", in_channels=9)
    yield Case("SD 1.5 inpainting U-Net", painting, "denoiser", "sd1", ("inpaint",), turns=BARE)
    lcm = of("sd1", "unet", time_cond_proj_dim=256)
    yield Case("LCM Dreamshaper U-Net", lcm, "denoiser", "sd1", ("few steps: LCM", "reads guidance"), turns=BARE)
    small = of("sd1", "unet", layers_per_block=1, mid_block_type=None)
    yield Case("BK-SDM-Tiny-like U-Net", small, "denoiser", "sd1", ("fewer blocks",), asks=_STEPS)
    whole_diffusers = (
        under("unet.", of("sd1", "unet")) | under("vae.", of("sd1", "vae")) | under("text_encoder.", clip(768, 12))
    )
    yield Case("SD 1.5, diffusers' parts in one file", whole_diffusers, "checkpoint", "sd1", asks=_STEPS)
    yield Case(
        "SD 1.5 fine-tune for v", whole, "checkpoint", "sd1", asks=("few steps", "prediction"), name="my-vpred-v2"
    )


def _sd2() -> Iterator[Case]:
    whole = checkpoint("sd2")
    asks = ("prediction",)
    yield Case("SD 2.1 checkpoint", whole, "checkpoint", "sd2", asks=asks)
    said = {"modelspec.architecture": "stable-diffusion-v2-768-v"}
    yield Case("SD 2.1 768 that says v", whole, "checkpoint", "sd2", ("v-prediction",), metadata=said)
    said = {"modelspec.prediction_type": "epsilon"}
    yield Case("SD 2.1 base that says epsilon", whole, "checkpoint", "sd2", ("epsilon",), metadata=said)
    yield Case("SD 2 inpainting", checkpoint("sd2", in_channels=9), "checkpoint", "sd2", ("inpaint",), asks=asks)
    depth = checkpoint("sd2", in_channels=5) | {"depth_model.model.pretrained.model.cls_token": (1, 1, 768)}
    yield Case("SD 2 depth", depth, "checkpoint", "sd2", ("depth",), True)
    for width, label in ((1536, "L"), (2048, "H")):
        adds = {f"{LDM}label_emb.0.0.weight": (1280, width), f"{LDM}label_emb.0.0.bias": (1280,)}
        yield Case(f"SD 2.1 unCLIP {label}", whole | adds, "checkpoint", "sd2", ("unCLIP",), True)
    uncliped = of("sd2", "unet", class_embed_type="projection", projection_class_embeddings_input_dim=2048)
    yield Case("SD 2.1 unCLIP U-Net, diffusers names", uncliped, "denoiser", "sd2", ("unCLIP",), True)
    yield Case("SD 2.1 U-Net, original names", _bare(ldm_unet("sd2")), "denoiser", "sd2", asks=asks, turns=BARE)
    yield Case("SD 2.1 U-Net, diffusers names", of("sd2", "unet"), "denoiser", "sd2", asks=asks, turns=BARE)
    yield Case("Marigold U-Net", of("sd2", "unet", in_channels=8), "denoiser", "sd2", ("reads a second picture",), True)
    x4 = of(
        "sd2", "unet", in_channels=7, block_out_channels=[256, 512, 512, 1024], num_class_embeds=1000,
        down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3, attention_head_dim=8,
        up_block_types=["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"],
    )  # fmt: skip
    yield Case("SD x4 upscaler U-Net", x4, "denoiser", "sd2", ("x4 upscaler",), True)


def _xl() -> Iterator[Case]:
    whole = checkpoint("sdxl")
    yield Case("SDXL checkpoint", whole, "checkpoint", "sdxl", asks=_XL)
    yield Case(
        "SDXL inpainting", checkpoint("sdxl", in_channels=9), "checkpoint", "sdxl", ("inpaint",), asks=("base model",)
    )
    edits = checkpoint("sdxl", in_channels=8)
    yield Case("SDXL InstructPix2Pix", edits, "checkpoint", "sdxl", ("reads a second picture",), True)
    marked = whole | {"v_pred": (), "ztsnr": ()}
    yield Case(
        "NoobAI v-prediction, marked", marked, "checkpoint", "sdxl", ("v-prediction", "zero terminal SNR"), asks=_XL
    )
    yield Case(
        "NoobAI v-prediction, by its name",
        whole,
        "checkpoint",
        "sdxl",
        asks=(*_XL, "prediction"),
        name="noobai-vPred-1.0",
    )
    yield Case("SDXL Lightning, by its name", whole, "checkpoint", "sdxl", asks=_XL, name="dreamshaperXL_lightning")
    yield Case(
        "Playground 2.5",
        whole | {"edm_mean": (1, 4, 1, 1), "edm_std": (1, 4, 1, 1)},
        "checkpoint",
        "Playground 2.5",
        refused=True,
    )
    cos = whole | {"edm_vpred.sigma_max": (), "edm_vpred.sigma_min": ()}
    yield Case("CosXL", cos, "checkpoint", "CosXL", refused=True)
    yield Case("SDXL refiner checkpoint", checkpoint("sdxl-refiner"), "checkpoint", "sdxl-refiner")
    yield Case(
        "SDXL refiner U-Net, diffusers names", of("sdxl-refiner", "unet"), "denoiser", "sdxl-refiner", turns=BARE
    )
    yield Case("SDXL U-Net, original names", _bare(ldm_unet("sdxl")), "denoiser", "sdxl", asks=_XL, turns=BARE)
    yield Case("SDXL U-Net, diffusers names", of("sdxl", "unet"), "denoiser", "sdxl", asks=_XL, turns=BARE)
    lcm = of("sdxl", "unet", time_cond_proj_dim=256)
    yield Case("LCM-SDXL U-Net", lcm, "denoiser", "sdxl", ("few steps: LCM",), asks=("base model",))
    for depths, label in (
        ([1, 2, 4], "SSD-1B"),
        ([1, 1, 2], "Segmind Vega"),
        ([1, 2, 5], "KOALA-700M"),
        ([1, 2, 6], "KOALA-1B"),
    ):
        smaller = of("sdxl", "unet", transformer_layers_per_block=depths, mid_block_type=None)
        yield Case(f"{label} U-Net", smaller, "denoiser", "sdxl", (label,), asks=_XL)


def _said() -> Iterator[Case]:
    """What the header leaves open, and metadata tell."""
    whole = checkpoint("sdxl")
    for base, line in (
        ("Pony Diffusion V6 XL", "Pony"),
        ("Illustrious-XL-v1.0", "Illustrious"),
        ("NoobAI-XL", "NoobAI"),
    ):
        said = {
            "modelspec.architecture": "stable-diffusion-xl-v1-base",
            "ss_sd_model_name": base,
            "modelspec.title": "Mine",
        }
        yield Case(f"SDXL trained on from {line}", whole, "checkpoint", "sdxl", (line,), asks=_STEPS, metadata=said)
    said = {"modelspec.architecture": "stable-diffusion-xl-v1-base", "modelspec.title": "Mine Lightning 4 steps"}
    yield Case("SDXL Lightning, by its metadata", whole, "checkpoint", "sdxl", ("few steps: Lightning",), metadata=said)
    lies = {"modelspec.architecture": "stable-diffusion-v1"}
    yield Case("SDXL whose metadata lie", whole, "checkpoint", "sdxl", asks=_XL, metadata=lies)


def _packed() -> Iterator[Case]:
    whole = checkpoint("sdxl")
    yield Case("SDXL in fp8", whole, "checkpoint", "sdxl", ("fp8",), asks=_XL, dtype="F8_E4M3")
    yield Case("SD 1.5 in fp32", checkpoint("sd1"), "checkpoint", "sd1", asks=_STEPS, dtype="F32")
    shapes = flux()
    scaled = shapes | {"scaled_fp8": (2,)} | {
        f"{name[:-7]}.scale_weight": () for name, shape in shapes.items() if len(shape) == 2 and name.endswith(".weight")
    }  # fmt: skip
    yield Case(
        "FLUX.1 dev in scaled fp8",
        scaled,
        "denoiser",
        "flux",
        ("dev", "scaled fp8"),
        dtype="F8_E4M3",
        turns=TRANSFORMER,
    )
    for channels, variant, refused in ((64, "dev", False), (384, "fill", True)):
        packed, dtypes = _nf4(flux(channels=channels))
        yield Case(f"FLUX.1 {variant} in nf4", packed, "denoiser", "flux", (variant, "nf4"), refused, dtypes=dtypes)


def _nf4(shapes: Shapes) -> tuple[Shapes, dict[str, str]]:
    """As bitsandbytes packs linear layers: two numbers a byte, in one column."""
    packed: Shapes = {}
    dtypes: dict[str, str] = {}
    for name, shape in shapes.items():
        if len(shape) == 2 and name.endswith(".weight"):
            packed[name] = (shape[0] * shape[1] // 2, 1)
            packed[f"{name}.absmax"] = (shape[0] * shape[1] // 64,)
            packed[f"{name}.quant_state.bitsandbytes__nf4"] = (90,)
            dtypes[name] = dtypes[f"{name}.quant_state.bitsandbytes__nf4"] = "U8"
        else:
            packed[name] = shape
    return packed, dtypes


def _sd3() -> Iterator[Case]:
    medium, medium35 = sd3(1536, 24, 36864), sd3(1536, 24, 147456, 13)
    large = sd3(2432, 38, 36864, 0)
    yield Case("SD3 medium", medium, "denoiser", "sd3", ("3 medium",), turns=TRANSFORMER)
    yield Case("SD3.5 medium", medium35, "denoiser", "sd3", ("3.5 medium",), turns=TRANSFORMER)
    yield Case("SD3.5 large", large, "denoiser", "sd3", ("3.5 large",), asks=_STEPS, turns=TRANSFORMER)
    texts = under("text_encoders.clip_l.transformer.", clip(768, 12)) | under(
        "text_encoders.clip_g.transformer.", clip(1280, 32)
    )
    whole = under(LDM, medium) | ldm_vae("sd3") | texts
    yield Case("SD3 medium with CLIP", whole, "checkpoint", "sd3", ("3 medium", "with CLIP"))
    with_t5 = whole | under("text_encoders.t5xxl.transformer.", t5())
    yield Case("SD3 medium with CLIP and T5", with_t5, "checkpoint", "sd3", ("with CLIP", "with T5"))
    yield Case(
        "SD3 medium, diffusers names", of("sd3", "transformer"), "denoiser", "sd3", ("3 medium",), turns=TRANSFORMER
    )
    deeper = of("sd3", "transformer", pos_embed_max_size=384, dual_attention_layers=list(range(13)), qk_norm="rms_norm")
    yield Case("SD3.5 medium, diffusers names", deeper, "denoiser", "sd3", ("3.5 medium",), turns=TRANSFORMER)
    wide = of(
        "sd3", "transformer", num_layers=38, num_attention_heads=38, caption_projection_dim=2432, qk_norm="rms_norm"
    )
    yield Case("SD3.5 large, diffusers names", wide, "denoiser", "sd3", ("3.5 large",), asks=_STEPS, turns=TRANSFORMER)


def _flux() -> Iterator[Case]:
    for guided, variant in ((True, "dev"), (False, "schnell")):
        for norm in ("scale", "weight"):
            shapes = flux(guided, norm=norm)
            yield Case(f"FLUX.1 {variant} ({norm})", shapes, "denoiser", "flux", (variant,), turns=TRANSFORMER)
        ours = of("flux", "transformer", guidance_embeds=guided)
        yield Case(f"FLUX.1 {variant}, diffusers names", ours, "denoiser", "flux", (variant,), turns=TRANSFORMER)
    yield Case("FLUX.1 fill", flux(channels=384), "denoiser", "flux", ("fill",), True, turns=TRANSFORMER)
    yield Case("FLUX.1 depth or canny", flux(channels=128), "denoiser", "flux", ("control",), True, turns=TRANSFORMER)
    yield Case("FLUX.1 lite", flux(blocks=8), "denoiser", "flux", ("dev", "fewer blocks"), turns=TRANSFORMER)
    texts = under("text_encoders.clip_l.transformer.", clip(768, 12)) | under("text_encoders.t5xxl.transformer.", t5())
    whole = (
        under(LDM, flux())
        | under("vae.", {name.removeprefix("first_stage_model."): shape for name, shape in ldm_vae("flux").items()})
        | texts
    )
    yield Case("FLUX.1 dev checkpoint", whole, "checkpoint", "flux", ("dev", "with CLIP", "with T5"))
