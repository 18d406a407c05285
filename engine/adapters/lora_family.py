"""Which family of models a LoRA was made for, told by the widths and names in its header.

Against the model at hand, of whatever width; the library tells the published families apart
(`engine.library.headers.loras`). Names of other architectures as diffusers' and kohya's files have them.
"""

import re
from collections.abc import Collection, Mapping

from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library.headers.loras import WIDTHS

Modules = Mapping[str, Mapping[str, tuple[int, ...]]]
"""By part, the path of every module of a model that has a weight, and the shape of that weight."""

_FAMILIES = {width: FAMILIES[name].label for width, name in WIDTHS.items()}
_XL = (2048, 1280)
_FLUX, _SD3 = "FLUX", "Stable Diffusion 3"
_FOREIGN = (
    (re.compile(r"lora_controlnet|lllite_"), "a ControlNet"),
    (re.compile(r"(?:double|single)_blocks[._]|single_transformer_blocks[._]"), _FLUX),
    (re.compile(r"joint_blocks[._]|attn[._]add_[kqv]_proj"), _SD3),
)
_DEEP = re.compile(
    r"attentions[._]\d+[._]transformer_blocks[._](?:[2-9]|\d\d)[._]|[._]1[._]transformer_blocks[._][2-9]"
)
_CROSS = re.compile(r".*attn2[._]to_[kv]")
_SELF = re.compile(r".*self_attn[._](?:q_proj|k_proj|v_proj|to_[qkv])")


def check_family(name: str, keys: Collection[str], widths: Mapping[str, int], model: Modules) -> None:
    """Refuse a LoRA whose header says that it is for another family than the model.

    `keys` are its tensors' names, `widths` the input width of every layer by its name. Raises BadInput naming the LoRA
    and both families.
    """
    transformer, named = _transformer(model), _by_names(keys)
    if named and named != transformer:
        raise _refusal(name, named, model)
    cross = {width for layer, width in widths.items() if _CROSS.fullmatch(layer)}
    own = _model_width(model)
    if own is None and not transformer:
        return
    if cross and not named and own not in cross:
        raise _refusal(name, _label(min(cross)), model)
    if not cross and own in _FAMILIES and own not in _XL and _is_xl(keys):
        raise _refusal(name, _FAMILIES[2048], model)


def unfit(name: str, widths: Mapping[str, int], model: Modules) -> BadInput:
    """The refusal of a LoRA of which no layer fits, with a guess at its family where its text encoder gives one."""
    width = next((width for layer, width in widths.items() if _SELF.fullmatch(layer)), 0)
    return _refusal(name, _FAMILIES.get(2048 if width == 1280 else width, ""), model)


def _by_names(keys: Collection[str]) -> str:
    return next((label for pattern, label in _FOREIGN if any(map(pattern.search, keys))), "")


def _transformer(model: Modules) -> str:
    """Whose transformer the model has; empty for one with a U-Net."""
    paths = model.get("transformer", {})
    if any(path.startswith("single_transformer_blocks.") for path in paths):
        return _FLUX
    return _SD3 if paths else ""


def _is_xl(keys: Collection[str]) -> bool:
    return any(key.startswith(("lora_te2_", "text_encoder_2.")) or _DEEP.search(key) for key in keys)


def _model_width(model: Modules) -> int | None:
    unet = model.get("unet", {})
    return next((shape[1] for path, shape in unet.items() if path.endswith("attn2.to_k")), None)


def _label(width: int) -> str:
    return _FAMILIES.get(width, f"a model with vectors of {width} numbers a token")


def _refusal(name: str, made_for: str, model: Modules) -> BadInput:
    width = _model_width(model)
    own = _transformer(model) or (_label(width) if width else "another one")
    cause = f"The LoRA “{name}” was made for {made_for}; this model is {own}."
    if not made_for or made_for == own:
        cause = f"No layer of the LoRA “{name}” fits this model."
    return BadInput(cause, "Choose a LoRA that was made for this family of models.", where="loras")
