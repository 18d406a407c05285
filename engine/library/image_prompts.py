"""What lets a picture be a prompt: the IP-Adapters that are installed, and the image encoders that they read."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine import paths
from engine.errors import BadInput, EaselError, closest
from engine.formats.headers import header_of
from engine.formats.safetensors import Tensor
from engine.formats.suffixes import SUFFIXES
from engine.library.named import file_at
from engine.library.recognise import read_json
from engine.library.shelves import known, shelved
from engine.messages import ChosenImagePrompt, ModelCard
from engine.uses import ImagePrompt

_KEYS = "ip_adapter.1.to_k_ip.weight"
"""What every IP-Adapter has: [width, that of the prompt's embeds]."""
_WIDTHS = {
    "image_proj.proj.weight": (1, "projection_dim"),
    "image_proj.proj.0.weight": (1, "hidden_size"),
    "image_proj.proj_in.weight": (1, "hidden_size"),
}
"""By a tensor that tells the kinds of adapter apart (plain, full, plus): its axis that reads the encoder, and what of
the encoder's configuration is as wide."""


def chosen(use: ImagePrompt, card: ModelCard) -> ChosenImagePrompt:
    """The files behind an image prompt.

    Raises BadInput for a name that nothing is installed under, and where no adapter or no encoder fits the model.
    """
    path = _adapter(use.adapter, card)
    return ChosenImagePrompt(image=use.image, adapter=str(path), encoder=str(_encoder(path)), weight=use.weight)


def _adapter(name: str, card: ModelCard) -> Path:
    named = {path.stem.casefold(): path for path in _adapters()}
    if not name:
        path = next((path for path in named.values() if _is_for(path, card)), None)
        if path is None:
            raise BadInput(
                f"No IP-Adapter that fits the model “{card.name}” is installed.",
                "Add one to Easel's folder “ip_adapter”, with the image encoder it is made for.",
                where="image_prompts",
            )
        return path
    path = named.get(name.casefold()) or file_at(name)
    if path is None:
        raise BadInput(
            f"There is no IP-Adapter named “{name[:80]}”.", closest(name, [each.stem for each in named.values()]),
            "image_prompts",
        )  # fmt: skip
    if not _is_for(path, card):
        raise BadInput(
            f"The IP-Adapter “{path.name}” is made for another model than “{card.name}”.",
            "Choose one of the model's family.",
            where=str(path),
        )
    return path


def _encoder(adapter: Path) -> Path:
    """The folder of the first encoder that is as wide as the adapter reads it."""
    tensors = _tensors(adapter)
    reads = [(tensors[name].shape[axis], field) for name, (axis, field) in _WIDTHS.items() if name in tensors]
    if not reads:
        raise BadInput(
            f"The IP-Adapter “{adapter.name}” is of a kind that Easel does not run.",
            "Use a plain one or a “plus” one; those for faces that read no ordinary image encoder cannot be used.",
            where=str(adapter),
        )
    width, field = reads[0]
    for folder in _encoders():
        if read_json(folder / "config.json").get(field) == width:
            return folder
    raise BadInput(
        f"The image encoder that the IP-Adapter “{adapter.name}” reads is missing.",
        f"Put its folder (config.json with “{field}” {width}, and model.safetensors) into Easel's folder “ip_adapter”.",
        where="image_prompts",
    )


def _is_for(adapter: Path, card: ModelCard) -> bool:
    """By the width of the prompt's embeds, which its keys are made from, and of the first layer that reads them."""
    unet = Path(card.path) / "unet" / "config.json"
    if not unet.is_file() or _KEYS not in _tensors(adapter):
        return False
    config = read_json(unet)
    blocks, widths = config.get("down_block_types"), config.get("block_out_channels")
    if not isinstance(blocks, list) or not isinstance(widths, list):
        return False
    first = next((width for kind, width in zip(blocks, widths, strict=False) if "CrossAttn" in str(kind)), None)
    return list(_tensors(adapter)[_KEYS].shape) == [first, config.get("cross_attention_dim")]


def _adapters() -> Iterator[Path]:
    """Files in the folders and in those in them, but not an encoder's."""
    for found in shelved("ip_adapter"):
        for path in sorted(found.iterdir()) if found.is_dir() else [found]:
            if path.suffix.lower() in SUFFIXES and not (path.parent / "config.json").is_file():
                yield path


def _encoders() -> Iterator[Path]:
    for folder in paths.adapters("ip_adapter"):
        for config in sorted((*folder.glob("*/config.json"), *folder.glob("*/*/config.json"))):
            yield config.parent
    for path, each in known().items():
        if each.sort == "image_encoder" and each.state == "here" and (path / "config.json").is_file():
            yield path


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return header_of(path).tensors
    except EaselError:  # a damaged file in the folder is no adapter
        return {}
