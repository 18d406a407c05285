"""The heavy parts of models, judged: what each is like, and where every tensor of it lies."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from engine.errors import BadInput
from engine.families.family import Family
from engine.formats.headers import header_of
from engine.formats.places import Config, Place, shape_at
from engine.formats.sd_keys import current_names
from engine.library.layouts import Found, part_in
from engine.library.opened_weights import Stored, Weights, stored
from engine.library.recognise import read_json, weight_files
from engine.paths import RESOURCES

_NUMBERS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")
_SCALES = (".scale_weight", ".weight_scale")
"""What a weight in 8 bits must be multiplied with, in place of its ".weight"; ComfyUI's older and newer name."""
_LABELS = {"vae": "VAE", "unet": "U-Net", "transformer": "transformer"}


class Part(NamedTuple):
    """A heavy part, judged."""

    config: Config
    weights: Weights
    tokenizer: Path | None = None
    """The folder that its tokenizer is taken from, where that is not our own."""


def part_in_file(file: Path, found: Found, family: Family, part: str, base: Config | None = None) -> Part:
    """A part of a file; `base` is what its shapes do not tell of its configuration, if not what is published.

    Raises BadInput where a tensor is missing, is no number, or has no place.
    """
    config, places = _told(file, found, family, part, base)
    if part in family.unprojected:
        width = config["hidden_size"]
        places["text_projection.weight"] = Place("", (0, width), "identity")
        config["projection_dim"] = width
    tensors = {name: _stored(file, found, part, place) for name, place in places.items()}
    if part == family.denoiser:
        _check_strangers(file, found, tensors.values())
    return Part(config, Weights((str(file),), tensors))


def part_of(file: Path, family: Family, part: str, base: Config | None = None) -> Part:
    """A part that has a file of its own, or lies in a checkpoint of the family; `base` as above. Raises BadInput."""
    found = part_in(header_of(file).tensors, family, part, alone=True)
    if found is None:
        raise _odd(file, part, "it holds none that Easel knows")
    return part_in_file(file, found, family, part, base)


def part_at(folder: Path) -> Part:
    """A part of a model folder, opened or in diffusers' form. Raises BadInput for what is missing or damaged."""
    config = read_json(folder / "config.json")
    if weights := stored(folder):
        return Part(config, weights)
    files = tuple(weight_files(folder))
    headers = [header_of(file).tensors for file in files]
    tensors = {
        ours: Stored(place, theirs, header[theirs].shape)
        for place, header in enumerate(headers)
        for ours, theirs in current_names({name: name for name in header}).items()
    }
    return Part(config, Weights(tuple(map(str, files)), tensors))


def published(family: Family, part: str, name: str = "config.json") -> Config:
    """A configuration of the family, as it is published."""
    return read_json(RESOURCES / "configs" / family.name / part / name)


def _told(file: Path, found: Found, family: Family, part: str, base: Config | None) -> tuple[Config, dict[str, Place]]:
    base = published(family, part) if base is None else base
    try:
        config = base | found.layout.config_of(found.shape, base)
        return config, found.layout.places(config)
    except (LookupError, ValueError, TypeError, ZeroDivisionError) as error:
        raise _odd(file, part, str(error)) from error


def _stored(file: Path, found: Found, part: str, place: Place) -> Stored:
    if place.turn == "identity":
        return Stored(0, "", shape_at(place, ()), place.rows, place.turn)
    key = found.key(place.key)
    if key is None:
        raise _odd(file, part, f"“{place.key}” is missing")
    tensor = found.tensors[key]
    if tensor.dtype not in _NUMBERS:
        raise BadInput(
            f"The numbers of “{file.name}” are packed in a way that Easel does not read ({tensor.dtype}).",
            "Use the model in fp16, bf16 or fp8.",
            str(file),
        )
    scales = (key.removesuffix(".weight") + each for each in _SCALES) if tensor.dtype.startswith("F8") else ()
    scale = next((each for each in scales if each in found.tensors), "")
    return Stored(0, key, shape_at(place, tensor.shape), place.rows, place.turn, scale)


def _check_strangers(file: Path, found: Found, known: Collection[Stored]) -> None:
    """Refuse a denoiser that is built otherwise than its family: it would draw, and draw nonsense."""
    keys = {each.key for each in known}
    for key in found.tensors if found.is_whole else ():
        if (
            key.startswith(found.prefix)
            and key.endswith((".weight", ".bias"))
            and key not in keys
            and "lora" not in key
        ):
            raise _odd(file, "model", f"nothing of its kind has a tensor “{key[:80]}”")


def _odd(file: Path, part: str, why: str) -> BadInput:
    return BadInput(
        f"The {_LABELS.get(part, part.replace('_', ' ').strip(' 23'))} in “{file.name}” cannot be used: {why}.",
        "Download the file again, or use another model.",
        str(file),
    )
