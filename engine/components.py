"""The parts of a model as torch modules, tokenizer and scheduler; built from checked JSON and safetensors only.

diffusers' own `from_pretrained` is not used on a person's folder: it imports whatever library the folder's
`model_index.json` names (CVE-class problem of diffusers before 0.42).
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import BadInput
from engine.library.recognise import read_json, weights
from engine.schedulers import SCHEDULERS

if TYPE_CHECKING:
    import torch

_CLIP_FIELDS = (
    "vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "hidden_act", "layer_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip
_WRONG_END = 2
_TEXT_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")
_IGNORED_WEIGHTS = ("text_model.embeddings.position_ids",)
"""Buffers that old files carry and today's classes make themselves."""


class Component(NamedTuple):
    """One heavy part of a model: the folder with its configuration and weights, and its class's name."""

    part: str
    class_name: str
    folder: Path


class Delta(NamedTuple):
    """A change of one weight of a model."""

    part: str
    """ "unet", "text_encoder" or "text_encoder_2"."""
    path: str
    """The module's path as diffusers or transformers names it, without ".weight"."""
    change: "Callable[[torch.Tensor], torch.Tensor]"
    """The new weight from the original one, both float32 of the same shape."""


def load(component: Component) -> "torch.nn.Module":
    """The part in float32 on the CPU, in evaluation mode, exactly as diffusers would load it.

    Raises BadInput where weights and configuration do not belong together.
    """
    import torch
    from accelerate import init_empty_weights
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with init_empty_weights(include_buffers=False):
        module = _empty(component)
    try:
        state = {
            name: tensor.to(torch.float32)
            for name, tensor in load_file(weights(component.folder)).items()
            if name not in _IGNORED_WEIGHTS
        }
        module.load_state_dict(state, strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:  # torch raises the second for a missing name or another shape
        raise BadInput(
            f"The weights of the model's {component.part} do not fit its configuration.",
            "Copy the whole model folder again.",
            where=str(component.folder),
        ) from error
    return module.requires_grad_(False).eval()


def original(component: Component, name: str) -> "torch.Tensor":
    """One tensor of the part as its file has it, in float32."""
    import torch
    from safetensors import safe_open

    with safe_open(weights(component.folder), "pt") as file:
        return file.get_tensor(name).to(torch.float32)


def _empty(component: Component) -> "torch.nn.Module":
    config = config_of(component)
    if component.class_name in _TEXT_ENCODERS:
        import transformers

        return getattr(transformers, component.class_name)(transformers.CLIPTextConfig(**config))
    return diffusers_class(component.class_name)(**config)


def config_of(component: Component) -> dict[str, Any]:
    """The configuration's known fields, plain values only; everything else in the file is left aside."""
    found = read_json(component.folder / "config.json")
    if component.class_name in _TEXT_ENCODERS:
        return _with_right_end(_plain(found, _CLIP_FIELDS))
    return _plain(found, tuple(inspect.signature(diffusers_class(component.class_name).__init__).parameters))


def _with_right_end(config: dict[str, Any]) -> dict[str, Any]:
    """Old configurations name a wrong end token, 2 (Stable Diffusion XL's, too); CLIP's is the last of its entries.

    transformers makes up for it by the highest id, which an embedding's tokens would be.
    """
    wrong = config.get("eos_token_id") == _WRONG_END and "vocab_size" in config
    return config | ({"eos_token_id": config["vocab_size"] - 1} if wrong else {})


def diffusers_class(name: str) -> Any:
    """A class of diffusers by a name that we declared ourselves."""
    import diffusers

    return getattr(diffusers, name)


def tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer from its two data files; which token fills up, its configuration says."""
    from transformers import CLIPTokenizer

    config = read_json(folder / "tokenizer_config.json")
    length, pad = config.get("model_max_length", 77), config.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        pad_token=pad if isinstance(pad, str) else "<|endoftext|>",
        model_max_length=length if isinstance(length, int) and 8 <= length <= 512 else 77,
    )


def scheduler(folder: Path, name: str) -> Any:
    """The named scheduler, with the noise schedule and prediction type of the model in `folder`."""
    chosen = SCHEDULERS[name]
    kind = diffusers_class(chosen.diffusers_class)
    known = tuple(inspect.signature(kind.__init__).parameters)
    return kind(**{**_plain(read_json(folder / "scheduler_config.json"), known), **chosen.options})


def _plain(found: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in known and name != "self" and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))
