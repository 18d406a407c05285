# ruff: noqa: E501 (tables of names and shapes are long)
"""Cases: LoRAs of every form, algorithm and family, made for the layers that the published models have."""

from collections.abc import Callable, Iterable, Iterator

from engine.formats.flux_keys import DOUBLE, SINGLE
from engine.formats.sd_keys import single_file_names
from tests.headers.architectures import LDM, Shapes, built, clip, of, published, shortened
from tests.headers.cases import Case

RANK = 16
Factors = Callable[[str, tuple[int, ...]], Shapes]


def _kohya(name: str, weight: tuple[int, ...]) -> Shapes:
    outer, inner, *kernel = weight
    ones = (1,) * len(kernel)
    return {
        f"{name}.lora_down.weight": (RANK, inner, *kernel), f"{name}.lora_up.weight": (outer, RANK, *ones),
        f"{name}.alpha": (),
    }  # fmt: skip


def _peft(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.lora_A.weight": (RANK, weight[1], *weight[2:]), f"{name}.lora_B.weight": (weight[0], RANK)}


def _named(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.lora_A.default.weight": (RANK, weight[1]), f"{name}.lora_B.default.weight": (weight[0], RANK)}


def _old(name: str, weight: tuple[int, ...]) -> Shapes:
    if ".attn" not in name or ".to_" not in name:
        return {}
    path, _, layer = name.rpartition(".to_")
    begin = f"{path}.processor.to_{layer.removesuffix('.0')}_lora"
    return {f"{begin}.down.weight": (RANK, weight[1]), f"{begin}.up.weight": (weight[0], RANK)}


def _loha(name: str, weight: tuple[int, ...]) -> Shapes:
    halves = {f"{name}.hada_w{each}_a": (weight[0], RANK) for each in "12"}
    return halves | {f"{name}.hada_w{each}_b": (RANK, weight[1]) for each in "12"} | {f"{name}.alpha": ()}


def _lokr(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.lokr_w1": (8, 8), f"{name}.lokr_w2": (weight[0] // 8, weight[1] // 8), f"{name}.alpha": ()}


def _lokr_split(name: str, weight: tuple[int, ...]) -> Shapes:
    return {
        f"{name}.lokr_w1": (4, 4), f"{name}.lokr_w2_a": (weight[0] // 4, RANK), f"{name}.lokr_w2_b": (RANK, weight[1] // 4),
        f"{name}.alpha": (),
    }  # fmt: skip


def _dora(name: str, weight: tuple[int, ...]) -> Shapes:
    return _kohya(name, weight) | {f"{name}.dora_scale": (1, weight[1])}


def _full(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.diff": weight}


def _oft(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.oft_blocks": (4, weight[0] // 4, weight[0] // 4), f"{name}.alpha": ()}


def _flat(prefix: str) -> Callable[[str], str]:
    return lambda path: prefix + path.replace(".", "_")


def _dotted(prefix: str) -> Callable[[str], str]:
    return lambda path: prefix + path


def changed(paths: Iterable[tuple[str, tuple[int, ...]]], name: Callable[[str], str], factors: Factors) -> Shapes:
    """The tensors of a LoRA that changes these layers."""
    found: Shapes = {}
    for path, weight in paths:
        found |= factors(name(path), weight)
    return found


def layers(shapes: Shapes, *words: str, without: tuple[str, ...] = ()) -> list[tuple[str, tuple[int, ...]]]:
    """The layers with one of the words in their names, and the shapes of their weights."""
    return [
        (name.removesuffix(".weight"), shape)
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) in (2, 4) and any(word in name for word in words)
        and not any(word in name for word in without)
    ]  # fmt: skip


def _original(family: str) -> Callable[[str], str]:
    names = single_file_names("unet", published(family, "unet"))
    return lambda path: (
        "lora_unet_" + names[f"{path}.weight"].removeprefix(LDM).removesuffix(".weight").replace(".", "_")
    )


def adapters() -> Iterator[Case]:
    """All of them."""
    yield from _of_unets()
    yield from _of_parts()
    yield from _of_text_encoders()
    yield from _of_flux()
    yield from _of_others()


_ATTENTION = ("attentions",)
_FORMS: dict[str, tuple[Callable[[str], str], Factors, tuple[str, ...]]] = {
    "kohya": (_flat("lora_unet_"), _kohya, ()),
    "kohya DoRA": (_flat("lora_unet_"), _dora, ("DoRA",)),
    "LyCORIS LoHa": (_flat("lora_unet_"), _loha, ("LoHa",)),
    "LyCORIS LoKr": (_flat("lora_unet_"), _lokr, ("LoKr",)),
    "LyCORIS LoKr of three": (_flat("lycoris_"), _lokr_split, ("LoKr",)),
    "full difference": (_flat("lora_unet_"), _full, ("full difference",)),
    "PEFT": (_dotted("unet."), _peft, ()),
    "PEFT of a whole model": (_dotted("base_model.model."), _peft, ()),
    "PEFT, bare": (_dotted(""), _peft, ()),
    "PEFT, named": (_dotted("unet."), _named, ()),
    "diffusers of 2023": (_dotted("unet."), _old, ()),
    "OneTrainer": (_dotted("diffusion_model."), _kohya, ()),
}


def _of_unets() -> Iterator[Case]:
    for family in ("sd1", "sd2", "sdxl", "sdxl-refiner"):
        of_attention = [each for each in layers(of(family, "unet"), *_ATTENTION) if len(each[1]) == 2]
        for label, (name, factors, variants) in _FORMS.items():
            shapes = changed(of_attention, name, factors)
            yield Case(f"{family} LoRA, {label}", shapes, "lora", family, variants)
        yield Case(f"{family} LoRA, original names", changed(of_attention, _original(family), _kohya), "lora", family)
    whole = layers(of("sd1", "unet"), "attentions", "resnets", "samplers")
    yield Case("sd1 LoCon", changed(whole, _flat("lora_unet_"), _kohya), "lora", "sd1")
    crossing = layers(of("sdxl", "unet"), "attn2.to_k", "attn2.to_v")
    yield Case("sdxl LoRA of cross-attention alone", changed(crossing, _original("sdxl"), _kohya), "lora", "sdxl")
    lcm = changed(layers(of("sdxl", "unet"), *_ATTENTION), _flat("lora_unet_"), _kohya)
    yield Case("LCM-LoRA for XL", lcm, "lora", "sdxl", name="lcm-lora-sdxl")
    bundle = {"bundle_emb.mine.clip_l": (4, 768), "bundle_emb.mine.clip_g": (4, 1280)}
    yield Case("sdxl LoRA with an embedding", lcm | bundle, "lora", "sdxl", ("with embeddings",))
    other = changed(layers(of("sd1", "unet", cross_attention_dim=1152), "attn2.to_k"), _flat("lora_unet_"), _kohya)
    yield Case("LoRA for a U-Net of a width that nobody knows", other, "lora")


def _of_parts() -> Iterator[Case]:
    """LoRAs that do not change what reads the prompt."""
    for family in ("sd1", "sd2", "sdxl", "sdxl-refiner"):
        own = layers(of(family, "unet"), "attn1")
        asks = ("family",) if family in ("sd1", "sd2") else ()
        yield Case(
            f"{family} LoRA of self-attention alone",
            changed(own, _flat("lora_unet_"), _kohya),
            "lora",
            "" if asks else family,
            asks=asks,
        )
    for family in ("sd1", "sd2"):
        own = layers(of(family, "unet"), "attn1", "proj_in")
        yield Case(
            f"{family} LoRA of self-attention and what enters it",
            changed(own, _flat("lora_unet_"), _kohya),
            "lora",
            family,
        )
    own = layers(of("sdxl", "unet"), "attn1")
    yield Case("sdxl LoRA of self-attention, original names", changed(own, _original("sdxl"), _kohya), "lora", "sdxl")
    convolutions = layers(of("sdxl", "unet"), "resnets.0.conv1")
    yield Case(
        "LoRA of convolutions alone", changed(convolutions, _flat("lora_unet_"), _kohya), "lora", asks=("family",)
    )
    said = {"ss_base_model_version": "sdxl_base_v1-0"}
    yield Case(
        "the same, with metadata", changed(convolutions, _flat("lora_unet_"), _kohya), "lora", "sdxl", metadata=said
    )
    said = {"modelspec.architecture": "stable-diffusion-v1/lora"}
    own = layers(of("sd1", "unet"), "attn1")
    yield Case(
        "sd1 LoRA of self-attention, with metadata",
        changed(own, _flat("lora_unet_"), _kohya),
        "lora",
        "sd1",
        metadata=said,
    )
    crossing = layers(of("sdxl", "unet"), "attn2.to_k")
    yield Case(
        "sdxl LoRA whose metadata lie", changed(crossing, _flat("lora_unet_"), _kohya), "lora", "sdxl", metadata=said
    )
    yield Case(
        "sdxl OFT",
        changed(layers(of("sdxl", "unet"), "attn1", "attn2"), _flat("lora_unet_"), _oft),
        "lora",
        asks=("family",),
    )


def _of_text_encoders() -> Iterator[Case]:
    small = layers(clip(768, 12), "self_attn", "mlp")
    wide = layers(clip(1024, 23), "self_attn", "mlp")
    large = layers(clip(1280, 32), "self_attn", "mlp")
    said = ("changes the text encoder",)
    yield Case("sd1 LoRA of the text encoder alone", changed(small, _flat("lora_te_"), _kohya), "lora", "sd1", said)
    yield Case("sd2 LoRA of the text encoder alone", changed(wide, _flat("lora_te_"), _kohya), "lora", "sd2", said)
    both = changed(small, _flat("lora_te1_"), _kohya) | changed(large, _flat("lora_te2_"), _kohya)
    yield Case("LoRA of two text encoders alone", both, "lora", "", said, asks=("family",))
    yield Case("LoRA of CLIP-L alone", changed(small, _dotted("text_encoder."), _peft), "lora", "", asks=("family",))
    crossing = changed(layers(of("sdxl", "unet"), *_ATTENTION), _flat("lora_unet_"), _kohya)
    yield Case("sdxl LoRA, kohya, whole", crossing | both, "lora", "sdxl", said)
    crossing = changed(layers(of("sd1", "unet"), *_ATTENTION), _flat("lora_unet_"), _kohya)
    yield Case("sd1 LoRA, kohya, whole", crossing | changed(small, _flat("lora_te_"), _kohya), "lora", "sd1", said)
    old = {name.replace("_proj.", "_proj.lora_linear_layer.").replace("lora_down", "down").replace("lora_up", "up"): shape
           for name, shape in changed(small, _dotted("text_encoder."), _kohya).items() if "alpha" not in name}  # fmt: skip
    unet = changed(layers(of("sd1", "unet"), "attn1", "attn2"), _dotted("unet."), _old)
    yield Case("sd1 LoRA, diffusers of 2023, whole", unet | old, "lora", "sd1", said)
    t5 = {"lora_te2_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight": (RANK, 4096),
          "lora_te2_encoder_block_0_layer_0_SelfAttention_q.lora_up.weight": (4096, RANK)}  # fmt: skip
    yield Case("LoRA of FLUX.1's T5", t5, "lora", "flux", said)


def _flux_layers(*parts: str) -> list[tuple[str, tuple[int, ...]]]:
    """Of FLUX.1's transformer, under its authors' names."""
    theirs = of("flux", "transformer")
    found: list[tuple[str, tuple[int, ...]]] = []
    for side, table, outer, blocks in (("double", DOUBLE, "", 19), ("single", SINGLE, "single_", 38)):
        for number in range(blocks):
            for original, ours in table.items():
                whole = [theirs[f"{outer}transformer_blocks.{number}.{each}.weight"] for each in ours]
                path = f"{side}_blocks.{number}.{original}"
                if not parts or any(part in path for part in parts):
                    found.append((path, (sum(shape[0] for shape in whole), whole[0][1])))
    return found


def _of_flux() -> Iterator[Case]:
    everything, ours = _flux_layers(), layers(of("flux", "transformer"), "transformer_blocks")
    yield Case("FLUX.1 LoRA, kohya", changed(everything, _flat("lora_unet_"), _kohya), "lora", "flux")
    attention = _flux_layers("attn", "linear1", "linear2")
    yield Case("FLUX.1 LoRA, kohya, attention", changed(attention, _flat("lora_unet_"), _kohya), "lora", "flux")
    yield Case("FLUX.1 LoRA, ai-toolkit", changed(attention, _dotted("diffusion_model."), _peft), "lora", "flux")
    yield Case("FLUX.1 LoKr", changed(everything, _flat("lycoris_"), _lokr), "lora", "flux", ("LoKr",))
    yield Case("FLUX.1 LoRA, diffusers", changed(ours, _dotted("transformer."), _peft), "lora", "flux")
    yield Case("FLUX.1 LoRA, PEFT", changed(ours, _dotted("base_model.model."), _peft), "lora", "flux")
    yield Case("FLUX.1 LoRA, OneTrainer", changed(ours, _flat("lora_transformer_"), _kohya), "lora", "flux")
    xlabs = {f"double_blocks.{number}.processor.{part}_lora{stream}.{side}.weight": (RANK, 3072) if side == "down" else (3072, RANK)
             for number in range(19) for part in ("qkv", "proj") for stream in "12" for side in ("down", "up")}  # fmt: skip
    yield Case("FLUX.1 LoRA, XLabs", xlabs, "lora", "flux")
    control = changed([("img_in", (3072, 128)), *everything], _dotted(""), _peft)
    yield Case("FLUX.1 control LoRA", control, "lora", "flux", ("control",), True)
    few = [each for each in attention if each[0].startswith(("double_blocks.3.img_attn", "single_blocks.7."))]
    yield Case("LoRA of two blocks of some FLUX", changed(few, _flat("lora_unet_"), _kohya), "lora", asks=("family",))
    said = {"modelspec.architecture": "flux-1-dev/lora"}
    yield Case(
        "the same, with metadata of FLUX.1", changed(few, _flat("lora_unet_"), _kohya), "lora", "flux", metadata=said
    )
    yield Case(
        "FLUX.1 LoRA that is called Chroma",
        changed(attention, _flat("lora_unet_"), _kohya),
        "lora",
        asks=("family",),
        name="chroma-v3",
    )
    hunyuan = [(path.replace("img_mlp.0", "img_mlp.fc1"), shape) for path, shape in everything]
    yield Case(
        "Hunyuan Video LoRA", changed(hunyuan, _flat("lora_unet_"), _kohya), "lora", "Hunyuan Video", refused=True
    )
    more = [*attention, ("double_blocks.19.img_attn.qkv", (9216, 3072)), ("single_blocks.39.linear1", (21504, 3072))]
    yield Case(
        "Hunyuan Video LoRA, attention",
        changed(more, _flat("lora_unet_"), _kohya),
        "lora",
        "Hunyuan Video",
        refused=True,
    )
    for hidden, label in ((4096, "klein 9B"), (6144, "dev")):
        wider = [
            (f"double_blocks.{number}.img_attn.{each}", (hidden, hidden))
            for number in range(8)
            for each in ("qkv", "proj")
        ]
        yield Case(
            f"FLUX.2 {label} LoRA", changed(wider, _dotted("diffusion_model."), _peft), "lora", "FLUX.2", refused=True
        )
    klein = [("double_blocks.0.img_attn.proj", (3072, 3072)), ("double_blocks.0.img_mlp.0", (18432, 3072))]
    yield Case(
        "FLUX.2 klein 4B LoRA", changed(klein, _dotted("diffusion_model."), _peft), "lora", "FLUX.2", refused=True
    )
    reads = [("txt_in", (3072, 7680)), ("double_blocks.0.img_attn.proj", (3072, 3072))]
    yield Case(
        "FLUX.2 klein LoRA with its entry", changed(reads, _flat("lora_unet_"), _kohya), "lora", "FLUX.2", refused=True
    )


def _of_others() -> Iterator[Case]:
    medium = layers(of("sd3", "transformer"), "transformer_blocks")
    yield Case("SD3 LoRA, diffusers", changed(medium, _dotted("transformer."), _peft), "lora", "sd3")
    plain = [each for each in medium if each[0].endswith(("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"))]
    yield Case("SD3 LoRA of the picture's stream", changed(plain, _dotted("transformer."), _peft), "lora", "sd3")
    joint = [
        (f"joint_blocks.{number}.{each}_block.attn.qkv", (4608, 1536))
        for number in range(23)
        for each in ("context", "x")
    ]
    yield Case("SD3 LoRA, kohya", changed(joint, _flat("lora_unet_"), _kohya), "lora", "sd3")
    for label, class_name, words, prefix in (
        ("Qwen-Image", "QwenImageTransformer2DModel", ("attn", "img_mlp", "img_mod"), "transformer."),
        ("Z-Image", "ZImageTransformer2DModel", ("layers.",), "diffusion_model."),
        ("Lumina 2", "Lumina2Transformer2DModel", ("layers.",), "transformer."),
        ("Mochi", "MochiTransformer3DModel", ("attn1",), "transformer."),
        ("PixArt", "PixArtTransformer2DModel", ("attn1", "attn2"), "transformer."),
        ("Sana", "SanaTransformer2DModel", ("attn1", "attn2"), "transformer."),
        ("AuraFlow", "AuraFlowTransformer2DModel", ("attn",), "transformer."),
        ("Kandinsky", "Kandinsky5Transformer3DModel", ("visual_transformer_blocks",), "transformer."),
        ("FLUX.2", "Flux2Transformer2DModel", ("attn", "ff"), "transformer."),
    ):
        own = [each for each in layers(shortened(class_name), *words) if len(each[1]) == 2]
        yield Case(
            f"{label} LoRA, diffusers",
            changed(own, _dotted(prefix), _peft),
            "lora",
            label,
            refused=True,
        )
    added = [
        (f"transformer_blocks.{number}.attn.add_{each}_proj", (3072, 3072)) for number in range(10) for each in "qkv"
    ]
    yield Case(
        "LoRA of the prompt's stream, 3072 wide",
        changed(added, _dotted("transformer."), _peft),
        "lora",
        asks=("family",),
    )
    wan = [
        (f"blocks.{number}.{kind}.{each}", (1536, 1536))
        for number in range(30)
        for kind in ("self_attn", "cross_attn")
        for each in "qkvo"
    ]
    yield Case("Wan LoRA", changed(wan, _dotted("diffusion_model."), _peft), "lora", "Wan", refused=True)
    yield Case("Wan LoRA, kohya", changed(wan, _flat("lora_unet_"), _kohya), "lora", "Wan", refused=True)
    ours = layers(built("WanTransformer3DModel", num_attention_heads=12, num_layers=2, ffn_dim=8960), "attn1", "attn2")
    yield Case("Wan LoRA, diffusers", changed(ours, _dotted("transformer."), _peft), "lora")
    z = [
        (f"layers.{number}.attention.{each}", (3840, 3840)) for number in range(30) for each in ("to_q", "to_k", "to_v")
    ]
    yield Case("Z-Image LoRA", changed(z, _dotted("diffusion_model."), _peft), "lora", "Z-Image", refused=True)
    ltx = layers(shortened("LTXVideoTransformer3DModel"), "attn1", "attn2")
    yield Case("LTX-Video LoRA", changed(ltx, _dotted("transformer."), _peft), "lora")
    motion = layers(built("MotionAdapter"), "to_q", "to_k")
    yield Case("AnimateDiff motion LoRA", changed(motion, _dotted(""), _peft), "lora", "AnimateDiff", refused=True)
    cosmos = [(f"blocks.{number}.cross_attn.{each}_proj", (2048, 1024)) for number in range(28) for each in "qk"]
    yield Case("Cosmos LoRA", changed(cosmos, _dotted("diffusion_model."), _peft), "lora", "Cosmos", refused=True)
    dream = [(f"double_stream_blocks.{number}.block.attn1.to_q", (2560, 2560)) for number in range(16)]
    yield Case("HiDream LoRA", changed(dream, _dotted("diffusion_model."), _peft), "lora", "HiDream", refused=True)
    cascade = [("down_blocks.0.2.attention.attn.to_k", (2048, 2048))]
    yield Case(
        "Stable Cascade LoRA",
        changed(cascade, _flat("lora_prior_unet_"), _kohya),
        "lora",
        "Stable Cascade",
        refused=True,
    )
