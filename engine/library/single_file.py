"""A checkpoint in one file, opened as a model folder: configurations, tokenizers, and where every tensor lies.

The folder is small and lies in Easel's cache; the weights stay in their file, and of one of PyTorch's they are read
from a copy that `converted_pickles` makes when they are wanted. What the file lacks is taken from an installed model of
the same family, or from files that hold one part each. Configurations begin with the published ones in
`resources/configs`, and the shapes in the file overrule them.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from engine import paths
from engine.errors import BadInput
from engine.families import FAMILIES
from engine.families.family import Family
from engine.formats.headers import header_of
from engine.formats.places import Config
from engine.formats.safetensors import Tensor
from engine.library import lenders
from engine.library.borrowed import borrowed, lacking, needs_words, tokenizer_of, with_words
from engine.library.file_parts import Part, part_in_file, published
from engine.library.headers.predictions import prediction_of
from engine.library.layouts import denoiser_in, part_in
from engine.library.opened_weights import Source, home, put, put_json, put_part, source_of, stamp
from engine.library.recognise import TOKENIZER_FILES, is_heavy
from engine.library.sidecars import VAES
from engine.library.t5_words import FILES as T5_FILES

RECIPE = 2
"""Raised when folders are made otherwise, so that old ones are made again."""
SUFFIX = ".safetensors"
_V, _EPSILON, _ZERO_SNR = "v-prediction", "epsilon", "zero terminal SNR"


def opened(path: Path, family: str = "", variants: Collection[str] = ()) -> Path:
    """The model folder that stands for the file; made where there is none yet, or something changed since.

    `family` is a name of FAMILIES, empty for what the tensors tell; `variants` as a Guess has them. Raises BadInput
    for a file that is damaged, of a kind that Easel does not run, or that lacks a part nobody installed can give.
    """
    path = path.resolve()
    kind = FAMILIES[family] if family else _family(path, header_of(path).tensors)
    variants = {_V, _EPSILON, _ZERO_SNR}.intersection(variants)
    told = f"{RECIPE} {path} {kind.name} {sorted(variants)}"
    folder = home() / hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    if not _is_current(folder):
        beside = [path.with_name(path.stem + ending) for ending in VAES]
        own = _own(path, next((each for each in beside if each.is_file()), None), header_of(path).tensors, kind)
        lacks = [part for part in filter(is_heavy, kind.components) if part not in own or needs_words(kind, part)]
        checksum = lenders.checksum() if lacks else ""  # before they are looked for: what comes meanwhile is then seen
        parts = _complete(path, kind, own, lacks)
        _adjust(path, kind, parts, variants)
        scheduler = _scheduler(kind, parts[kind.denoiser].config, path, variants)
        files = {path, *beside, *(Path(file) for made in parts.values() for file in made.weights.files)}
        source = Source(str(path), {str(file): stamp(file) for file in files}, checksum)
        put(folder, source, lambda making: _write(making, kind, parts, scheduler))
    return folder


def _family(path: Path, tensors: Mapping[str, Tensor]) -> Family:
    """The family whose mark the denoiser bears."""
    found = denoiser_in(tensors)
    for family in FAMILIES.values() if found else ():
        if found and family.components[family.denoiser] == found.layout.class_name:
            try:
                usual = published(family, family.denoiser)
                if family.recognises(usual | found.layout.config_of(found.shape, usual)):
                    return family
            except (LookupError, ValueError):
                break
    raise BadInput(
        f"“{path.name}” holds no model of a kind that Easel runs.",
        f"It runs: {', '.join(family.label for family in FAMILIES.values())}.",
        str(path),
    )


def _own(path: Path, beside: Path | None, tensors: Mapping[str, Tensor], family: Family) -> dict[str, Part]:
    """The parts in the file itself; an autoencoder beside it stands for its own."""
    parts: dict[str, Part] = {}
    for part in filter(is_heavy, family.components):
        found, file = part_in(tensors, family, part), path
        if part == "vae" and beside:
            file, found = beside, part_in(header_of(beside).tensors, family, part, alone=True)
        if found:
            parts[part] = part_in_file(file, found, family, part)
    return parts


def _complete(path: Path, family: Family, own: Mapping[str, Part], lacks: Collection[str]) -> dict[str, Part]:
    """All parts, what the file lacks from elsewhere. Raises BadInput that names what is nowhere."""
    parts = dict(own)
    missing: dict[str, bool] = {}
    for part in lacks:
        made = with_words(parts.pop(part), family, part) if part in own else None
        made = made or borrowed(family, part)
        if made is not None:
            parts[part] = made
        elif part not in family.optional:
            missing[part] = part in own
    if missing:
        raise lacking(path, family, missing)
    return parts


def _adjust(path: Path, family: Family, parts: dict[str, Part], variants: Collection[str]) -> None:
    """The native size of a model that was made with larger pictures than its family's first."""
    denoiser = parts[family.denoiser]
    if family.velocity_latents and _predicts_v(denoiser.config, family, path, variants):
        parts[family.denoiser] = denoiser._replace(config=denoiser.config | {"sample_size": family.velocity_latents})


def _scheduler(family: Family, denoiser: Config, path: Path, variants: Collection[str]) -> Config:
    """The noise schedule that the model was trained with."""
    steps = published(family, "scheduler", "scheduler_config.json")
    if _predicts_v(denoiser, family, path, variants):
        steps["prediction_type"] = "v_prediction"
    if _ZERO_SNR in variants:
        steps |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    if family.unguided and not denoiser["guidance_embeds"]:
        steps |= family.unguided
    return steps


def _predicts_v(denoiser: Config, family: Family, path: Path, variants: Collection[str]) -> bool:
    """Whether it predicts velocity; of a family with both kinds one tensor tells, save of inpainting models."""
    if not family.velocity_latents or denoiser["in_channels"] != 4 or not {_V, _EPSILON}.isdisjoint(variants):
        return _V in variants
    return prediction_of(path, header_of(path)) == _V


def _write(making: Path, family: Family, parts: Mapping[str, Part], scheduler: Config) -> None:
    """Fill the folder that is being made."""
    put_json(making / "scheduler" / "scheduler_config.json", scheduler)
    for part, each in parts.items():
        put_part(making / part, each.config, each.weights)
        words = tokenizer_of(family, part)
        if words:
            _put_tokenizer(making / words, family, words, each.tokenizer)
    put_json(making / "model_index.json", _index(family, parts))


def _put_tokenizer(target: Path, family: Family, words: str, other: Path | None) -> None:
    """CLIP's is our own; hard links where the file system has them."""
    target.mkdir()
    put_json(target / "tokenizer_config.json", published(family, words, "tokenizer_config.json"))
    names = T5_FILES if family.components[words] == "T5Tokenizer" else TOKENIZER_FILES["CLIPTokenizer"]
    source = other or paths.CLIP
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
    source = source_of(folder)
    return source is not None and source.lenders in ("", lenders.checksum())
