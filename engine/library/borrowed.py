"""A part that a model file lacks, from an installed model of its family or from a file that holds nothing else."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from engine import paths
from engine.errors import BadInput, EaselError
from engine.families import FAMILIES
from engine.families.family import Family
from engine.formats.headers import header_of
from engine.formats.safetensors import SIZES, Tensor
from engine.library.file_parts import Part, part_at, part_in_file, published
from engine.library.layouts import Found, part_in
from engine.library.lenders import lenders, models, t5_words
from engine.library.recognise import TOKENIZER_FILES, recognise
from engine.library.roots import FOLDERS

_ALIKE = {
    "CLIPTextModel": ("hidden_size", "max_position_embeddings"),
    "CLIPTextModelWithProjection": ("hidden_size", "max_position_embeddings"),
    "T5EncoderModel": ("d_model",),
    "AutoencoderKL": ("latent_channels",),
}
"""By a part's class: what the shapes must tell as it is published, so that the part fits the others."""
_TOGETHER = ("latent_channels", "scaling_factor", "hidden_size", "d_model")
"""What a model's part must have as it is published, whatever part it is, so that it fits the others."""
_LEVELS = 4
"""Of every family's autoencoder."""
_LETTERS = 514
"""Words of CLIP's vocabulary beside the merges: every byte, every byte that ends a word, a text's start and end."""
_WIDTHS = {768: "CLIP-L", 1024: "CLIP-H", 1280: "CLIP-G"}


class _Fit(NamedTuple):
    """A part in a file of its own, of the right shapes."""

    part: Part
    is_sure: bool
    """Whether it is known to be of the family; of 16 channels FLUX.1 and Stable Diffusion 3 have the same shapes."""
    bytes: int
    """Of the tightest packed of its numbers."""
    size: int
    """Of the file."""


def borrowed(family: Family, part: str) -> Part | None:
    """The part from elsewhere: an installed model's, else the least tightly packed file of it that fits.

    None where there is none, and where it is not known which file is the right one.
    """
    return _from_model(family, part) or _from_file(family, part)


def tokenizer_of(family: Family, part: str) -> str:
    """The tokenizer that belongs to a text encoder; empty for other parts."""
    words = part.replace("text_encoder", "tokenizer")
    return words if words != part and words in family.components else ""


def needs_words(family: Family, part: str) -> bool:
    """Whether the part's tokenizer is one that does not ship with Easel."""
    return family.components[part] == "T5EncoderModel"


def with_words(made: Part, family: Family, part: str) -> Part | None:
    """The part of a file with its tokenizer, where that is not our own; None where it cannot be had."""
    if not needs_words(family, part):
        return made
    words = t5_words(Path(made.weights.files[0]), made.config["vocab_size"])
    return made._replace(tokenizer=words) if words else None


def lacking(file: Path, family: Family, parts: dict[str, bool]) -> BadInput:
    """The sentences about parts that a file lacks; of each, whether it is there and lacks its tokenizer only."""
    names: list[str] = []
    advice: list[str] = []
    for part, has_weights in parts.items():
        is_there = has_weights or any(fit.is_sure for fit in _fits(family, part))
        names.append("T5's tokenizer" if is_there else _name(family, part))
        if is_there:
            own = paths.adapters(FOLDERS["text_encoder"])[0]
            advice.append(f"Put T5's “spiece.model” or “tokenizer.json” into “{own}”, or add ComfyUI's folder.")
        elif unsure := [fit for fit in _fits(family, part) if not fit.is_sure]:
            named = " or ".join(f"“{Path(fit.part.weights.files[0]).name}”" for fit in unsure[:3])
            advice.append(f"Say on the Models screen whether {named} is for {family.label}: no header tells.")
    if len(advice) < len(names):
        advice.append(f"Add a {family.label} model in the form of a folder, or what is missing as files of their own.")
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]
    return BadInput(
        f"The file “{file.name}” comes without {listed}, and nothing in the library can lend {_it(names)}.",
        " ".join(advice),
        str(file),
    )


def _it(names: list[str]) -> str:
    return "them" if names[1:] else "it"


def _name(family: Family, part: str) -> str:
    if part == "vae":
        return "a VAE"
    if not part.startswith("text_encoder"):
        return f"a {part}"
    width = published(family, part).get("hidden_size", 0)
    return f"a text encoder ({_WIDTHS.get(width, 'T5-XXL')})"


def _from_model(family: Family, part: str) -> Part | None:
    """The part of an installed model of the family; None where there is none that fits the published ones."""
    usual, words = published(family, part), tokenizer_of(family, part)
    for folder in models():
        try:
            if recognise(folder).family.name != family.name:
                continue
            found = part_at(folder / part)
        except EaselError:
            continue
        if all(found.config.get(name) == usual.get(name) for name in _TOGETHER):
            return found._replace(tokenizer=folder / words if words else None)
    return None


def _from_file(family: Family, part: str) -> Part | None:
    fits = sorted(_fits(family, part), key=lambda fit: -fit.bytes)
    sure = [fit for fit in fits if fit.is_sure]
    if not sure and family.has_lone_autoencoder and len({fit.size for fit in fits}) == 1:
        sure = fits
    made = (with_words(fit.part, family, part) for fit in sure)
    return next(filter(None, made), None)


def _fits(family: Family, part: str) -> list[_Fit]:
    if part == family.denoiser:
        return []
    found: list[_Fit] = []
    for lender in lenders("vae" if part == "vae" else "text_encoder"):
        if part == "vae" and lender.family and not _shares_autoencoder(lender.family, family):
            continue
        try:
            tensors = header_of(lender.path).tensors
            inside = part_in(tensors, family, part, alone=True)
            if inside is None or not _is_alike(inside, family, part):
                continue
            made = part_in_file(lender.path, inside, family, part)
            size = lender.path.stat().st_size
        except (EaselError, OSError):  # damaged, or gone meanwhile
            continue
        is_sure = part != "vae" or bool(lender.family)
        found.append(_Fit(made, is_sure, _tightest(made, tensors), size))
    return found


def _is_alike(found: Found, family: Family, part: str) -> bool:
    """Whether the shapes tell that it is what the family has as this part."""
    usual, name = published(family, part), family.components[part]
    try:
        told = found.layout.config_of(found.shape, usual)
    except (LookupError, ValueError, TypeError, ZeroDivisionError):
        return False
    if any(told.get(field) != usual[field] for field in _ALIKE[name]):
        return False
    if name == "AutoencoderKL":
        return len(told["block_out_channels"]) == _LEVELS and len(found.shape("decoder.conv_in.weight") or ()) == 4
    if name == "T5EncoderModel":
        return told["vocab_size"] <= usual["vocab_size"]  # those for many languages know far more
    return told["vocab_size"] == _words_of_clip(paths.CLIP)


def _shares_autoencoder(other: str, family: Family) -> bool:
    return other in FAMILIES and family.shares_autoencoder(FAMILIES[other])


def _tightest(made: Part, tensors: dict[str, Tensor]) -> int:
    """Bytes of a number, where most of them are."""
    return min(SIZES[tensors[each.key].dtype] for each in made.weights.tensors.values() if each.key)


@lru_cache(maxsize=2)
def _words_of_clip(folder: Path) -> int:
    """How many words CLIP's vocabulary has that ships with Easel."""
    with (folder / TOKENIZER_FILES["CLIPTokenizer"][1]).open(encoding="utf-8") as merges:
        return _LETTERS + sum(1 for _ in merges) - 1  # the first line says what file it is
