"""What is installed: the starter model, and the model folders and files in Easel's own folder."""

from pathlib import Path

from engine.errors import BadInput, EaselError, closest
from engine.families import FAMILIES
from engine.formats.safetensors import read_header
from engine.library import sidecars
from engine.library.catalogue import Catalogue, file_of_catalogue
from engine.library.headers import guess_header
from engine.library.headers.answers import answers, settled
from engine.library.headers.signs import what
from engine.library.recognise import recognise
from engine.library.single_file import SUFFIX, opened
from engine.messages import ModelCard
from engine.paths import STARTER, models

STARTER_NAME = "Easel Starter"


def cards() -> list[ModelCard]:
    """Every model, the starter first; broken ones too, with the reason."""
    return [_card(STARTER, STARTER_NAME), *map(_card, _installed())]


def find(name: str, where: str = "model") -> ModelCard:
    """The model of that name, hash or path, wherever the library knows it. Raises BadInput for unknown and broken ones.

    Only that one's files are read.
    """
    path = _path_of(name)
    if path is None:
        known = [STARTER_NAME, *map(_name, _installed())]
        raise BadInput(f"There is no model named “{name[:80]}”.", closest(name, known), where=where)
    card = _card(path, STARTER_NAME if path == STARTER else "")
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


def _installed() -> list[Path]:
    """What lies in Easel's own folder."""
    folder = models()
    return [each for each in sorted(folder.iterdir()) if _is_model(each)] if folder.is_dir() else []


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name


def _path_of(name: str) -> Path | None:
    wanted = name.strip().casefold()
    if wanted == STARTER_NAME.casefold():
        return STARTER
    own = next((each for each in _installed() if _name(each).casefold() == wanted), None)
    if own is not None:
        return own
    path = Path(name).expanduser()
    return path.resolve() if _is_model(path) else _catalogued(wanted)


def _catalogued(wanted: str) -> Path | None:
    """Where a model lies that the library found in another program's folder, by its title, its file's name or hash."""
    if not file_of_catalogue().is_file():
        return None
    catalogue = Catalogue()
    try:
        entries = catalogue.entries()
        by_name = [each for each in entries if wanted in (each.name.casefold(), _name(Path(each.path)).casefold())]
        found = [*by_name, *catalogue.called(wanted)]
    finally:
        catalogue.close()
    usable = (Path(each.path) for each in found if each.sort == "checkpoint" and each.state == "here")
    return next(filter(_is_model, usable), None)


def _is_model(path: Path) -> bool:
    try:
        if path.is_file():
            return path.suffix.lower() == SUFFIX and not path.stem.lower().endswith(".vae")
        return path.is_dir() and ((path / "model_index.json").exists() or (path / "unet").is_dir())
    except (OSError, ValueError):  # a name that no path can have: too long, or with a NUL
        return False


def _card(path: Path, title: str = "") -> ModelCard:
    """Of a model folder, or of a file, which is opened as one."""
    name = title or _name(path)
    try:
        folder = _opened(path) if path.is_file() else path
        found = recognise(folder)
    except EaselError as error:
        return ModelCard(name=name, path=str(path), broken=str(error))
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


def _opened(file: Path) -> Path:
    """Raises BadInput for a file that holds something else than a model, or a model that Easel does not run."""
    guess = guess_header(read_header(file), file.name)
    guess = settled(guess, answers(guess, sidecars.read(file)))
    if guess.refusal:
        raise EaselError(guess.refusal, "", str(file))
    if guess.kind not in ("checkpoint", "denoiser", "unknown"):
        raise BadInput(
            f"“{file.name}” holds {what(guess.kind, guess.family)}, no model.", "Choose a checkpoint.", str(file)
        )
    return opened(file, guess.family, guess.variants)


def _two_sentences(card: ModelCard) -> tuple[str, str]:
    return f"The model “{card.name}” is broken.", card.broken
