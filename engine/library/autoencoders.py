"""The autoencoder that a picture is drawn with in the place of the model's own: a file, or a folder of diffusers."""

import hashlib
from pathlib import Path

import msgspec

from engine.errors import BadInput, closest
from engine.families import FAMILIES
from engine.formats.headers import header_of
from engine.formats.places import Config
from engine.formats.suffixes import name_of
from engine.library.file_parts import part_of
from engine.library.judged import judged
from engine.library.layouts import part_in
from engine.library.named import file_at, folder_at
from engine.library.opened_weights import Source, home, put, put_part, source_of, stamp
from engine.library.recognise import read_json, weights
from engine.library.shelves import called, is_file, shelved
from engine.messages import ModelCard

CLASS = "AutoencoderKL"
_ALIKE = {"latent_channels": 4, "scaling_factor": 0.18215, "shift_factor": None}
"""What two autoencoders must have in common to read each other's latents, and what a configuration without it means."""
_RECIPE = 1
"""Raised when folders are made otherwise, so that old ones are made again."""


def autoencoder_for(name: str, card: ModelCard) -> str:
    """The autoencoder with that name or at that path, a folder in diffusers' form or a file; empty for the model's own.

    Raises BadInput for a name that nothing is installed under, and for one that is made for another family.
    """
    if not name.strip():
        return ""
    path = called("vae", name, "vae", _is_one) or folder_at(name) or file_at(name)
    if path is None:
        raise BadInput(
            f"There is no VAE named “{name[:80]}”.",
            f"{closest(name, _names())} A VAE is a file, or a folder of diffusers.",
            where="vae",
        )
    own = read_json(Path(card.path) / "vae" / "config.json")
    config = _told(path, card, own) if path.is_file() else read_json(path / "config.json")
    if config.get("_class_name", CLASS) != CLASS:
        raise BadInput(f"“{path.name}” is no VAE.", f"Use a folder of the class {CLASS}.", where=str(path))
    levels = [len(each.get("block_out_channels") or ()) for each in (config, own)]
    if levels[0] != levels[1] or any(config.get(key, usual) != own.get(key, usual) for key, usual in _ALIKE.items()):
        raise _foreign(path, card)
    weights(path)
    return str(path.resolve())


def opened_autoencoder(file: Path, card: ModelCard) -> Path:
    """The folder that stands for an autoencoder's file, drawn with in the place of that model's own.

    What the file does not say of itself, it has as the model's own. `file` is a .safetensors one. Raises BadInput for
    one that is damaged.
    """
    own = read_json(Path(card.path) / "vae" / "config.json")
    told = f"{_RECIPE} {file} {msgspec.json.encode(own).decode()}"
    folder = home() / hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:20]
    if source_of(folder) is None:
        made = part_of(file, FAMILIES[card.family], "vae", own)
        source = Source(str(file), {str(file): stamp(file)})
        put(folder, source, lambda making: put_part(making / "vae", made.config, made.weights))
    return folder / "vae"


def _told(file: Path, card: ModelCard, own: Config) -> Config:
    """The configuration of an autoencoder in a file, as far as its shapes tell. Raises BadInput for what is none."""
    found = part_in(header_of(file).tensors, FAMILIES[card.family], "vae", alone=True)
    if found is None:
        raise BadInput(f"“{file.name}” holds no VAE.", "Choose another file.", where=str(file))
    family = judged(file).family
    if family in FAMILIES and not FAMILIES[family].shares_autoencoder(FAMILIES[card.family]):
        raise _foreign(file, card)
    try:
        return own | found.layout.config_of(found.shape, own)
    except (LookupError, ValueError, TypeError) as error:
        raise BadInput(f"The VAE “{file.name}” is damaged.", "Download it again.", where=str(file)) from error


def _foreign(path: Path, card: ModelCard) -> BadInput:
    return BadInput(
        f"The VAE “{path.name}” is made for other models than “{card.name}”.",
        "Choose one of the model's family.",
        where=str(path),
    )


def _names() -> list[str]:
    return [name_of(each) for each in shelved("vae") if _is_one(each)]


def _is_one(path: Path) -> bool:
    return (path / "config.json").is_file() or is_file(path)
