"""What steers a picture along another one: the installed ControlNets and T2I-Adapters, and the one that fits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.controls import KINDS, LINES
from engine.errors import BadInput, EaselError, closest
from engine.families import FAMILIES
from engine.formats.net_files import ADAPTER, CONTROLNET, FLUX, SD3, UNION, read_net
from engine.formats.suffixes import SUFFIXES
from engine.library.named import file_at, folder_at
from engine.library.recognise import read_json
from engine.library.shelves import shelved
from engine.messages import ModelCard
from engine.settings import GenerateSettings, Task
from engine.uses import ControlUse

CLASSES = {
    CONTROLNET: "UNet2DConditionModel",
    UNION: "UNet2DConditionModel",
    ADAPTER: "UNet2DConditionModel",
    FLUX: "FluxTransformer2DModel",
    SD3: "SD3Transformer2DModel",
}
"""The classes of diffusers that may be in a net's folder, and those of the denoisers that they steer; a configuration
that names none is of the first."""
_READ = ("in_channels", "joint_attention_dim", "pooled_projection_dim")
"""What a transformer and its nets have to have alike."""
_KNOWN_TYPES = 6
"""Control types of a Union ControlNet that does not say how many it knows."""


def net_for(use: ControlUse, card: ModelCard) -> Path:
    """The folder or file of the net that a control names, or of the first that fits it.

    Raises BadInput for a name that nothing is installed under, and for a net that is made for another model.
    """
    path = _named(use, card) if use.net else _fitting(use.shows or use.kind, list(_known().values()), card)
    if use.mode != "balanced" and class_of(path) in (FLUX, SD3):
        raise BadInput(
            f"The ControlNet “{_name(path)}” knows no other mode than “balanced”.",
            "Choose that one; a smaller weight steers more gently, too.",
            where="controls",
        )
    return path


def check_nets(settings: GenerateSettings, nets: Sequence[Path], card: ModelCard) -> None:
    """Raises BadInput where the model's family draws with such nets, but not what the settings ask for."""
    family = FAMILIES[card.family]
    first: Task = "image-to-image" if settings.task == "upscale" else settings.task
    is_again = settings.hires_scale != 1 and settings.task == "text-to-image"
    if first in family.controlled and not (is_again and "image-to-image" not in family.controlled):
        return
    if any(class_of(net) != ADAPTER for net in nets):
        raise BadInput(
            f"{family.label} draws with ControlNets from words alone.",
            "Leave the control out, or draw without a source, and with a hires scale of 1.",
            where="controls",
        )


def _named(use: ControlUse, card: ModelCard) -> Path:
    known = _known()
    path = known.get(use.net.casefold()) or folder_at(use.net) or file_at(use.net)
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
    if not _knows(path, use.shows or use.kind):
        raise BadInput(
            f"The Union ControlNet “{path.name}” does not know control images of the kind “{use.shows or use.kind}”.",
            "Say what the control image shows, for example “depth”, or choose another net.",
            where="controls",
        )
    return path


def class_of(net: Path) -> str:
    """The name of the diffusers class that a net is of. Raises BadInput for one that Easel does not run."""
    config = _config(net)
    named = read_net(net).class_name if net.is_file() else str(config.get("_class_name", CONTROLNET))
    if named == SD3 and config.get("extra_conditioning_channels"):
        raise BadInput(
            f"“{net.name}” is a ControlNet for inpainting alone, which Easel does not run.",
            "Use another one; to inpaint, none is needed.",
            where=str(net),
        )
    if named not in CLASSES:
        raise BadInput(
            f"“{net.name}” is of a kind that Easel does not run ({named[:40]}).",
            f"Use one of these: {', '.join(CLASSES)}.",
            where=str(net),
        )
    return named


def _known() -> dict[str, Path]:
    """Every installed net's folder or file by its name, ControlNets before T2I-Adapters."""
    found = [*shelved("controlnet"), *shelved("t2i_adapter")]
    return {_name(net).casefold(): net for net in found if (net / "config.json").is_file() or _is_file(net)}


def _is_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


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
        if _is_usable(path, kind, card) and _is_union(path):
            return path
    raise BadInput(
        f"No ControlNet for “{kind}” that fits the model “{card.name}” is installed.",
        "Add one, or name the one to use.",
        where="controls",
    )


def _is_usable(net: Path, kind: str, card: ModelCard) -> bool:
    try:
        return _is_for(net, card) and _knows(net, kind)
    except EaselError:  # a damaged or foreign one among many, that nobody asked for
        return False


def _is_union(net: Path) -> bool:
    return class_of(net) == UNION or _config(net).get("num_mode") is not None


def _knows(net: Path, kind: str) -> bool:
    """Whether it reads control images of that kind, as far as it asks which kind they are of."""
    if not _is_union(net):
        return True
    config, declared = _config(net), KINDS.get(kind)
    is_flux = class_of(net) == FLUX
    types = config["num_mode"] if is_flux else config.get("num_control_type", _KNOWN_TYPES)
    place = declared and (declared.flux if is_flux else declared.union)
    return place is not None and isinstance(types, int) and place < types


def _is_for(net: Path, card: ModelCard) -> bool:
    family, kind = FAMILIES[card.family], class_of(net)
    if CLASSES[kind] != family.components[family.denoiser]:
        return False
    denoiser, own = read_json(Path(card.path) / family.denoiser / "config.json"), _config(net)
    if kind in (FLUX, SD3):
        return _is_for_transformer(own, denoiser)
    if kind == ADAPTER:
        is_xl = denoiser.get("addition_embed_type") == "text_time"
        return _widths_fit(own, denoiser) and str(own.get("adapter_type")).endswith("_xl") == is_xl
    return all(own.get(name) == denoiser.get(name) for name in ("cross_attention_dim", "block_out_channels"))


def _is_for_transformer(net: dict[str, Any], denoiser: dict[str, Any]) -> bool:
    """Whether a net reads what the denoiser does, and adds to as many channels; some read no prompt at all."""
    named = (own for own in _READ if net.get(own) is not None and own in denoiser)
    return _inner_width(net) == _inner_width(denoiser) and all(net[own] == denoiser[own] for own in named)


def _inner_width(transformer: dict[str, Any]) -> object:
    heads, size = transformer.get("num_attention_heads"), transformer.get("attention_head_dim")
    return heads * size if isinstance(heads, int) and isinstance(size, int) else None


def _widths_fit(adapter: dict[str, Any], denoiser: dict[str, Any]) -> bool:
    """Whether an adapter's features are as wide as the denoiser's blocks that they are added to."""
    given, taking = adapter.get("channels"), denoiser.get("block_out_channels")
    if not isinstance(given, list) or not isinstance(taking, list) or not given:
        return False
    return all(one == other for one, other in zip(given, taking, strict=False))
