"""What is installed: the starter model, and the model folders in Easel's own folder."""

from pathlib import Path

from engine.errors import BadInput, EaselError, closest
from engine.families import FAMILIES
from engine.library.recognise import recognise
from engine.messages import ModelCard
from engine.paths import STARTER, models

STARTER_NAME = "Easel Starter"


def cards() -> list[ModelCard]:
    """Every model, the starter first; broken ones too, with the reason."""
    found = [_card(STARTER_NAME, STARTER)]
    folder = models()
    if folder.is_dir():
        found += [_card(each.name, each) for each in sorted(folder.iterdir()) if _is_model(each)]
    return found


def find(name: str, where: str = "model") -> ModelCard:
    """The model of that name, or in the folder of that path. Raises BadInput for unknown and broken ones."""
    known = cards()
    card = next((card for card in known if card.name.casefold() == name.strip().casefold()), None)
    if card is None and _is_model(Path(name).expanduser()):
        path = Path(name).expanduser().resolve()
        card = _card(path.name, path)
    if card is None:
        raise BadInput(
            f"There is no model named “{name[:80]}”.",
            closest(name, [card.name for card in known]),
            where=where,
        )
    if card.broken:
        raise BadInput(*_two_sentences(card), where=where)
    return card


def refiner(name: str, card: ModelCard) -> ModelCard | None:
    """The model that finishes another's pictures; None for no name. Raises BadInput where the two do not fit."""
    if not name:
        return None
    found = find(name, "refiner")
    if found.family not in FAMILIES[card.family].refined_by:
        raise BadInput(
            f"“{found.name}” cannot finish the pictures of “{card.name}”.",
            "Choose a refiner of the model's family, or none.",
            where="refiner",
        )
    return found


def _is_model(folder: Path) -> bool:
    try:
        return folder.is_dir() and ((folder / "model_index.json").exists() or (folder / "unet").is_dir())
    except (OSError, ValueError):  # a name that no path can have: too long, or with a NUL
        return False


def _card(name: str, folder: Path) -> ModelCard:
    try:
        found = recognise(folder)
    except EaselError as error:
        return ModelCard(name=name, path=str(folder), broken=str(error))
    return ModelCard(
        name=name,
        path=str(folder),
        family=found.family.name,
        native_size=found.native_size,
        size_multiple=found.size_multiple,
        size_bytes=found.size_bytes,
        parameters=found.parameters,
        reads_guidance=found.reads_guidance,
    )


def _two_sentences(card: ModelCard) -> tuple[str, str]:
    return f"The model “{card.name}” is broken.", card.broken
