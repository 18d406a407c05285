"""What steers a picture along another one: the installed ControlNets and T2I-Adapters, and the one that fits."""

from pathlib import Path
from typing import Any

from engine.controls import KINDS, LINES
from engine.errors import BadInput, EaselError, closest
from engine.formats.net_files import ADAPTER, CONTROLNET, UNION, read_net
from engine.library.named import file_at, folder_at
from engine.library.recognise import read_json
from engine.library.shelves import WEIGHTS, shelved
from engine.messages import ModelCard
from engine.uses import ControlUse

CLASSES = (CONTROLNET, UNION, ADAPTER)
"""The classes of diffusers that may be in a net's folder; a configuration that names none is of the first."""
_KNOWN_TYPES = 6
"""Control types of a Union ControlNet that does not say how many it knows."""


def net_for(use: ControlUse, card: ModelCard) -> Path:
    """The folder or file of the net that a control names, or of the first that fits it.

    Raises BadInput for a name that nothing is installed under, and for a net that is made for another model.
    """
    known = {_name(each).casefold(): each for each in _installed()}
    kind = use.shows or use.kind
    if not use.net:
        return _fitting(kind, list(known.values()), card)
    path = known.get(use.net.casefold()) or folder_at(use.net) or file_at(use.net, WEIGHTS)
    if path is None:
        raise BadInput(
            f"There is no ControlNet named “{use.net[:80]}”.", closest(use.net, list(map(_name, known.values()))),
            "controls",
        )  # fmt: skip
    if not _is_for(path, card):
        raise BadInput(
            f"The ControlNet “{path.name}” is made for another model than “{card.name}”.",
            "Choose a ControlNet of the model's family.",
            where=str(path),
        )
    if class_of(path) == UNION and not _knows(path, kind):
        raise BadInput(
            f"The Union ControlNet “{path.name}” does not know control images of the kind “{kind}”.",
            "Say what the control image shows, for example “depth”, or choose another net.",
            where="controls",
        )
    return path


def class_of(net: Path) -> str:
    """The name of the diffusers class that a net is of. Raises BadInput for one that Easel does not run."""
    if net.is_file():
        return read_net(net).class_name
    named = read_json(net / "config.json").get("_class_name", CLASSES[0])
    if named not in CLASSES:
        raise BadInput(
            f"“{net.name}” is of a kind that Easel does not run ({str(named)[:40]}).",
            f"Use one of these: {', '.join(CLASSES)}.",
            where=str(net),
        )
    return named


def _installed() -> list[Path]:
    """Every net's folder or file, ControlNets before T2I-Adapters."""
    found = [*shelved("controlnet"), *shelved("t2i_adapter")]
    return [net for net in found if (net / "config.json").is_file() or _is_file(net)]


def _is_file(path: Path) -> bool:
    return path.suffix.lower() in WEIGHTS and path.is_file()


def _name(net: Path) -> str:
    return net.stem if _is_file(net) else net.name


def _config(net: Path) -> dict[str, Any]:
    return read_net(net).config if net.is_file() else read_json(net / "config.json")


def _fitting(kind: str, known: list[Path], card: ModelCard) -> Path:
    """One whose name has the kind in it, or for lines any with "lines" in its name, or one that knows many kinds."""
    declared = KINDS[kind].nets if kind in KINDS else ()
    for word in (kind.replace(" ", ""), *declared, *(("lines",) if kind in LINES else ())):
        for path in known:
            if word in _name(path).casefold().replace("-", "").replace("_", "") and _is_usable(path, kind, card):
                return path
    for path in known:
        if _is_usable(path, kind, card) and class_of(path) == UNION:
            return path
    raise BadInput(
        f"No ControlNet for “{kind}” that fits the model “{card.name}” is installed.",
        "Add one, or name the one to use.",
        where="controls",
    )


def _is_usable(net: Path, kind: str, card: ModelCard) -> bool:
    try:
        return _is_for(net, card) and (class_of(net) != UNION or _knows(net, kind))
    except EaselError:  # a damaged or foreign one among many, that nobody asked for
        return False


def _knows(union: Path, kind: str) -> bool:
    types = _config(union).get("num_control_type", _KNOWN_TYPES)
    place = KINDS[kind].union if kind in KINDS else None
    return place is not None and isinstance(types, int) and place < types


def _is_for(net: Path, card: ModelCard) -> bool:
    unet = Path(card.path) / "unet" / "config.json"
    if not unet.is_file():  # a model whose denoiser is a transformer
        return False
    denoiser, own = read_json(unet), _config(net)
    if class_of(net) == ADAPTER:
        is_xl = denoiser.get("addition_embed_type") == "text_time"
        return _widths_fit(own, denoiser) and str(own.get("adapter_type")).endswith("_xl") == is_xl
    return all(own.get(name) == denoiser.get(name) for name in ("cross_attention_dim", "block_out_channels"))


def _widths_fit(adapter: dict[str, Any], denoiser: dict[str, Any]) -> bool:
    """Whether an adapter's features are as wide as the denoiser's blocks that they are added to."""
    given, taking = adapter.get("channels"), denoiser.get("block_out_channels")
    if not isinstance(given, list) or not isinstance(taking, list) or not given:
        return False
    return all(one == other for one, other in zip(given, taking, strict=False))
