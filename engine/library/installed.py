"""The models in Easel's own folder, as the disk has them: known before the library has looked."""

from pathlib import Path

from engine.formats.suffixes import WEIGHTS
from engine.paths import models


def installed() -> list[Path]:
    """Files and folders, by name."""
    try:
        return [each for each in sorted(models().iterdir()) if is_model(each)]
    except OSError:
        return []


def is_model(path: Path) -> bool:
    """Whether a model may be drawn from it: a folder in the form of diffusers, or a file that is no other's VAE."""
    try:
        if path.is_file():
            return path.suffix.lower() in WEIGHTS and not path.stem.lower().endswith(".vae")
        return path.is_dir() and ((path / "model_index.json").exists() or (path / "unet").is_dir())
    except (OSError, ValueError):  # a name that no path can have: too long, or with a NUL
        return False
