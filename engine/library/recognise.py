"""Which family a model folder is of, or why it cannot be used; reads JSON and headers, never weights or code."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import BadInput
from engine.families import FAMILIES
from engine.families.family import Family
from engine.formats.safetensors import read_header

WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")
_CONFIGS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}
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


def recognise(folder: Path) -> Recognised:
    """What the folder holds. Raises BadInput that says what is missing, damaged or foreign."""
    index = read_json(folder / "model_index.json")
    denoiser = read_json(folder / "unet" / "config.json")
    family = _family(folder, denoiser)
    _check_classes(folder, index, family)
    for part in family.components:
        if part.startswith("tokenizer"):
            _check_tokenizer(folder / part)
    files = [weights(folder / part) for part, name in family.components.items() if _heavy(part, name)]
    tensors = [tensor for file in files for tensor in read_header(file).tensors.values()]
    return Recognised(
        family,
        *_sizes(folder, denoiser),
        size_bytes=sum(file.stat().st_size for file in files),
        parameters=sum(math.prod(tensor.shape) for tensor in tensors),
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
    """The one weights file of a component folder. Raises BadInput where there is none."""
    for name in WEIGHTS:
        if (part / name).is_file():
            return part / name
    raise missing(part / WEIGHTS[part.name == "text_encoder"])


def _family(folder: Path, denoiser: dict[str, Any]) -> Family:
    for family in FAMILIES.values():
        if family.recognises(denoiser):
            return family
    labels = ", ".join(family.label for family in FAMILIES.values())
    raise BadInput(
        f"The model “{folder.name}” is of a kind that Easel does not run.", f"It runs: {labels}.", str(folder)
    )


def _check_classes(folder: Path, index: dict[str, Any], family: Family) -> None:
    for part, allowed in family.components.items():
        entry = index.get(part)
        named = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if named is None:
            raise missing(folder / part)
        if allowed and named not in (allowed, f"{allowed}Fast"):
            raise BadInput(
                f"The model “{folder.name}” names {named} as its {part}, where {allowed} belongs.",
                "Easel never runs code from a model; use another model.",
                str(folder),
            )
        read_json(folder / part / _CONFIGS.get(part.split("_2")[0], "config.json"))


def _heavy(part: str, name: str) -> bool:
    return bool(name) and not part.startswith("tokenizer")


def _check_tokenizer(folder: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        if not (folder / name).is_file():
            raise missing(folder / name)


def _sizes(folder: Path, denoiser: dict[str, Any]) -> tuple[int, int]:
    """The native size, and what sizes must be multiples of: the VAE's pixels a latent, halved at each level."""
    latent_levels = _levels(folder, read_json(folder / "vae" / "config.json"))
    sample = denoiser.get("sample_size")
    if not isinstance(sample, int) or not 1 <= sample <= 1024:
        raise _no_size(folder)
    pixels = 2 ** (latent_levels - 1)
    return sample * pixels, pixels * 2 ** (_levels(folder, denoiser) - 1)


def _levels(folder: Path, config: dict[str, Any]) -> int:
    blocks = config.get("block_out_channels")
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= 8:
        raise _no_size(folder)
    return len(blocks)


def _no_size(folder: Path) -> BadInput:
    return BadInput(f"The model “{folder.name}” does not say its size.", "Copy the model folder again.", str(folder))


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
