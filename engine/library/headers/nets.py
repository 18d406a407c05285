"""What steers a picture: ControlNets, T2I-Adapters and IP-Adapters, and the models that they are made for.

Names: diffusers' `models/controlnets` and `models/adapter.py`; https://github.com/lllyasviel/ControlNet,
`cldm/cldm.py`; https://github.com/kohya-ss/sd-scripts, `networks/control_net_lllite.py`;
https://github.com/tencent-ailab/IP-Adapter.
"""

from collections.abc import Iterator

from engine.library.guess import Guess
from engine.library.headers.foreign import LABELS
from engine.library.headers.signs import FLUX, SD1, SD2, SD3, XL, Look, Match, Shape, Sign, guess, refusal, what

_ROOTS = ("", "control_model.", "controlnet.", "model.control_model.", "module.")
_CROSS = "transformer_blocks.0.attn2.to_k.weight"
_LDM = {"zero_convs.0.0.weight": (), "input_hint_block.0.weight": ()}
_DIFFUSERS: dict[str, Shape] = {"controlnet_cond_embedding.conv_in.weight": ()}
_UNION = "control_add_embedding.linear_1.bias"
_DIFFERENCE = "a ControlNet that is stored as the difference from its base model, which it needs beside it"


def guess_net(look: Look) -> Guess | None:
    """A ControlNet, or something like one, or an adapter that reads a picture."""
    if look.begins("lllite_"):
        return _lllite(look)
    if "lora_controlnet" in look.tensors:
        return _control_lora(look)
    found = look.match(_CONTROLNETS, _ROOTS) or look.match(_ADAPTERS, ("",))
    if found is None:
        return None
    return guess(look, found, tuple(_variants(look, found)))


def _controlnets() -> Iterator[Sign]:
    for label, has in _FOREIGN:
        yield Sign("controlnet", label, has, refused=LABELS[label])
    yield Sign("controlnet", "", {"ctrl_conv_in.weight": ()}, refused="a ControlNet-XS, which runs inside its model")
    crossing = {"input_blocks.1.1." + _CROSS: 320, "down_blocks.0.attentions.0." + _CROSS: 320}
    for (name, width), form in zip(crossing.items(), (_LDM, _DIFFUSERS), strict=True):
        for family, reads in ((SD1, 768), (SD2, 1024)):
            if form is _LDM:
                has = {name: (width, reads), **form}
                yield Sign("controlnet", family, has | {"difference": ()}, (), ("difference",), _DIFFERENCE)
            yield Sign("controlnet", family, {name: (width, reads), **form})
    yield Sign("controlnet", XL, {"label_emb.0.0.weight": (1280, 2816), **_LDM})
    yield Sign("controlnet", XL, {_UNION: (1280,), "task_embedding": (320,), **_DIFFUSERS}, (), ("union",))
    yield Sign("controlnet", XL, {"add_embedding.linear_1.weight": (1280, 2816), **_DIFFUSERS})
    yield from _of_transformers()


def _of_transformers() -> Iterator[Sign]:
    begins: dict[str, Shape] = {"controlnet_blocks.0.weight": ()}
    original = "in the form of its original code, which diffusers' is not"
    no_flux, no_sd3 = (f"{what('controlnet', family)} {original}" for family in (FLUX, SD3))
    instant: dict[str, Shape] = {"controlnet_x_embedder.weight": (3072, 64), "context_embedder.weight": (3072, 4096)}
    union: dict[str, Shape] = {"controlnet_mode_embedder.weight": ()}
    yield Sign("controlnet", FLUX, union | instant | begins, (), ("union",))
    yield Sign("controlnet", FLUX, instant | begins)
    yield Sign("controlnet", FLUX, {"txt_in.weight": (3072, 4096)} | begins, refused=no_flux)
    yield Sign("controlnet", FLUX, {"controlnet_blocks.0.linear.weight": (3072, 3072)}, refused=no_flux)
    for width in (1536, 2432):
        wide: dict[str, Shape] = {"controlnet_blocks.0.weight": (width, width)}
        enters, alone = "pos_embed_input.proj.weight", "a ControlNet for inpainting alone"
        yield Sign("controlnet", SD3, {enters: (width, 17, 2, 2)} | wide, (), ("inpaint",), alone)
        yield Sign("controlnet", SD3, {enters: (width, None, 2, 2)} | wide)
        yield Sign("controlnet", SD3, {"transformer_blocks.0.adaLN_modulation.1.bias": ()} | wide, refused=no_sd3)


_FOREIGN: tuple[tuple[str, dict[str, Shape]], ...] = (
    ("AnimateDiff", {"controlnet_cond_embedding.weight": (320, None, 3, 3), "controlnet_mid_block.weight": ()}),
    ("Kolors", {"add_embedding.linear_1.weight": (1280, 5632), **_DIFFUSERS}),
    ("Qwen-Image", {"controlnet_x_embedder.weight": (), "txt_norm.weight": ()}),
    ("Sana", {"controlnet_blocks.0.weight": (), "input_block.weight": ()}),
    ("Z-Image", {"control_all_x_embedder.2-1.weight": ()}),
    ("Z-Image", {"control_layers.0.adaLN_modulation.0.weight": ()}),
    ("Cosmos", {"control_blocks.0.norm1.linear_1.weight": ()}),
    ("HunyuanDiT", {"controlnet_blocks.0.weight": (), "text_embedder.linear_1.weight": ()}),
)
_CONTROLNETS = tuple(_controlnets())


def _adapters() -> Iterator[Sign]:
    for begins in ("adapter.", ""):
        for body in ("body.0.resnets.0.block1.weight", "body.0.block1.weight", "body.0.in_conv.weight"):
            for family, reads in ((SD1, (64, 192)), (XL, (256, 768))):
                for channels in reads:
                    entry: dict[str, Shape] = {f"{begins}conv_in.weight": (320, channels, 3, 3)}
                    yield Sign("t2i_adapter", family, entry | {f"{begins}{body}": ()})
        for body in ("body.0.in_conv.weight", "body.0.in_conv.bias"):
            yield Sign(
                "t2i_adapter", SD1, {f"{begins}{body}": (), f"{begins}body.3.out_conv.weight": (1280, None, 1, 1)}
            )
    face = "an IP-Adapter that reads a face's measures instead of a picture"
    keys, projected = "ip_adapter.1.to_k_ip.weight", "image_proj.proj_in.weight"
    kolors: dict[str, Shape] = {keys: (640, 2048), projected: (None, 1024)}
    yield Sign("ip_adapter", "Kolors", kolors, refused=LABELS["Kolors"])
    for family, shape in ((SD1, (320, 768)), (SD2, (320, 1024)), (XL, (640, 2048))):
        has: dict[str, Shape] = {keys: shape}
        for measures in ("image_proj.proj.0.weight", projected):
            yield Sign("ip_adapter", family, has | {measures: (None, 512)}, (), ("face",), face)
        yield Sign("ip_adapter", family, has | {projected: (None, 1280)}, (), ("plus",))
        yield Sign("ip_adapter", family, has | {"image_proj.proj.0.weight": (None, None)}, (), ("full",))
        yield Sign("ip_adapter", family, has | {"image_proj.proj.weight": (None, None)})
    flux = what("ip_adapter", FLUX)
    for has in (
        {"double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight": ()},
        {"ip_adapter.0.to_k_ip.weight": (3072, None)},
    ):
        yield Sign("ip_adapter", FLUX, has, refused=flux)
    yield Sign("ip_adapter", FLUX, {"redux_up.weight": (), "redux_down.weight": ()}, (), ("redux",), "FLUX.1 Redux")
    for width in (1536, 2432):
        has = {"ip_adapter.0.to_k_ip.weight": (width, None)}
        yield Sign("ip_adapter", SD3, has, refused=what("ip_adapter", SD3))


_ADAPTERS = tuple(_adapters())


def _variants(look: Look, found: Match) -> Iterator[str]:
    sign, root = found
    if "task_embedding" in sign.has:
        yield f"{look.tensors[root + 'task_embedding'].shape[0]} kinds of control images"
    if sign.family == XL and "add_embedding.linear_1.weight" in sign.has:
        attends = look.at(root, "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k.weight")
        if attends is None:
            yield "mid" if look.at(root, "down_blocks.1.attentions.0.norm.weight") else "small"
    if root and look.begins("model.diffusion_model."):
        yield "with its base model"


def _lllite(look: Look) -> Guess:
    if look.begins("lllite_dit_blocks_"):
        name, family, refused = "lllite_dit_blocks_", "Anima", LABELS["Anima"]
    else:
        is_xl = look.holds("_transformer_blocks_2_", "_transformer_blocks_9_")
        name, family = "lllite_unet_", XL if is_xl else ""
        refused = "a ControlNet-LLLite, a small kind of ControlNet"
    rests_on = f"Its names begin with “{name}”."
    return Guess("controlnet", family, ("LLLite",), rests_on, refusal("controlnet", family, refused))


def _control_lora(look: Look) -> Guess:
    is_xl = look.at("", "label_emb.0.0.down") or look.at("", "label_emb.0.0.weight")
    deep = look.holds("input_blocks.8.1.transformer_blocks.9.")
    family = XL if deep or (is_xl and is_xl.shape[-1] == 2816) else ""
    refused = "a Control-LoRA, a ControlNet made from its base model's own weights"
    return Guess(
        "controlnet", family, ("Control-LoRA",), "It has “lora_controlnet”.", refusal("controlnet", family, refused)
    )
