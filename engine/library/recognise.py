"""Which family a model folder is of, or why it cannot be used; reads JSON and headers, never weights or code."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import BadInput
from engine.families import FAMILIES
from engine.families.family import Family
from engine.formats.headers import header_of
from engine.library.opened_weights import files_of, stored

WEIGHTS = (
    "diffusion_pytorch_model.safetensors", "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors", "model.fp16.safetensors",
)  # fmt: skip
"""Of a part, the likeliest first; many a published folder has half precision only."""
PICKLED = (
    "diffusion_pytorch_model.bin", "pytorch_model.bin", "diffusion_pytorch_model.fp16.bin", "pytorch_model.fp16.bin",
)  # fmt: skip
"""The same in PyTorch's form, which folders of 2022 have alone; read from copies."""
_CONFIGS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}
TOKENIZER_FILES = {"CLIPTokenizer": ("vocab.json", "merges.txt"), "T5Tokenizer": ("tokenizer.json",)}
T5_PIECES = "spiece.model"
"""What T5's tokenizer may be made of instead."""
_MAX_JSON = 16 * 2**20


class Recognised(NamedTuple):
    """A folder in the diffusers layout that is whole and of a family Easel runs."""

    family: Family
    native_size: int
    size_multiple: int
    size_bytes: int
    """Of the weights on the disk."""
    parameters: int
    """How many numbers the weights are."""
    reads_guidance: bool
    """Whether the guidance scale is an input of the denoiser: a latent consistency model."""


def recognise(folder: Path) -> Recognised:
    """What the folder holds. Raises BadInput that says what is missing, damaged or foreign."""
    index = read_json(folder / "model_index.json")
    denoiser = _denoiser(folder)
    family = _family(folder, denoiser)
    parts = parts_of(folder, family)
    _check_classes(folder, index, parts)
    for part, name in parts.items():
        if part.startswith("tokenizer"):
            _check_tokenizer(folder / part, name)
    heavy = [folder / part for part in parts if is_heavy(part)]
    files = {file for part in heavy for file in weight_files(part)}
    return Recognised(
        family,
        *_sizes(folder, family, denoiser),
        size_bytes=sum(file.stat().st_size for file in files),
        parameters=sum(map(numbers_in, heavy)),
        reads_guidance=bool(denoiser.get("time_cond_proj_dim")),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a model folder. Raises BadInput where it is missing or none."""
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError("too large")
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"“{_short(path)}” of the model cannot be read.", "Copy the model folder again.", str(path)
        ) from error
    if not isinstance(found, dict):
        raise BadInput(f"“{_short(path)}” of the model is damaged.", "Copy the model folder again.", str(path))
    return found


def missing(path: Path) -> BadInput:
    """The error for a part of a model that is not there."""
    return BadInput(f"The model lacks the file “{_short(path)}”.", "Copy the whole model folder again.", str(path))


def weights(part: Path) -> Path:
    """The one weights file of a component folder, or of a component that is one file. Raises BadInput for none."""
    if part.is_file():
        return part
    if opened := stored(part):
        return files_of(opened)[0]
    for name in (*WEIGHTS, *PICKLED):
        if (part / name).is_file():
            return part / name
    raise missing(part / WEIGHTS[part.name.startswith("text_encoder")])


def weight_files(part: Path) -> list[Path]:
    """All weights files of a component folder: one, or the several that its index lists. Raises BadInput.

    Of a model that was opened they lie elsewhere, and other parts may lie in them, too.
    """
    if opened := stored(part):
        return files_of(opened)
    for name in (*WEIGHTS, *PICKLED):
        if (part / name).is_file():
            break
        index = part / f"{name}.index.json"
        if index.is_file():
            return [_listed(part, each) for each in sorted(set(map(str, _weight_map(index).values())))]
    return [weights(part)]


def numbers_in(part: Path) -> int:
    """How many numbers the weights of a component are. Raises BadInput."""
    if opened := stored(part):
        return sum(math.prod(tensor.shape) for tensor in opened.tensors.values())
    headers = map(header_of, weight_files(part))
    return sum(math.prod(tensor.shape) for header in headers for tensor in header.tensors.values())


def file_of(part: Path, tensor: str) -> Path:
    """The weights file of a component folder that a tensor is in. Raises BadInput."""
    files = weight_files(part)
    if len(files) == 1:
        return files[0]
    return next(file for file in files if tensor in header_of(file).tensors)


def parts_of(folder: Path, family: Family) -> dict[str, str]:
    """The family's components that the model has, and their classes; optional ones it may leave out."""
    index = read_json(folder / "model_index.json")
    return {
        part: name
        for part, name in family.components.items()
        if part not in family.optional or any(_named(index, part))
    }


def is_heavy(part: str) -> bool:
    """Whether a component is a module with weights."""
    return not part.startswith(("tokenizer", "scheduler"))


def _weight_map(index: Path) -> dict[str, Any]:
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise BadInput(f"“{_short(index)}” of the model is damaged.", "Copy the model folder again.", str(index))
    return found


def _listed(part: Path, name: str) -> Path:
    path = part / Path(name).name
    if not path.is_file():
        raise missing(path)
    return path


def _denoiser(folder: Path) -> dict[str, Any]:
    """The configuration of what predicts: a U-Net, else a transformer."""
    part = "transformer" if (folder / "transformer").is_dir() else "unet"
    return read_json(folder / part / "config.json")


def _family(folder: Path, denoiser: dict[str, Any]) -> Family:
    for family in FAMILIES.values():
        if family.recognises(denoiser):
            return family
    labels = ", ".join(family.label for family in FAMILIES.values())
    raise BadInput(
        f"The model “{folder.name}” is of a kind that Easel does not run.", f"It runs: {labels}.", str(folder)
    )


def _named(index: dict[str, Any], part: str) -> tuple[Any, Any]:
    """The library and the class that a model's index names for a part; None where it names none."""
    entry = index.get(part)
    return (entry[0], entry[1]) if isinstance(entry, list) and len(entry) == 2 else (None, None)


def _check_classes(folder: Path, index: dict[str, Any], parts: dict[str, str]) -> None:
    for part, allowed in parts.items():
        named = _named(index, part)[1]
        if named is None:
            raise missing(folder / part)
        if allowed and named not in (allowed, f"{allowed}Fast"):
            raise BadInput(
                f"The model “{folder.name}” names {named} as its {part}, where {allowed} belongs.",
                "Easel never runs code from a model; use another model.",
                str(folder),
            )
        read_json(folder / part / _CONFIGS.get(part.rstrip("_23"), "config.json"))


def _check_tokenizer(folder: Path, class_name: str) -> None:
    if class_name == "T5Tokenizer" and (folder / T5_PIECES).is_file():
        return
    for name in TOKENIZER_FILES[class_name]:
        if not (folder / name).is_file():
            raise missing(folder / name)


def _sizes(folder: Path, family: Family, denoiser: dict[str, Any]) -> tuple[int, int]:
    """The native size, and what sizes must be multiples of: the VAE's pixels a latent, halved at each level.

    Transformers take two latents a side as one token.
    """
    latent_levels = _levels(folder, read_json(folder / "vae" / "config.json"))
    sample = family.native_latents or denoiser.get("sample_size")
    if not isinstance(sample, int) or not 1 <= sample <= 1024:
        raise _no_size(folder)
    pixels = 2 ** (latent_levels - 1)
    halvings = 1 if family.denoiser == "transformer" else _levels(folder, denoiser) - 1
    return sample * pixels, pixels * 2**halvings


def _levels(folder: Path, config: dict[str, Any]) -> int:
    blocks = config.get("block_out_channels")
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= 8:
        raise _no_size(folder)
    return len(blocks)


def _no_size(folder: Path) -> BadInput:
    return BadInput(f"The model “{folder.name}” does not say its size.", "Copy the model folder again.", str(folder))


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
