"""The parts of a model as torch modules, tokenizer and scheduler; built from checked JSON and safetensors only.

diffusers' own `from_pretrained` is not used on a person's folder: it imports whatever library the folder's
`model_index.json` names (CVE-class problem of diffusers before 0.42).
"""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import BadInput, OutOfMemory, for_want_of_memory
from engine.formats.net_files import read_net
from engine.formats.sd_keys import current_names
from engine.library.converted_pickles import as_safetensors
from engine.library.opened_weights import stored
from engine.library.recognise import file_of, numbers_in, read_json, weight_files
from engine.library.t5_words import pieces_in
from engine.opened_tensors import read, reader
from engine.patience import told
from engine.schedulers import Scheduler

if TYPE_CHECKING:
    import torch

_CLIP_FIELDS = (
    "vocab_size", "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "hidden_act", "layer_norm_eps", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip
_T5_FIELDS = (
    "vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
    "relative_attention_max_distance", "layer_norm_epsilon", "feed_forward_proj", "pad_token_id", "eos_token_id",
)  # fmt: skip
_CLIP_VISION_FIELDS = (
    "hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads", "num_channels",
    "image_size", "patch_size", "hidden_act", "layer_norm_eps",
)  # fmt: skip
_MOST_LAYERS = 1000
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What the libraries' classes make of a configuration that nobody wrote for them."""
_WRONG_END = 2
_CONFIGS_OF_TRANSFORMERS = {
    "CLIPTextModel": ("CLIPTextConfig", _CLIP_FIELDS),
    "CLIPTextModelWithProjection": ("CLIPTextConfig", _CLIP_FIELDS),
    "CLIPVisionModelWithProjection": ("CLIPVisionConfig", _CLIP_VISION_FIELDS),
    "T5EncoderModel": ("T5Config", _T5_FIELDS),
}
"""The configuration's class of each encoder, and the fields of it that are read."""
_TIED = {"T5EncoderModel": ("encoder.embed_tokens.weight", "shared.weight")}
"""A weight that is another one; files have the second name, some both."""
_IGNORED_WEIGHTS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
"""Buffers that old files carry and today's classes make themselves."""


class Component(NamedTuple):
    """One heavy part of a model: the folder with its configuration and weights, and its class's name."""

    part: str
    class_name: str
    folder: Path
    """Or, of a net, the one file that it is."""


class Delta(NamedTuple):
    """A change of one weight of a model."""

    part: str
    """ "unet" or "transformer", or one of the text encoders."""
    path: str
    """The module's path as diffusers or transformers names it, without ".weight"."""
    change: "Callable[[torch.Tensor], torch.Tensor]"
    """The new weight from the original one, both float32 of the same shape."""


class Variation(NamedTuple):
    """How a part draws otherwise than its class; by default it does not."""

    wrapped: tuple[bool, bool] = (False, False)
    """Whether convolutions see the right edge beside the left one, and the lower one beside the upper."""
    freeu: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """b1, b2, s1 and s2 of FreeU (https://arxiv.org/abs/2309.11497)."""
    perturbable: bool = False
    """Whether the self-attention in its middle can be made the identity, as perturbed-attention guidance needs it."""

    @property
    def is_freeu(self) -> bool:
        """Whether FreeU changes anything."""
        return self.freeu != (1.0, 1.0, 1.0, 1.0)


def _as_it_is(tensor: "torch.Tensor") -> "torch.Tensor":
    return tensor


def load(component: Component, placed: "Callable[[torch.Tensor], torch.Tensor]" = _as_it_is) -> "torch.nn.Module":
    """The part in float32 on the CPU, in evaluation mode, exactly as diffusers would load it.

    `placed` moves each weight to where and to what it is to be, so that none is held twice; it may raise to stop.
    Raises BadInput where weights and configuration do not belong together, and OutOfMemory.
    """
    from accelerate import init_empty_weights
    from safetensors import SafetensorError

    with init_empty_weights(include_buffers=False), _configured_by(component.folder / "config.json"):
        module = _empty(component)
    try:
        module.load_state_dict(_state(component, placed), strict=True, assign=True)
    except (SafetensorError, RuntimeError, MemoryError) as error:  # torch's for a missing name or another shape, too
        if for_want_of_memory(error):
            raise OutOfMemory(
                "There is too little memory for this model.", "Close other programs, or use a smaller model."
            ) from error
        raise _unfit(component) from error
    if component.class_name in _TIED:
        module.tie_weights()  # pyright: ignore[reportCallIssue]
    return module.requires_grad_(False).eval()


def _unfit(component: Component) -> BadInput:
    if component.folder.is_file():
        return BadInput(
            f"“{component.folder.name}” has not the tensors that a net of its kind has, or some have other shapes.",
            "Download it again, or use another one.",
            where=str(component.folder),
        )
    opened = stored(component.folder)
    return BadInput(
        f"The weights of the model's {component.part} do not fit its configuration.",
        "Download the model file again." if opened else "Copy the whole model folder again.",
        where=opened.files[0] if opened else str(component.folder),
    )


def _state(component: Component, placed: "Callable[[torch.Tensor], torch.Tensor]") -> "dict[str, torch.Tensor]":
    import torch

    state = {
        name: placed(tensor.to(torch.float32)) for name, tensor in _tensors(component) if name not in _IGNORED_WEIGHTS
    }
    again, whole = _TIED.get(component.class_name, ("", ""))
    return state | ({again: state[whole]} if whole in state else {})


def _tensors(component: Component) -> "Iterator[tuple[str, torch.Tensor]]":
    """The part's tensors, by the names that diffusers and transformers have for them today."""
    from safetensors.torch import load_file

    if opened := stored(component.folder):
        yield from read(opened)
        return
    for file in (load_file(as_safetensors(each, told)) for each in weight_files(component.folder)):
        if component.folder.is_dir():
            yield from current_names(file).items()
        else:
            yield from ((ours, file[theirs]) for ours, theirs in read_net(component.folder).names.items())


def numbers(component: Component) -> int:
    """How many numbers the part's weights are."""
    return numbers_in(component.folder)


def original(component: Component, name: str) -> "torch.Tensor":
    """One tensor of the part as its file has it, in float32."""
    import torch
    from safetensors import safe_open

    if opened := stored(component.folder):
        return reader(opened)(name).to(torch.float32)
    with safe_open(as_safetensors(file_of(component.folder, name), told), "pt") as file:
        return file.get_tensor(name).to(torch.float32)


@contextmanager
def _configured_by(file: Path) -> Iterator[None]:
    """Names the file of a model where its words make no sense to the class that reads them."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        yield
    except (*_DAMAGED, StrictDataclassError) as error:
        said = f"“{file.parent.name}/{file.name}” of the model is damaged."
        raise BadInput(said, "Copy the whole model folder again.", str(file)) from error


def _empty(component: Component) -> "torch.nn.Module":
    config = config_of(component)
    if component.class_name in _CONFIGS_OF_TRANSFORMERS:
        import transformers

        kind = getattr(transformers, _CONFIGS_OF_TRANSFORMERS[component.class_name][0])
        return getattr(transformers, component.class_name)(kind(**config))
    return diffusers_class(component.class_name)(**config)


def config_of(component: Component) -> dict[str, Any]:
    """The configuration's known fields, plain values only; everything else in the file is left aside."""
    is_file = component.folder.is_file()
    found = read_net(component.folder).config if is_file else read_json(component.folder / "config.json")
    with _configured_by(component.folder / "config.json"):
        if component.class_name in _CONFIGS_OF_TRANSFORMERS:
            return _with_right_end(_plain(found, _CONFIGS_OF_TRANSFORMERS[component.class_name][1]))
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


def tokenizer(folder: Path, class_name: str = "CLIPTokenizer") -> Any:
    """CLIP's tokenizer from its two data files, its configuration says which token fills up; or T5's.

    Raises BadInput for one that is damaged.
    """
    return _clip_tokenizer(folder) if class_name == "CLIPTokenizer" else _t5_tokenizer(folder)


def _t5_tokenizer(folder: Path) -> Any:
    from transformers import T5Tokenizer

    pieces = pieces_in(folder)
    return T5Tokenizer(vocab=pieces.scores, _spm_precompiled_charsmap=pieces.charsmap)


def _clip_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    _check_words(folder)
    config = read_json(folder / "tokenizer_config.json")
    length, pad = config.get("model_max_length", 77), config.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        pad_token=pad if isinstance(pad, str) else "<|endoftext|>",
        model_max_length=length if isinstance(length, int) and 8 <= length <= 512 else 77,
    )


def _check_words(folder: Path) -> None:
    """Raises BadInput for a vocabulary and merges of CLIP's that are not of one another."""
    with _configured_by(folder / "vocab.json"):
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        if not all(isinstance(number, int) for number in vocabulary.values()) or not vocabulary:
            raise ValueError("no vocabulary")
    with _configured_by(folder / "merges.txt"):
        for line in (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]:
            if line and not {*line.split(), line.replace(" ", "")} <= vocabulary.keys():
                raise ValueError("another vocabulary's")


def scheduler(folder: Path, chosen: Scheduler) -> Any:
    """The chosen scheduler, with the noise schedule and prediction type of the model in `folder`. Raises BadInput."""
    kind = diffusers_class(chosen.diffusers_class)
    known = tuple(inspect.signature(kind.__init__).parameters)
    file = folder / "scheduler_config.json"
    with _configured_by(file):
        return kind(**{**_plain(read_json(file), known), **chosen.options})


def _plain(found: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    for name, value in found.items():
        if "layers" in name and isinstance(value, int) and value > _MOST_LAYERS:
            raise ValueError("more layers than any model has")
        if name.endswith("_factor") and not isinstance(value, (int, float, type(None))):
            raise TypeError("no number")
    return {name: value for name, value in found.items() if name in known and name != "self" and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str))
