"""A checkpoint in one file, opened as a model folder: configurations, tokenizers, and where every tensor lies.

The folder is small and lies in Easel's cache; the weights stay in their file. What the file lacks is taken from an
installed model of the same family. Configurations begin with the published ones in `resources/configs`, and the
shapes in the file overrule them.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.errors import BadInput, EaselError
from engine.families import FAMILIES
from engine.families.family import Family
from engine.formats.places import Config, Place, shape_at
from engine.formats.safetensors import Tensor, read_header
from engine.formats.sd_keys import current_names
from engine.library.headers.predictions import prediction_of
from engine.library.layouts import Found, denoiser_in, part_in
from engine.library.opened_weights import FILE, Stored, Weights, home, stored
from engine.library.recognise import T5_PIECES, TOKENIZER_FILES, is_heavy, read_json, recognise, weight_files
from engine.paths import RESOURCES, models, ready, sync

RECIPE = 1
"""Raised when folders are made otherwise, so that old ones are made again."""
SUFFIX = ".safetensors"
SOURCE = "source.json"
CLIP = RESOURCES / "tokenizers" / "clip"
_NUMBERS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")
_SCALES = (".scale_weight", ".weight_scale")
"""What a weight in 8 bits must be multiplied with, in place of its ".weight"; ComfyUI's older and newer name."""
_V, _ZERO_SNR = "v-prediction", "zero terminal SNR"
_T5 = (*TOKENIZER_FILES["T5Tokenizer"], T5_PIECES)
"""What a T5 tokenizer is made of: any of these."""
_LABELS = {"vae": "VAE", "unet": "U-Net", "transformer": "transformer"}


class Source(msgspec.Struct, frozen=True):
    """What an opened folder was made from."""

    path: str
    files: dict[str, tuple[int, int]]
    """Every file or folder that the result depends on, its size and the nanosecond it was changed; zeros for none."""


class Part(NamedTuple):
    """A heavy part, judged."""

    config: Config
    weights: Weights
    tokenizer: Path | None = None
    """The folder that its tokenizer is taken from, where that is not our own."""


def opened(path: Path, family: str = "", variants: Collection[str] = ()) -> Path:
    """The model folder that stands for the file; made where there is none yet, or something changed since.

    `family` is a name of FAMILIES, empty for what the tensors tell; `variants` as a Guess has them. Raises BadInput
    for a file that is damaged, of a kind that Easel does not run, or that lacks a part nobody installed can give.
    """
    path = path.resolve()
    header = read_header(path)
    kind = FAMILIES[family] if family else _family(path, header.tensors)
    told = f"{RECIPE} {path} {kind.name} {sorted(variants)}"
    folder = home() / hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    if not _is_current(folder):
        parts, files = _parts(path, header.tensors, kind)
        _adjust(path, kind, parts, variants)
        _put(folder, path, kind, parts, files, _scheduler(kind, parts[kind.denoiser].config, path, variants))
    return folder


def _family(path: Path, tensors: Mapping[str, Tensor]) -> Family:
    """The family whose mark the denoiser bears."""
    found = denoiser_in(tensors)
    for family in FAMILIES.values() if found else ():
        if found and family.components[family.denoiser] == found.layout.class_name:
            try:
                published = _published(family, family.denoiser)
                if family.recognises(published | found.layout.config_of(found.shape, published)):
                    return family
            except (LookupError, ValueError):
                break
    raise BadInput(
        f"“{path.name}” holds no model of a kind that Easel runs.",
        f"It runs: {', '.join(family.label for family in FAMILIES.values())}.",
        str(path),
    )


def _parts(path: Path, tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, Part], dict[str, Any]]:
    """Every part that there is, and what that rests on: files, and the models' folder if anything was looked for."""
    beside = path.with_name(f"{path.stem}.vae{SUFFIX}")
    parts: dict[str, Part] = {}
    rests_on = [path, beside]
    for part in filter(is_heavy, family.components):
        found, file = part_in(tensors, family, part), path
        if part == "vae" and beside.is_file():
            found, file = part_in(read_header(beside).tensors, family, part, alone=True), beside
        words = _tokenizer_of(family, part)
        tokenizer = _t5_tokenizer() if words and family.components[words] == "T5Tokenizer" else None
        made = None
        if found and (tokenizer or not words or family.components[words] == "CLIPTokenizer"):
            made = _judged(file, found, family, part, tokenizer)
        else:
            made = _borrowed(family, part)
        if made is None and part not in family.optional:
            raise _lacking(path, family, part, has_weights=bool(found))
        if made is not None:
            parts[part] = made
        if made is None or made.tokenizer or not found:
            rests_on.append(models())
    return parts, {str(each): _stamp(each) for each in dict.fromkeys(rests_on)}


def _judged(file: Path, found: Found, family: Family, part: str, tokenizer: Path | None) -> Part:
    """A part of the file. Raises BadInput where a tensor is missing, is no number, or has no place."""
    published = _published(family, part)
    try:
        config = published | found.layout.config_of(found.shape, published)
        places = found.layout.places(config)
    except (LookupError, ValueError, TypeError, ZeroDivisionError) as error:
        raise _odd(file, part, str(error)) from error
    if part in family.unprojected:
        width = config["hidden_size"]
        places["text_projection.weight"] = Place("", (0, width), "identity")
        config["projection_dim"] = width
    tensors = {name: _stored(file, found, part, place) for name, place in places.items()}
    if part == family.denoiser:
        _check_strangers(file, found, tensors.values())
    return Part(config, Weights((str(file),), tensors), tokenizer)


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
    for key in found.tensors if found.prefix else ():
        if (
            key.startswith(found.prefix)
            and key.endswith((".weight", ".bias"))
            and key not in keys
            and "lora" not in key
        ):
            raise _odd(file, "model", f"nothing of its kind has a tensor “{key[:80]}”")


def _borrowed(family: Family, part: str) -> Part | None:
    """The part of an installed model of the family; None where there is none that fits the published ones."""
    published, words = _published(family, part), _tokenizer_of(family, part)
    for folder in _installed():
        try:
            if recognise(folder).family.name != family.name:
                continue
            found = part_at(folder / part)
        except EaselError:
            continue
        if all(found.config.get(name) == published.get(name) for name in ("latent_channels", "scaling_factor")):
            return found._replace(tokenizer=folder / words if words else None)
    return None


def part_at(folder: Path) -> Part:
    """A part of a model folder, opened or in diffusers' form. Raises BadInput for what is missing or damaged."""
    config = read_json(folder / "config.json")
    if weights := stored(folder):
        return Part(config, weights)
    files = tuple(weight_files(folder))
    headers = [read_header(file).tensors for file in files]
    tensors = {
        ours: Stored(place, theirs, header[theirs].shape)
        for place, header in enumerate(headers)
        for ours, theirs in current_names({name: name for name in header}).items()
    }
    return Part(config, Weights(tuple(map(str, files)), tensors))


def part_of(file: Path, family: Family, part: str) -> Part:
    """A part that has a file of its own, or lies in a checkpoint of the family. Raises BadInput."""
    found = part_in(read_header(file).tensors, family, part, alone=True)
    if found is None:
        raise _odd(file, part, "it holds none that Easel knows")
    return _judged(file, found, family, part, None)


def _t5_tokenizer() -> Path | None:
    """The folder of the T5 tokenizer of any installed model: they are all the same."""
    for folder in _installed():
        try:
            named = read_json(folder / "model_index.json")
        except EaselError:
            continue
        for part in ("tokenizer_2", "tokenizer_3"):  # in other families, the first is a second one of CLIP's
            if "T5Tokenizer" in str(named.get(part)) and any((folder / part / name).is_file() for name in _T5):
                return folder / part
    return None


def _installed() -> list[Path]:
    """Model folders in diffusers' form."""
    try:
        return [each for each in sorted(models().iterdir()) if (each / "model_index.json").is_file()]
    except OSError:
        return []


def _adjust(path: Path, family: Family, parts: dict[str, Part], variants: Collection[str]) -> None:
    """The native size of a model that was made with larger pictures than its family's first."""
    denoiser = parts[family.denoiser]
    if family.velocity_latents and _predicts_v(denoiser.config, family, path, variants):
        parts[family.denoiser] = denoiser._replace(config=denoiser.config | {"sample_size": family.velocity_latents})


def _scheduler(family: Family, denoiser: Config, path: Path, variants: Collection[str]) -> Config:
    """The noise schedule that the model was trained with."""
    steps = _config(family, "scheduler", "scheduler_config.json")
    if _predicts_v(denoiser, family, path, variants):
        steps["prediction_type"] = "v_prediction"
    if _ZERO_SNR in variants:
        steps |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if family.unguided and not denoiser["guidance_embeds"]:
        steps |= family.unguided
    return steps


def _predicts_v(denoiser: Config, family: Family, path: Path, variants: Collection[str]) -> bool:
    """Whether it predicts velocity; of a family with both kinds one tensor tells, save of inpainting models."""
    if not family.velocity_latents or denoiser["in_channels"] != 4 or not {_V, "epsilon"}.isdisjoint(variants):
        return _V in variants
    return prediction_of(path, read_header(path)) == _V


def _put(
    folder: Path, path: Path, family: Family, parts: dict[str, Part], files: dict[str, Any], scheduler: Config
) -> None:
    """Write the folder under another name, then let it appear whole."""
    ready(folder.parent)
    making = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        _write(making / "scheduler" / "scheduler_config.json", scheduler)
        for part, each in parts.items():
            _write(making / part / "config.json", each.config)
            _write(making / part / FILE, each.weights)
            words = _tokenizer_of(family, part)
            if words:
                _put_tokenizer(making / words, family, words, each.tokenizer)
        _write(making / "model_index.json", _index(family, parts))
        _write(making / SOURCE, Source(str(path), files))
        if folder.is_dir():
            shutil.rmtree(folder)
        making.replace(folder)
        sync(folder.parent)
    except OSError as error:
        if not _is_current(folder):  # else another process was faster
            raise EaselError(
                f"The model “{path.name}” could not be opened ({error.strerror}).", "Free some space.", str(folder)
            ) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _put_tokenizer(target: Path, family: Family, words: str, other: Path | None) -> None:
    """CLIP's is our own; hard links where the file system has them."""
    target.mkdir()
    _write(target / "tokenizer_config.json", _config(family, words, "tokenizer_config.json"))
    names = _T5 if family.components[words] == "T5Tokenizer" else TOKENIZER_FILES["CLIPTokenizer"]
    source = other or CLIP
    for name in names:
        if not (source / name).is_file():
            continue
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)
    if other and (other / "tokenizer_config.json").is_file():
        shutil.copyfile(other / "tokenizer_config.json", target / "tokenizer_config.json")


def _index(family: Family, parts: Collection[str]) -> Config:
    index: Config = {"_class_name": next(iter(family.pipelines.values()))}
    for part, name in family.components.items():
        owner = part.replace("tokenizer", "text_encoder")
        if part == "scheduler":
            index[part] = ["diffusers", "DDIMScheduler"]
        elif owner in parts:
            index[part] = ["transformers" if "text_encoder" in owner else "diffusers", name]
    return index


def _is_current(folder: Path) -> bool:
    """Whether the folder is there, and all that it was made from is as it was."""
    try:
        source = msgspec.json.decode((folder / SOURCE).read_bytes(), type=Source)
        return all(_stamp(Path(file)) == stamp for file, stamp in source.files.items())
    except (OSError, msgspec.DecodeError):
        return False


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # it is not there, or not yet
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _tokenizer_of(family: Family, part: str) -> str:
    """The tokenizer that belongs to a text encoder; empty for other parts."""
    words = part.replace("text_encoder", "tokenizer")
    return words if words != part and words in family.components else ""


def _published(family: Family, part: str) -> Config:
    return _config(family, part, "config.json")


def _config(family: Family, part: str, name: str) -> Config:
    return read_json(RESOURCES / "configs" / family.name / part / name)


def _write(path: Path, what: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(what))


def _lacking(path: Path, family: Family, part: str, *, has_weights: bool) -> BadInput:
    label = _LABELS.get(part, "text encoder")
    cause = f"The file “{path.name}” holds no {label}, and no installed model of its family has one to lend."
    if has_weights:
        cause = f"The file “{path.name}” comes without T5's tokenizer, and no installed model has one to lend."
    return BadInput(
        cause, f"Add a {family.label} model in the form of a folder once; what files lack is taken from it.", str(path)
    )


def _odd(file: Path, part: str, why: str) -> BadInput:
    return BadInput(
        f"The {_LABELS.get(part, part.replace('_', ' ').strip(' 23'))} in “{file.name}” cannot be used: {why}.",
        "Download the file again, or use another model.",
        str(file),
    )
