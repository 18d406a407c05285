"""The adapters that are installed: LoRAs, ControlNets and embeddings, the person's own and the starter's."""

from pathlib import Path

from engine import paths
from engine.errors import BadInput, closest
from engine.library.recognise import read_json
from engine.messages import Adapters, ChosenLora, ModelCard
from engine.prompt import parse
from engine.settings import ControlUse, GenerateSettings, LoraUse

SUFFIX = ".safetensors"
_LINES = ("canny", "lines", "scribble", "line art", "soft edge", "none", "invert")
"""The kinds of control image that a ControlNet for lines understands."""


def needed(settings: GenerateSettings, card: ModelCard) -> Adapters:
    """The files behind every name in the settings and the prompt.

    Raises BadInput for a name that nothing is installed under, and for a ControlNet that is made for another model.
    """
    said = [LoraUse(name=each.name, weight=each.weight, text_encoder_weight=each.text_encoder_weight)
            for each in parse(settings.prompt).loras]  # fmt: skip
    return Adapters(
        loras=tuple(_lora(each) for each in (*settings.loras, *said)),
        nets=tuple(str(_net(each, card)) for each in settings.controls),
        embeddings=tuple((name, str(path)) for name, path in _files("embeddings").items()),
    )


def _lora(use: LoraUse) -> ChosenLora:
    known = _files("lora")
    path = known.get(use.name.casefold()) or _own(use.name, SUFFIX)
    if path is None:
        raise BadInput(
            f"There is no LoRA named “{use.name[:80]}”.",
            closest(use.name, [each.stem for each in known.values()]),
            "loras",
        )
    of_text = use.weight if use.text_encoder_weight is None else use.text_encoder_weight
    return ChosenLora(path=str(path), weight=use.weight, text_encoder_weight=of_text)


def _net(use: ControlUse, card: ModelCard) -> Path:
    known = {each.name.casefold(): each for folder in paths.adapters("controlnet") for each in _folders(folder)}
    if not use.net:
        return _fitting(use.kind, list(known.values()), card)
    path = known.get(use.net.casefold()) or _own(use.net, "")
    if path is None or not (path / "config.json").is_file():
        raise BadInput(
            f"There is no ControlNet named “{use.net[:80]}”.", closest(use.net, [each.name for each in known.values()]),
            "controls",
        )  # fmt: skip
    if not _is_for(path, card):
        raise BadInput(
            f"The ControlNet “{path.name}” is made for another model than “{card.name}”.",
            "Choose a ControlNet of the model's family.",
            where=str(path),
        )
    return path


def _fitting(kind: str, known: list[Path], card: ModelCard) -> Path:
    """One whose name has the kind in it, or for lines any that has "lines" in its name."""
    word = kind.replace(" ", "")
    for part in (word, *(("lines",) if kind in _LINES else ())):
        for path in known:
            if part in path.name.casefold().replace("-", "").replace("_", "") and _is_for(path, card):
                return path
    raise BadInput(
        f"No ControlNet for “{kind}” that fits the model “{card.name}” is installed.",
        "Add one, or name the one to use.",
        where="controls",
    )


def _is_for(net: Path, card: ModelCard) -> bool:
    denoiser, own = read_json(Path(card.path) / "unet" / "config.json"), read_json(net / "config.json")
    return all(own.get(name) == denoiser.get(name) for name in ("cross_attention_dim", "block_out_channels"))


def _files(kind: str) -> dict[str, Path]:
    """By name without its ending, in small letters; a person's own go before the starter's."""
    found: dict[str, Path] = {}
    for folder in paths.adapters(kind):
        if folder.is_dir():
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                found.setdefault(path.stem.casefold(), path)
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if (each / "config.json").is_file()) if folder.is_dir() else []


def _own(name: str, suffix: str) -> Path | None:
    """A file or folder that was named by its path."""
    path = Path(name).expanduser()
    try:
        return path.resolve() if path.exists() and path.suffix.lower().endswith(suffix) else None
    except (OSError, ValueError):  # a name that no path can have
        return None
