"""The folders that models are looked for in: Easel's own, and those of other programs, used where they lie."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from engine import paths
from engine.errors import BadInput, EaselError
from engine.library.guess import Kind

MAX_YAML = 2**20
EXTRA = "extra_model_paths.yaml"
_log = logging.getLogger(__name__)

FOLDERS: dict[Kind, str] = {
    "lora": "lora", "embedding": "embeddings", "controlnet": "controlnet", "t2i_adapter": "t2i_adapter",
    "ip_adapter": "ip_adapter", "vae": "vae", "text_encoder": "text_encoders", "upscaler": "upscaler",
    "preprocessor": "preprocessor",
}  # fmt: skip
"""Easel's own folders for what is no model by itself."""
_A1111: dict[str, Kind] = {
    "models/Stable-diffusion": "checkpoint", "models/VAE": "vae", "models/VAE-approx": "preview_decoder",
    "models/Lora": "lora", "models/LyCORIS": "lora", "models/ControlNet": "controlnet",
    "extensions/sd-webui-controlnet/models": "controlnet", "models/ESRGAN": "upscaler",
    "models/RealESRGAN": "upscaler", "models/SwinIR": "upscaler", "models/ScuNET": "upscaler",
    "models/DAT": "upscaler", "models/hypernetworks": "hypernetwork", "models/text_encoder": "text_encoder",
    "models/diffusers": "checkpoint", "embeddings": "embedding",
}  # fmt: skip
"""A1111's and Forge's."""
_WITHIN_A1111: dict[str, Kind] = {
    name.removeprefix("models/"): kind for name, kind in _A1111.items() if name.startswith("models/")
}
_COMFY: dict[str, Kind] = {
    "checkpoints": "checkpoint", "diffusers": "checkpoint", "loras": "lora", "vae": "vae",
    "vae_approx": "preview_decoder", "text_encoders": "text_encoder", "clip": "text_encoder",
    "diffusion_models": "denoiser", "unet": "denoiser", "clip_vision": "image_encoder", "embeddings": "embedding",
    "controlnet": "controlnet", "t2i_adapter": "t2i_adapter", "ipadapter": "ip_adapter", "upscale_models": "upscaler",
    "latent_upscale_models": "upscaler", "hypernetworks": "hypernetwork", "style_models": "unknown",
    "gligen": "unknown", "photomaker": "unknown", "model_patches": "unknown",
}  # fmt: skip
"""ComfyUI's, in its folder “models” and in `extra_model_paths.yaml`; `unet` and `clip` are names of old."""
_MATRIX: dict[str, Kind] = {
    "StableDiffusion": "checkpoint", "Diffusers": "checkpoint", "Lora": "lora", "LyCORIS": "lora", "VAE": "vae",
    "ApproxVAE": "preview_decoder", "ControlNet": "controlnet", "T2IAdapter": "t2i_adapter",
    "Embeddings": "embedding", "TextualInversion": "embedding", "Hypernetwork": "hypernetwork", "ESRGAN": "upscaler",
    "RealESRGAN": "upscaler", "SwinIR": "upscaler", "BSRGAN": "upscaler", "IpAdapter": "ip_adapter",
    "IpAdapters15": "ip_adapter", "IpAdaptersXl": "ip_adapter", "InvokeIpAdapters15": "ip_adapter",
    "InvokeIpAdaptersXl": "ip_adapter", "DiffusionModels": "denoiser", "Unet": "denoiser",
    "TextEncoders": "text_encoder", "CLIP": "text_encoder", "ClipVision": "image_encoder",
    "InvokeClipVision": "image_encoder",
}  # fmt: skip
"""Stability Matrix's, in its folder “Models”."""
_LAYOUTS: tuple[tuple[str, dict[str, Kind], tuple[str, ...]], ...] = (
    ("", _A1111, ("models/Stable-diffusion",)),
    ("", _WITHIN_A1111, ("Stable-diffusion",)),
    ("models", _COMFY, ("checkpoints", "diffusion_models")),
    ("", _COMFY, ("checkpoints", "diffusion_models")),
    ("ComfyUI/models", _COMFY, ("checkpoints",)),
    ("Models", _MATRIX, ("StableDiffusion",)),
    ("Data/Models", _MATRIX, ("StableDiffusion",)),
    ("", _MATRIX, ("StableDiffusion",)),
)
"""Where a program's folders may begin, seen from the one that was added; its folders; and those that prove it."""


class Root(NamedTuple):
    """A folder to walk through."""

    folder: Path
    hint: Kind
    """What its files are likely to be; "unknown" for a folder of anything."""
    of: str
    """The folder that the person added, and that brought it here."""


def roots(added: Iterable[str]) -> list[Root]:
    """Easel's own folders, and those behind the ones that were added; a folder that has two names once.

    Folders that are not there are among them: their drive may be unplugged.
    """
    found = list(_own())
    for folder in added:
        try:
            found += behind(Path(folder))
        except EaselError as error:  # said when it was added
            _log.info("%s: %s", folder, error)
            found.append(Root(Path(folder), "unknown", folder))
    once: dict[str, Root] = {}
    for root in found:
        once.setdefault(_real(root.folder), root)
    return list(once.values())


def behind(added: Path) -> list[Root]:
    """The folders of models in a folder of another program's, or it alone; or those that a ComfyUI list names.

    Raises BadInput for a list that cannot be read.
    """
    of = str(added)
    if added.suffix.lower() in (".yaml", ".yml") and added.is_file():
        return [Root(folder, hint, of) for folder, hint in listed(added)]
    found = list(_laid_out(added))
    for home in (added, added / "ComfyUI"):
        if (home / EXTRA).is_file():
            found += listed(home / EXTRA)
    for package in _folders_in(added / "Packages") + _folders_in(added / "Data" / "Packages"):
        found += _laid_out(package)
    return [Root(folder, hint, of) for folder, hint in found] or [Root(added, "unknown", of)]


def listed(file: Path) -> list[tuple[Path, Kind]]:
    """The folders that ComfyUI's `extra_model_paths.yaml` names, those of `is_default` first.

    As ComfyUI's utils/extra_config.py reads it: every block may have a `base_path` (relative to the file, with `~`
    and variables of the environment), and every other key one folder a line. Raises BadInput.
    """
    first: list[tuple[Path, Kind]] = []
    rest: list[tuple[Path, Kind]] = []
    for block in _blocks(file):
        base = os.path.expandvars(os.path.expanduser(str(block.get("base_path") or "")))  # noqa: PTH111
        target = first if block.get("is_default") is True else rest
        for key, value in block.items():
            if key in _COMFY and isinstance(value, str):
                lines = filter(None, map(str.strip, value.splitlines()))
                target += [(Path(os.path.normpath(file.parent / base / line)), _COMFY[key]) for line in lines]
    return first + rest


def _blocks(file: Path) -> list[dict[str, Any]]:
    try:
        if file.stat().st_size > MAX_YAML:
            raise ValueError("too large")
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadInput(
            f"ComfyUI's list of folders “{file.name}” cannot be read.",
            "Correct it, or add the folders themselves.",
            where=str(file),
        ) from error
    blocks = found.values() if isinstance(found, dict) else []
    return [{str(key): value for key, value in block.items()} for block in blocks if isinstance(block, dict)]


def _own() -> Iterator[Root]:
    yield Root(paths.models(), "checkpoint", str(paths.models()))
    for kind, name in FOLDERS.items():
        own, starters = paths.adapters(name)
        yield Root(own, kind, str(own))
        yield Root(starters, kind, str(paths.STARTER.parent))
    yield Root(paths.STARTER, "checkpoint", str(paths.STARTER.parent))


def _laid_out(folder: Path) -> Iterator[tuple[Path, Kind]]:
    for begin, table, proofs in _LAYOUTS:
        base = folder / begin
        if any(_is_folder(base / proof) for proof in proofs):
            for name, kind in table.items():
                if _is_folder(base / name):
                    yield base / name, kind
            return


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir())
    except OSError:
        return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission to look
        return False


def _real(folder: Path) -> str:
    return os.path.normcase(os.path.realpath(folder))
