"""Which family of models a LoRA was made for, told by the widths and names in its header.

Widths of the prompt's vectors in cross-attention: 768 in Stable Diffusion 1.x, 1024 in 2.x, 2048 in XL, 1280 in XL's
refiner. Names of other architectures as diffusers' and kohya's files have them.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from engine.errors import BadInput

_FAMILIES = {
    768: "Stable Diffusion 1.x",
    1024: "Stable Diffusion 2.x",
    2048: "Stable Diffusion XL",
    1280: "the refiner of Stable Diffusion XL",
}
_XL = (2048, 1280)
_FOREIGN = (
    (re.compile(r"lora_controlnet|lllite_"), "a ControlNet"),
    (re.compile(r"(?:double|single)_blocks[._]|single_transformer_blocks[._]"), "FLUX"),
    (re.compile(r"joint_blocks[._]|attn[._]add_[kqv]_proj"), "Stable Diffusion 3"),
)
_DEEP = re.compile(
    r"attentions[._]\d+[._]transformer_blocks[._](?:[2-9]|\d\d)[._]|[._]1[._]transformer_blocks[._][2-9]"
)
_CROSS = re.compile(r".*attn2[._]to_[kv]")
_SELF = re.compile(r".*self_attn[._](?:q_proj|k_proj|v_proj|to_[qkv])")


def check_family(
    name: str, keys: Collection[str], widths: Mapping[str, int], unet: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a LoRA whose header says that it is for another family than the model.

    `keys` are its tensors' names, `widths` the input width of every layer by its name, `unet` the model's modules with
    the shapes of their weights. Raises BadInput naming the LoRA and both families.
    """
    if foreign := _by_names(keys):
        raise _refusal(name, foreign, unet)
    model = _model_width(unet)
    if model is None:
        return
    cross = {width for layer, width in widths.items() if _CROSS.fullmatch(layer)}
    if cross and model not in cross:
        raise _refusal(name, _label(min(cross)), unet)
    if not cross and model in _FAMILIES and model not in _XL and _is_xl(keys):
        raise _refusal(name, _FAMILIES[2048], unet)


def unfit(name: str, widths: Mapping[str, int], unet: Mapping[str, tuple[int, ...]]) -> BadInput:
    """The refusal of a LoRA of which no layer fits, with a guess at its family where its text encoder gives one."""
    width = next((width for layer, width in widths.items() if _SELF.fullmatch(layer)), 0)
    return _refusal(name, _FAMILIES.get(2048 if width == 1280 else width, ""), unet)


def _by_names(keys: Iterable[str]) -> str:
    return next((label for key in keys for pattern, label in _FOREIGN if pattern.search(key)), "")


def _is_xl(keys: Iterable[str]) -> bool:
    return any(key.startswith(("lora_te2_", "text_encoder_2.")) or _DEEP.search(key) for key in keys)


def _model_width(unet: Mapping[str, tuple[int, ...]]) -> int | None:
    return next((shape[1] for path, shape in unet.items() if path.endswith("attn2.to_k")), None)


def _label(width: int) -> str:
    return _FAMILIES.get(width, f"a model with vectors of {width} numbers a token")


def _refusal(name: str, made_for: str, unet: Mapping[str, tuple[int, ...]]) -> BadInput:
    width = _model_width(unet)
    model = _label(width) if width else "another one"
    cause = f"The LoRA “{name}” was made for {made_for}; this model is {model}."
    if not made_for or made_for == model:
        cause = f"No layer of the LoRA “{name}” fits this model."
    return BadInput(cause, "Choose a LoRA that was made for this family of models.", where="loras")
