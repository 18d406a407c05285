"""The autoencoder that a picture is drawn with in the place of the model's own."""

from pathlib import Path

from engine import paths
from engine.errors import BadInput, closest
from engine.library.named import folder_at
from engine.library.recognise import read_json, weights
from engine.messages import ModelCard

CLASS = "AutoencoderKL"
_ALIKE = {"latent_channels": 4, "scaling_factor": 0.18215, "shift_factor": None}
"""What two autoencoders must have in common to read each other's latents, and what a configuration without it means."""


def autoencoder_for(name: str, card: ModelCard) -> str:
    """The folder of the autoencoder with that name or at that path, in diffusers' form; empty for the model's own.

    Raises BadInput for a name that nothing is installed under, and for one that is made for another family.
    """
    if not name.strip():
        return ""
    installed = [each for folder in paths.adapters("vae") if folder.is_dir() for each in sorted(folder.iterdir())]
    known = {each.name.casefold(): each for each in reversed(installed) if (each / "config.json").is_file()}
    folder = known.get(name.casefold()) or folder_at(name)
    if folder is None:
        raise BadInput(
            f"There is no VAE named “{name[:80]}”.",
            f"{closest(name, [each.name for each in known.values()])} A VAE is a folder in the form of diffusers.",
            where="vae",
        )
    config, own = read_json(folder / "config.json"), read_json(Path(card.path) / "vae" / "config.json")
    if config.get("_class_name", CLASS) != CLASS:
        raise BadInput(f"“{folder.name}” is no VAE.", f"Use a folder of the class {CLASS}.", where=str(folder))
    levels = [len(each.get("block_out_channels") or ()) for each in (config, own)]
    if levels[0] != levels[1] or any(config.get(key, usual) != own.get(key, usual) for key, usual in _ALIKE.items()):
        raise BadInput(
            f"The VAE “{folder.name}” is made for other models than “{card.name}”.",
            "Choose one of the model's family.",
            where=str(folder),
        )
    weights(folder)
    return str(folder.resolve())
